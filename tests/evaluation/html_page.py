"""What the tests of pages have in common."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "br", "img", "line", "circle", "polyline", "rect"}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """Collects a page's tags, attributes and text, and checks that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def close(self) -> None:
        super().close()
        assert not self._open


def seen_in_browser(page: Path, width: int, folder: Path) -> tuple[int, int]:
    """Open a page in a headless browser; return how wide it becomes, in pixels, and how many drawings it has.

    Fails if the browser complains.
    """
    frame = folder / "frame.html"
    frame.write_text(
        f"<iframe id=f style='width:{width}px;height:800px;border:0' src='{page.as_uri()}'></iframe>"
        "<script>onload = () => { const page = document.getElementById('f').contentDocument;"
        "document.title = page.documentElement.scrollWidth + ' ' + page.querySelectorAll('svg').length"
        "}</script>",
        encoding="utf-8",
    )
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr"]
    done = subprocess.run(  # noqa: S603
        [*command, "--window-size=1200,900", "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>(\d+) (\d+)</title>", done.stdout)
    assert title, done.stderr
    return int(title[1]), int(title[2])
