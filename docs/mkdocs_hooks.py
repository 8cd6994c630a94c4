"""What the site adds to MkDocs: pages from outside of ``docs/``, and a check of every link.

A link in a page names a file of the repository, as GitHub wants it. Some of these files are pages of the site
under another name. Every other file that a page links to is published as it is, under ``files/``.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/replace_your_embedding_retriever.md": "guide/replace-embeddings.md",
    "integrations/llama_index/README.md": "integrations/llama_index.md",
    "integrations/langchain/README.md": "integrations/langchain.md",
}
"""Pages from outside of ``docs/``, and their names on the site."""

_ORIGINS = {page: file for file, page in PAGES.items()}
_DOCS, _FILES = "docs/", "files/"
_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)")  # [text](this#anchor)

_log = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside of ``docs/``, and the files that any page links to."""
    for origin, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / origin)))
    linked = {file for page in files.documentation_pages() for file in _linked(page)}
    for file in sorted(linked):
        address = _address(file)
        if address.startswith(_FILES) and (ROOT / file).is_file():
            files.append(File.generated(config, address, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to files of the repository at what the site has of them."""
    here = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        file = _file(match[0], here)
        return posixpath.relpath(_address(file), posixpath.dirname(here) or ".") if file else match[0]

    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(moved, text) for text in parts[::2]]
    return "".join(parts)


def on_post_build(config: MkDocsConfig) -> None:
    """Follow every link within the finished site; nothing may be loaded from another one."""
    site = Path(config.site_dir)
    pages = {path: _read(path) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, page in pages.items():
        for link in page.links:
            wrong = _wrong(link, path, pages)
            if wrong:
                _log.warning("%s: the link %s %s", path.relative_to(site), link, wrong)
        for source in page.loads:
            if urlsplit(source).netloc:
                _log.warning("%s loads %s from elsewhere", path.relative_to(site), source)


def _wrong(link: str, path: Path, pages: dict[Path, _Links]) -> str:
    """Say what is wrong with a link, or return an empty string."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "leads nowhere"
    known = pages[target].anchors if target in pages else ()
    return "names no place of that page" if parts.fragment and unquote(parts.fragment) not in known else ""


class _Links(HTMLParser):
    """The links, loaded files and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        elif tag == "link" and values.get("rel") != "canonical" and "href" in values:
            self.loads.add(values["href"])
        elif "src" in values:
            self.links.add(values["src"])
            self.loads.add(values["src"])


def _read(path: Path) -> _Links:
    page = _Links()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _linked(page: File) -> Iterator[str]:
    """Yield the files of the repository that a page links to."""
    for text in _CODE.split(page.content_string)[::2]:
        yield from filter(None, (_file(link, page.src_uri) for link in _LINK.findall(text)))


def _file(link: str, page: str) -> str | None:
    """Return the file of the repository that a link in a page of the site names; None for an address."""
    if urlsplit(link).scheme:
        return None
    origin = _ORIGINS.get(page, _DOCS + page)
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def _address(file: str) -> str:
    """Return where the site has a file of the repository."""
    inside = file.startswith(_DOCS) and not file.endswith(".py")
    return file.removeprefix(_DOCS) if inside else PAGES.get(file, _FILES + file)
