"""The tables of docs/scale.md are what its program prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_has_the_tables_that_the_program_prints() -> None:
    printed = subprocess.run(  # noqa: S603
        [sys.executable, str(DOCS / "scale.py")], capture_output=True, text=True, check=True
    )
    page = (DOCS / "scale.md").read_text(encoding="utf-8")
    missing = [line for line in printed.stdout.splitlines() if line not in page]
    assert not missing
