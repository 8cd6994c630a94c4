"""Paths to files: folders with all that is below them, patterns, single files, standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from s3_retriever.errors import InvalidInputError
from s3_retriever.sources.files import FileSettings, SourceFile

STDIN = "-"

_SKIPPED = frozenset({"__pycache__", "node_modules"})
_VENV = "pyvenv.cfg"  # marks a folder of installed packages

OnError = Callable[[str, OSError], None]
"""Is told the path that could not be read, and why."""


def find_files(
    paths: Sequence[str],
    settings: FileSettings,
    on_error: OnError,
    *,
    without: Sequence[Path] = (),
    alone: bool | None = None,
) -> Iterator[SourceFile]:
    """Yield the files of paths, each once, sorted by their ids within each path.

    Below a folder, links are not followed, and names that begin with a dot, folders of installed packages,
    ``__pycache__`` and ``node_modules`` are left out.

    A file's id is its path as it was given, or its name where that leads outside. Where a single folder is
    given, the id is the path below it.

    Args:
        paths: Folders, files, patterns such as ``"manuals/**/*.pdf"``, and ``"-"`` for standard input.
        settings: What to leave out.
        on_error: Told of folders that cannot be read.
        without: Folders to leave out, such as that of the index.
        alone: Whether the paths are all that is read, and only one; None: if there is one.

    Raises:
        InvalidInputError: A path is not there, a pattern fits no file, or two files have one id.
    """
    hidden = {path.resolve() for path in without}
    seen: dict[str, Path] = {}
    alone = len(paths) == 1 if alone is None else alone
    for given in paths:
        for file in _files(given, alone, settings, on_error, hidden):
            other = seen.setdefault(file.id, file.path)
            if other is file.path:
                yield file
            elif not other.samefile(file.path):
                msg = f"{other} and {file.path} would both have the id {file.id!r}; index them apart"
                raise InvalidInputError(msg)


def _files(
    given: str, alone: bool, settings: FileSettings, on_error: OnError, hidden: set[Path]
) -> Iterator[SourceFile]:
    path = Path(given)
    if given == STDIN:
        yield SourceFile("stdin", path, sys.stdin.buffer.read())
    elif path.is_dir():
        prefix = "" if alone else _prefix(path)
        yield from _below(path, prefix, settings, on_error, hidden)
    elif path.is_file():
        yield SourceFile(_prefix(path), path)
    elif path.exists():  # a pipe
        yield SourceFile(_prefix(path), path, path.read_bytes())
    else:
        matches = sorted(glob.glob(given, recursive=True)) if glob.has_magic(given) else []  # noqa: PTH207
        files = [Path(one) for one in matches if Path(one).is_file()]
        if not files:
            msg = f"{given} is no file and no folder" if not matches else f"{given} fits no file"
            raise InvalidInputError(msg)
        yield from (SourceFile(_prefix(one), one) for one in files)


def _prefix(path: Path) -> str:
    """Return a path as the beginning of an id: as given, or its name where it leads outside."""
    inside = not path.is_absolute() and ".." not in path.parts
    prefix = path.as_posix() if inside else path.resolve().name
    return "" if prefix == "." else prefix


def _below(
    folder: Path, prefix: str, settings: FileSettings, on_error: OnError, hidden: set[Path]
) -> Iterator[SourceFile]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        on_error(prefix or str(folder), error)
        return
    if any(entry.name == _VENV for entry in entries):
        return
    for entry in entries:
        name = f"{prefix}/{entry.name}" if prefix else entry.name
        path = Path(entry.path)
        if _is_hidden(entry.name) or _is_excluded(name, settings.exclude):
            continue
        if entry.is_dir(follow_symlinks=False):
            if path.resolve() not in hidden:
                yield from _below(path, name, settings, on_error, hidden)
        elif entry.is_file(follow_symlinks=False):
            yield SourceFile(name, path)


def is_skipped(path: str, patterns: Sequence[str]) -> bool:
    """Whether a file is left out, given its path below the folder, with slashes, and what is excluded."""
    parts = path.split("/")
    return any(_is_hidden(part) for part in parts) or any(
        _is_excluded("/".join(parts[:depth]), patterns) for depth in range(1, len(parts) + 1)
    )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


def _is_excluded(name: str, patterns: Sequence[str]) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatchcase(name, one) or fnmatchcase(last, one.rstrip("/")) for one in patterns)
