"""Writes to a file system as they are recorded, and the states in which a power cut may leave the disk.

The model is harsher than the usual file systems. What a file holds is sure once the file was synced; that a
name stands in a folder, or no longer does, once the folder was. Until then any of these may have reached
the disk or not, in whatever order, each by itself. A rename or exchange happens whole or not at all.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKPLACE = re.compile(r"\..*\.tmp")
MOST = 12  # writes that are not sure, of which all subsets are tried; of more, some

Link = tuple[int, str]  # a folder's number, and a name in it


@dataclass
class Step:
    """One operation.

    Attributes:
        links: What names stand for afterwards; None: nothing.
        syncs: The folder or file that is synced.
        content: Of the file that is synced.
    """

    links: dict[Link, int | None] = field(default_factory=dict)
    syncs: int | None = None
    content: bytes = b""


class Recording:
    """Records what happens below a folder while :meth:`during` runs something."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps: list[Step] = []
        self.links: dict[Link, int] = {}
        self.contents: dict[int, bytes] = {}
        self.folders = {0}
        self._numbers = itertools.count(1)
        self._take(root, 0)
        self.before, self.sure = dict(self.links), dict(self.contents)

    def _take(self, folder: Path, number: int) -> None:
        for entry in sorted(folder.iterdir()):
            inner = next(self._numbers)
            self.links[number, entry.name] = inner
            if entry.is_dir():
                self.folders.add(inner)
                self._take(entry, inner)
            else:
                self.contents[inner] = entry.read_bytes()

    def during(self, work: Callable[[], object]) -> None:
        fsync = os.fsync

        def sync(descriptor: int) -> None:
            fsync(descriptor)
            place = self._place(f"/proc/self/fd/{descriptor}")
            if place is not None and (number := self._number(place)) is not None:
                content = b"" if number in self.folders else Path(self.root, *place).read_bytes()
                self.contents.update({} if number in self.folders else {number: content})
                self.steps.append(Step(syncs=number, content=content))

        os.fsync = sync
        _listeners.append(self._hear)
        try:
            work()
        finally:
            _listeners.remove(self._hear)
            os.fsync = fsync

    def _hear(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            self._opened(given)
        elif event in ("os.mkdir", "os.remove", "os.rmdir"):
            path, at = given[0], given[-1]
            self._named(event, self._place(path, at))
        elif event in ("os.rename", "s3_retriever.exchange"):
            at = given[2:] or (-1, -1)
            self._moved(event, *(self._place(path, one) for path, one in zip(given[:2], at, strict=True)))

    def _opened(self, given: tuple[Any, ...]) -> None:
        path, mode, flags = given
        if isinstance(path, int):
            return
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        place = self._place(path)
        if place is None or not writes or flags & getattr(os, "O_TMPFILE", 0) == os.O_TMPFILE:
            return
        if self._number(place) is None and flags & os.O_CREAT:
            self._make(place)
        elif place[-1] != ".lock":
            msg = f"{path} is written in place ({mode})"
            raise AssertionError(msg)

    def _named(self, event: str, place: tuple[str, ...] | None) -> None:
        if place is None:
            return
        number = self._number(place)
        if event == "os.mkdir":
            if number is None:
                self.folders.add(self._make(place))
        elif number is not None and not any(folder == number for folder, _ in self.links):
            self._add({self._link(place): None})

    def _moved(self, event: str, one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> None:
        if one is None or other is None or (moved := self._number(one)) is None:
            return
        replaced = self._number(other)
        if event == "os.rename":
            self._add({self._link(other): moved, self._link(one): None})
        elif replaced is not None:
            self._add({self._link(other): moved, self._link(one): replaced})

    def _make(self, place: tuple[str, ...]) -> int:
        number = next(self._numbers)
        self._add({self._link(place): number})
        return number

    def _add(self, links: dict[Link, int | None]) -> None:
        self.steps.append(Step(links))
        for link, number in links.items():
            if number is None:
                self.links.pop(link, None)
            else:
                self.links[link] = number

    def _place(self, path: Any, at: int = -1) -> tuple[str, ...] | None:
        base = Path(f"/proc/self/fd/{at}").readlink() if at >= 0 else Path.cwd()
        path = Path(os.fsdecode(path))
        if path.parts[:3] == ("/", "proc", "self"):
            path = path.readlink()
        try:
            return (base / path).relative_to(self.root).parts
        except ValueError:
            return None

    def _number(self, place: tuple[str, ...]) -> int | None:
        number: int | None = 0
        for name in place:
            number = None if number is None else self.links.get((number, name))
        return number

    def _link(self, place: tuple[str, ...]) -> Link:
        folder = self._number(place[:-1])
        assert folder is not None, place
        return folder, place[-1]


_listeners: list[Callable[[str, tuple[Any, ...]], None]] = []


def _tell(event: str, given: tuple[Any, ...]) -> None:
    if _listeners:
        hear, _listeners[:] = _listeners[0], []  # what it does itself is not recorded
        try:
            hear(event, given)
        finally:
            _listeners.append(hear)


sys.addaudithook(_tell)


@dataclass
class Crashes:
    """All states in which a power cut during a recording may leave the disk.

    Attributes:
        recording: What was recorded.
        orders: How many sets of writes were tried.
        sampled: At how many moments there were too many to try all.
    """

    recording: Recording
    orders: int = 0
    sampled: int = 0

    def states(self) -> Iterator[dict[str, bytes]]:
        """Yield the files of each distinct state, by their paths; workplaces are left out."""
        seen, sure = set(), dict(self.recording.before)
        pending: list[Step] = []
        contents = dict(self.recording.sure)
        for step in [Step(), *self.recording.steps]:
            if step.syncs in self.recording.folders and step.syncs is not None:
                for one in [one for one in pending if any(link[0] == step.syncs for link in one.links)]:
                    _apply(sure, one)
                    pending.remove(one)
            elif step.syncs is not None:
                contents[step.syncs] = step.content
            elif step.links:
                pending.append(step)
            for chosen, torn in self._choices(sure, pending, contents):
                links = dict(sure)
                for one in chosen:
                    _apply(links, one)
                state = self._tree(links, contents, torn)
                key = hash(tuple(sorted(state.items())))
                if key not in seen:
                    seen.add(key)
                    yield state

    def _choices(
        self, sure: dict[Link, int], pending: list[Step], contents: dict[int, bytes]
    ) -> Iterator[tuple[list[Step], set[int]]]:
        """Yield which of the writes that are not sure reached the disk, and which files not."""
        relevant, unsynced = self._relevant(sure, pending, contents)
        bits = [*relevant, *unsynced]
        if len(bits) <= MOST:
            subsets: Iterator[tuple[int, ...]] = itertools.product((0, 1), repeat=len(bits))
        else:
            self.sampled += 1
            rng = random.Random(0)  # noqa: S311
            ones = [tuple(int(i == j) for i in range(len(bits))) for j in range(len(bits))]
            lost = [tuple(1 - bit for bit in one) for one in ones]
            drawn = [tuple(rng.choices((0, 1), k=len(bits))) for _ in range(64)]
            subsets = iter([(0,) * len(bits), (1,) * len(bits), *ones, *lost, *drawn])
        for subset in subsets:
            self.orders += 1
            kept = {id(bit) for bit, is_kept in zip(relevant, subset, strict=False) if is_kept}
            chosen = [one for one in pending if id(one) in kept]
            torn = {n for n, is_kept in zip(unsynced, subset[len(relevant) :], strict=True) if not is_kept}
            yield chosen, torn

    def _relevant(
        self, sure: dict[Link, int], pending: list[Step], contents: dict[int, bytes]
    ) -> tuple[list[Step], list[int]]:
        """Return the steps and files that a reader might meet the outcome of."""
        possible: dict[Link, set[int]] = {link: {number} for link, number in sure.items()}
        for step in pending:
            for link, number in step.links.items():
                possible.setdefault(link, set()).update(() if number is None else {number})
        by_folder: dict[int, list[tuple[str, set[int]]]] = {}
        for (folder, name), numbers in possible.items():
            by_folder.setdefault(folder, []).append((name, numbers))
        named = self._named(possible, contents)
        read: set[Link] = set()
        visible, todo = {0}, [(0, "")]
        while todo:
            folder, called = todo.pop()
            for name, numbers in by_folder.get(folder, ()):
                if WORKPLACE.fullmatch(name) or (called == "segments" and name not in named):
                    continue
                read.add((folder, name))
                todo += [(number, name) for number in numbers - visible]
                visible |= numbers
        relevant = [step for step in pending if read & step.links.keys()]
        files = visible - self.recording.folders
        return relevant, sorted(number for number in files if number not in contents)

    def _named(self, possible: dict[Link, set[int]], contents: dict[int, bytes]) -> set[str]:
        """Return the segments that any manifest names which may be found."""
        named = set()
        for (_, name), numbers in possible.items():
            if name == "manifest.json":
                for number in numbers:
                    content = contents.get(number, self.recording.contents.get(number, b""))
                    named |= {entry["name"] for entry in json.loads(content)["content"]["segments"]}
        return named

    def _tree(self, links: dict[Link, int], contents: dict[int, bytes], torn: set[int]) -> dict[str, bytes]:
        """Return the files, by their paths. One that was not synced may be whole, or end in the middle."""
        found: dict[str, bytes] = {}

        def walk(folder: int, path: str) -> None:
            for (at, name), number in links.items():
                if at != folder or WORKPLACE.fullmatch(name):
                    continue
                if number in self.recording.folders:
                    found[f"{path}{name}/"] = b""
                    walk(number, f"{path}{name}/")
                else:
                    whole = contents.get(number, self.recording.contents.get(number, b""))
                    found[f"{path}{name}"] = whole[: len(whole) // 2] if number in torn else whole

        walk(0, "")
        return found


def _apply(links: dict[Link, int], step: Step) -> None:
    for link, number in step.links.items():
        if number is None:
            links.pop(link, None)
        else:
            links[link] = number


def lay_out(state: dict[str, bytes], folder: Path) -> None:
    """Write the files of a state."""
    folder.mkdir(parents=True)
    for name, content in sorted(state.items()):
        if name.endswith("/"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        else:
            (folder / name).write_bytes(content)
