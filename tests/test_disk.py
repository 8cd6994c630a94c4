"""Files and folders that appear whole: kills, litter, links, swaps, full disks."""

from __future__ import annotations

import errno
import itertools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from s3_retriever import disk, durable
from s3_retriever.disk import (
    check_writable,
    new_file,
    new_folder,
    only_writer,
    read_whole,
    write_file,
    write_json,
)
from s3_retriever.errors import DiskFullError, IndexBusyError, InvalidInputError
from s3_retriever.index.spool import Spool

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "s3_retriever.exchange")


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Whether a child process that does something died before its file operation number ``step``."""
    child = os.fork()
    if not child:
        operations = itertools.count()

        def die(event: str, _: object) -> None:
            if event in STEPS and next(operations) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def write_folder(path: Path, version: str) -> None:
    with new_folder(path) as new:
        for name in ("a", "b"):
            (new / name).write_text(version, encoding="utf-8")


def read_folder(path: Path) -> str:
    (version,) = {(path / name).read_text(encoding="utf-8") for name in ("a", "b")}
    return version


@pytest.fixture(params=["exchange", "two renames"])
def _each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system swaps in one step, and where it cannot."""
    if request.param == "two renames":
        monkeypatch.setattr(disk, "exchange", lambda *_: False)
    elif not durable._renameat2():
        pytest.skip("this system cannot exchange")


@needs_fork
@pytest.mark.usefixtures("_each_way")
@pytest.mark.long
def test_a_folder_that_is_replaced_is_there_at_any_moment(tmp_path: Path) -> None:
    """Whoever reads it next finds the old one or the new; the next writer leaves no litter."""
    path, seen = tmp_path / "folder", []
    for step in itertools.count():
        write_folder(path, "old")
        died = killed_at(step, lambda: write_folder(path, "new"))
        seen.append(read_whole(path, lambda: read_folder(path)))
        write_folder(path, "newest")
        assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
        if not died:
            break
    assert seen[0] == "old"
    assert seen[-1] == "new"
    assert len(seen) > 10


@needs_fork
@pytest.mark.skipif(not durable._renameat2(), reason="this system cannot exchange")
def test_nobody_finds_nothing_while_a_folder_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    write_folder(path, "0")
    ends = threading.Event()
    missing = []

    def look() -> None:
        while not ends.is_set():
            missing.append(not path.is_dir())

    looking = threading.Thread(target=look)
    looking.start()
    for version in range(100):
        write_folder(path, str(version))
        assert read_whole(path, lambda: read_folder(path)) == str(version)
    ends.set()
    looking.join()
    assert missing
    assert not any(missing)


@needs_fork
def test_a_file_is_the_old_one_or_the_new_and_litter_goes_first(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for step in itertools.count():
        path.write_text("old", encoding="utf-8")
        died = killed_at(step, lambda: write_file(path, b"new"))
        assert path.read_text(encoding="utf-8") in ("old", "new")
        with new_file(path) as file:
            assert len(list(tmp_path.glob(".run.jsonl-*"))) == 1  # our own
            file.write("newest")
        assert [entry.name for entry in tmp_path.iterdir()] == ["run.jsonl"]
        if not died:
            break
    assert step > 5


def test_what_others_write_or_call_alike_is_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "index"
    mine = [tmp_path / ".index-backup", tmp_path / ".index-0123456789abcdef", tmp_path / "index-1.tmp"]
    for folder in mine:
        folder.mkdir()
    with new_folder(path) as theirs:  # another process would be the same: its lock is its own
        (theirs / "a").write_text("theirs", encoding="utf-8")
        with new_folder(path) as ours:
            (ours / "a").write_text("ours", encoding="utf-8")
        assert (path / "a").read_text(encoding="utf-8") == "ours"
    assert (path / "a").read_text(encoding="utf-8") == "theirs"
    assert all(folder.is_dir() for folder in mine)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        ["index", *(folder.name for folder in mine)]
    )


