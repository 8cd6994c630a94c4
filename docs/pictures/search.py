"""Draws what ``s3-retriever search`` prints for a question to the Python language reference.

python docs/pictures/search.py [OUT.svg]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from pydoc_data.topics import topics

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from s3_retriever import Document, S3Retriever

TOPICS = (
    "break",
    "class",
    "del",
    "for",
    "function",
    "lambda",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
)
QUESTION = "When are the default values of a function's parameters evaluated?"
OPTIONS = ("--token-budget", "128", "--top-k", "2")
WIDTH = 96

# The terminal's own fonts: rich would load one from another site.
_FORMAT = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def answer(index: Path) -> str:
    """Return what the command prints, with its colours."""
    command = [sys.executable, "-m", "s3_retriever", "search", index, QUESTION, *OPTIONS, "--no-progress"]
    colours = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(command, env=colours, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.rstrip()


def draw(printed: str) -> str:
    """Return a terminal with the command and what it printed, as SVG."""
    console = Console(file=StringIO(), record=True, width=WIDTH)
    command = f"s3-retriever search python-reference {' '.join(OPTIONS)}"
    console.print(Text(f'$ {command} \\\n    "{QUESTION}"\n'))
    console.print(Text.from_ansi(printed))
    svg = console.export_svg(title="s3-retriever search", code_format=_FORMAT, unique_id="search")
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def main() -> None:
    """Index the topics, ask the question, write the picture."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg")
    texts = {name: topics[name].lstrip() for name in TOPICS if name in topics}
    documents = [Document(name, text, title=text.partition("\n")[0]) for name, text in texts.items()]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        S3Retriever.from_documents(documents).save(Path(folder) / "index")
        out.write_text(draw(answer(Path(folder) / "index")), encoding="utf-8")


if __name__ == "__main__":
    main()
