"""Kernels compile once where a folder can be written, and in memory elsewhere; asked of fresh processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import s3_retriever

COUNT_TERMS = """
import numpy as np
import s3_retriever.compiled
s3_retriever.compiled._NOTICED = 0
import s3_retriever.encode.sae, s3_retriever.search.coactivation, s3_retriever.search.kernels
from s3_retriever.index.postings import invert_terms, restore_terms
numbers = np.array([0, 1, 0], np.uint32)
gaps, pointers, _ = invert_terms(numbers, np.array([2, 2, 5], np.uint32), np.array([0, 1], np.uint32), 6)
print(*restore_terms(gaps, pointers)[1], sum(restore_terms.stats.cache_hits.values()))
"""


@pytest.fixture
def sealed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds a copy of the package, and no folder to keep kernels in."""
    copy = tmp_path / "site" / "s3_retriever"
    shutil.copytree(Path(s3_retriever.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in (copy, *filter(Path.is_dir, copy.rglob("*"))):
        (folder / "__pycache__").touch()  # a file: not even root can write below it
    caches = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in caches}
    return kept | {"HOME": os.devnull, "LOCALAPPDATA": os.devnull, "PYTHONPATH": str(copy.parent)}


def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", COUNT_TERMS],
        env=environment,
        cwd=environment["PYTHONPATH"],  # the first place where imports are looked for
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_kernels_stay_in_memory_where_no_folder_can_be_written(sealed: dict[str, str]) -> None:
    done = run(sealed)
    assert done.stdout == "2 5 2 0\n", done.stderr
    (line,) = done.stderr.splitlines()
    assert "NUMBA_CACHE_DIR" in line


@pytest.mark.long
def test_kernels_compile_once_for_all_processes(sealed: dict[str, str], tmp_path: Path) -> None:
    cache = tmp_path / "kernels"
    first = run(sealed | {"NUMBA_CACHE_DIR": str(cache)})
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    second = run(sealed | {"NUMBA_CACHE_DIR": str(cache)})
    (line,) = first.stderr.splitlines()  # said once, not of each kernel
    assert line.startswith("s3_retriever compiles its kernels")
    assert first.stdout == "2 5 2 0\n"
    assert (second.stdout, second.stderr) == ("2 5 2 1\n", "")
    assert kept
    assert kept == {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