@needs_links
def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    """Neither under a name that could be guessed, nor in the place of what is written."""
    precious = tmp_path / "precious"
    precious.write_text("precious", encoding="utf-8")
    (tmp_path / "treasure").mkdir()
    (tmp_path / "treasure" / "a").write_text("gold", encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (f".run.json.{os.getpid()}.tmp", "run.json.tmp", "run.json"):
        (folder / name).symlink_to(precious)
    write_json(folder / "run.json", "written")
    assert not (folder / "run.json").is_symlink()
    assert (folder / "run.json").read_text(encoding="utf-8") == '"written"\n'
    (folder / "inner").symlink_to(tmp_path / "treasure")
    write_folder(folder / "inner", "new")
    assert not (folder / "inner").is_symlink()
    assert (tmp_path / "treasure" / "a").read_text(encoding="utf-8") == "gold"
    assert [entry.name for entry in (tmp_path / "treasure").iterdir()] == ["a"]
    for lead in ("symbolic", "hard"):
        locked = tmp_path / lead
        locked.mkdir()
        (locked / ".lock").symlink_to(precious) if lead == "symbolic" else os.link(precious, locked / ".lock")
        with pytest.raises(InvalidInputError, match=r"\.lock is not the empty file"), only_writer(locked):
            pass
    assert precious.read_text(encoding="utf-8") == "precious"


@needs_links
def test_a_link_that_a_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "run.jsonl")
    with new_file(tmp_path / "link", follow=True) as file:
        file.write("found")
    assert (tmp_path / "link").is_symlink()
    assert [entry.name for entry in (tmp_path / "real").iterdir()] == ["run.jsonl"]


def test_a_folder_is_not_replaced_under_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who saves into a folder would go on in the one that took its place."""
    monkeypatch.setattr(disk, "PATIENCE", 0.2)
    path = tmp_path / "folder"
    write_folder(path, "old")
    with only_writer(path), pytest.raises(IndexBusyError, match=re.escape(str(path))):
        write_folder(path, "new")
    assert read_folder(path) == "old"
    write_folder(path, "new")
    assert read_folder(path) == "new"


@needs_fork
def test_a_file_that_finds_no_room_is_named_with_its_bytes(tmp_path: Path) -> None:
    """A limit on the size of files fails as a full disk does."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    many = b"many" * 200_000
    spool = Spool(np.int64)

    def in_folder() -> None:
        with new_folder(tmp_path / "folder") as new:
            write_file(new / "many.bin", many, fresh=True)

    def as_text() -> None:
        with new_file(tmp_path / "many.txt") as file:
            file.write("many" * 100_000)

    def spooled() -> None:
        spool.append(np.arange(200_000))
        spool.take()

    writes = {
        str(tmp_path / "many.bin") + ".*800,000 bytes": lambda: write_file(tmp_path / "many.bin", many),
        str(tmp_path / "folder" / "many.bin") + ".*800,000 bytes": in_folder,
        str(tmp_path / "many.txt"): as_text,
        "1,600,000 bytes": spooled,
    }
    for message, write in writes.items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        try:
            with pytest.raises(DiskFullError, match=message) as caught:
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert caught.value.errno == errno.EFBIG
        assert isinstance(caught.value, OSError)
        assert ".tmp" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here", encoding="utf-8")
    with (
        pytest.raises(InvalidInputError, match=r"file is a file, so nothing can be written below it"),
        new_folder(tmp_path / "file" / "index"),
    ):
        pass
    assert (tmp_path / "file").read_text(encoding="utf-8") == "here"


def test_whether_a_folder_can_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here", encoding="utf-8")
    for path in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(InvalidInputError, match=r"file is a file; choose a folder"):
            check_writable(path)
    check_writable(tmp_path / "not" / "yet")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    if Path("/proc/self").is_dir():
        with pytest.raises(OSError, match="/proc"):
            check_writable(Path("/proc/index"))


def test_an_error_of_the_system_names_the_file_that_was_given_and_no_other(tmp_path: Path) -> None:
    """Python writes "a -> b" for errors about two names, even where the second is None."""
    path = tmp_path / "missing" / "run.jsonl"
    with pytest.raises(FileNotFoundError) as caught, new_file(path):
        pass
    assert str(caught.value) == f"[Errno {errno.ENOENT}] {os.strerror(errno.ENOENT)}: {str(path)!r}"
    with pytest.raises(FileNotFoundError) as caught, new_folder(tmp_path / "made") as new:
        (new / "a").rename(new / "b")
    assert str(caught.value).endswith(f": {str(tmp_path / 'made' / 'a')!r}")
