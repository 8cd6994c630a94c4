"""Runs one command again and again on disks that are too small, in a mount namespace of its own.

``python small_disk.py INPUTS COMMAND LEVELS``: INPUTS is a folder with host, artifact and files. A line of
JSON per level says how it ended. Status 3: this system lets nobody mount.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
ROOMY = 512 << 20
NEWNS, NEWUSER, REC_PRIVATE = 0x20000, 0x10000000, 0x44000
CANNOT_MOUNT = 3

Arguments = Callable[[Path, Path], list[str]]


@dataclass(frozen=True)
class Case:
    """A command that writes.

    Attributes:
        arguments: Of the command, given the inputs and the disk; or what Python code does there.
        before: What is on the disk before.
        goes_on: It keeps what it had done, to go on from there.
        spools: The disk is that of temporary files.
    """

    arguments: Arguments | None = None
    work: Callable[[Path, Path], object] | None = None
    before: Callable[[Path, Path], object] = lambda _inputs, _disk: None
    goes_on: bool = False
    spools: bool = False

    def run(self, inputs: Path, disk: Path) -> tuple[int, str]:
        """Return the status and what was said about it."""
        from s3_retriever import S3RetrieverError
        from s3_retriever.cli.main import main

        if self.work is not None:
            try:
                self.work(inputs, disk)
            except S3RetrieverError as error:
                return 2, str(error)
            return 0, ""
        assert self.arguments is not None
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            status = main(self.arguments(inputs, disk))
        return status, said.getvalue()


def _index(inputs: Path, out: Path, *more: str, corpus: str = "corpus.jsonl") -> list[str]:
    arguments = ["index", str(inputs / corpus), "--out", str(out), "--no-progress", *more]
    return [*arguments, "--host", str(inputs / "host"), "--artifact", str(inputs / "artifact")]


def _spooled(inputs: Path) -> Path:
    """Where the index goes whose temporary files fill the disk."""
    return inputs / f"from-{os.getpid()}"


def _copy_index(inputs: Path, disk: Path) -> None:
    shutil.copytree(inputs / "index", disk / "index")


def _update(inputs: Path, disk: Path) -> None:
    from s3_retriever import S3Retriever

    retriever = S3Retriever.load(disk / "index", host=str(inputs / "host"))
    retriever.update([{"id": "new", "text": "Oil. " * 300}, {"id": "bread", "text": "Bread is baked."}])
    retriever.merge()
    retriever.save(disk / "index")


def _save_artifact(inputs: Path, disk: Path) -> None:
    from s3_retriever import Artifact

    Artifact.load(inputs / "artifact").save(disk / "artifact")


def _persist(inputs: Path, disk: Path) -> None:
    from llama_index.retrievers.s3 import S3Retriever as LlamaRetriever
    from s3_retriever import S3Retriever

    LlamaRetriever(S3Retriever.load(inputs / "index", host=str(inputs / "host"))).persist(disk / "index")


def _save_local(inputs: Path, disk: Path) -> None:
    from langchain_s3_retriever import S3Retriever as LangChainRetriever
    from s3_retriever import S3Retriever

    core = S3Retriever.load(inputs / "index", host=str(inputs / "host"))
    LangChainRetriever(core=core).save_local(disk / "index")


SAE = ["--features", "16", "-k", "2", "--steps", "5"]
QUICK = ["--layers", "0", "-k", "1,4", "--features", "16", "--steps", "5", "--tokens", "600"]
QUICK += ["--held-out-tokens", "100", "--row-tokens", "50"]


def _learned(name: str, *more: str) -> Arguments:
    def arguments(inputs: Path, disk: Path) -> list[str]:
        texts = [] if name == "train" else ["--pairs", str(inputs / "pairs.jsonl"), "--epochs", "1"]
        given = ["--host", str(inputs / "host")] if name == "train" else [str(inputs / "host")]
        out = ["--text", str(inputs / "text.jsonl"), "--out", str(disk / "made"), "--no-progress"]
        kept = ["--checkpoints", str(disk / "kept")] if name == "train" else []
        first, rest = ([], given) if name == "train" else (given, [])
        return [name, *first, *texts, *out, *kept, *rest, "--heads", "1.0,2.3", *more]

    return arguments


def _measured(name: str, *more: str) -> Arguments:
    def arguments(inputs: Path, disk: Path) -> list[str]:
        data = [str(inputs / "data")] if name == "evaluate" else ["--text", str(inputs / "prose.txt")]
        made = ["--host", str(inputs / "host"), "--artifact", str(inputs / "artifact")]
        return [name, *data, "--methods", "bm25", "--out", str(disk / "run"), *more, *made]

    return arguments


CASES = {
    "index": Case(lambda i, d: _index(i, d / "index")),
    "overwrite": Case(lambda i, d: _index(i, d / "index", "--overwrite"), before=_copy_index),
    "save": Case(work=_update, before=_copy_index),
    "search": Case(
        lambda i, d: [
            *("search", str(i / "index"), "--queries", str(i / "questions.jsonl"), "--no-progress"),
            *("--out", str(d / "run.jsonl"), "--host", str(i / "host")),
        ]
    ),
    "artifact": Case(work=_save_artifact, before=_save_artifact),
    "persist": Case(work=_persist),
    "save_local": Case(work=_save_local),
    "spool": Case(lambda i, d: _index(i, _spooled(i), corpus="long.jsonl"), spools=True),
    "pairs": Case(lambda i, d: ["pairs", str(i / "manual.jsonl"), "--out", str(d / "pairs.jsonl")]),
    "calibrate": Case(_learned("calibrate")),
    "train": Case(_learned("train", *SAE), goes_on=True),
    "fit": Case(_learned("fit", *SAE)),
    "export": Case(lambda i, d: ["export", str(i / "artifact"), "--out", str(d / "saes")]),
    "import": Case(
        lambda i, d: ["import", str(i / "saes"), "--into", str(i / "artifact"), "--out", str(d / "made")]
    ),
    "analyze": Case(
        lambda i, d: [
            *("analyze", str(i / "host"), "--text", str(i / "text.jsonl"), "--out", str(d / "analysis")),
            *("--no-progress", *QUICK),
        ]
    ),
    "evaluate": Case(_measured("evaluate", "--budgets", "16"), goes_on=True),
    "needles": Case(
        _measured("needles", "--lengths", "1000", "--depths", "2", "--per-depth", "1", "--needles", "1"),
        goes_on=True,
    ),
}


def main() -> int:
    """Run a case at some levels."""
    inputs, name, levels = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    case = CASES[name]
    if not _own_namespace():
        return CANNOT_MOUNT
    if name in ("calibrate", "train", "fit"):
        _few_pairs()
    disk = inputs / "disk"
    disk.mkdir(exist_ok=True)
    if case.spools:
        tempfile.tempdir = str(disk)
    with _mounted(disk, ROOMY):
        case.before(inputs, disk)
        before = _used(disk)
        status, said = case.run(inputs, disk)
        assert status == 0, said
        shutil.rmtree(_spooled(inputs), ignore_errors=True)
        most = max(_used(disk) - before, before, 8 * PAGE)
    levels = min(levels, 6) if case.spools else levels  # each scans a long corpus
    most *= 4 if case.goes_on else 1.6  # what it keeps meanwhile is gone at the end
    for level in range(levels):
        room = before + int(most * level / levels) + (PAGE if level else 0)
        print(json.dumps(_at(case, inputs, disk, room, again=level % 4 == 0)), flush=True)  # noqa: T201
    return 0


def _few_pairs() -> None:
    """Leave few of the shipped pairs: the whole reference would take a minute at each level."""
    from s3_retriever.training import pairs

    documents, shipped = pairs.shipped_pairs()
    few = [one for one in documents if one.id.rpartition("/")[2] in ("pass", "break", "assert")]
    asked = [pair for pair in shipped if pair.doc_id in {one.id for one in few}]
    pairs.shipped_pairs = lambda: (few, asked)


def _at(case: Case, inputs: Path, disk: Path, room: int, *, again: bool) -> dict[str, object]:
    """Run a case on a disk of so many bytes; if wanted, again with all the room it needs."""
    with _mounted(disk, ROOMY):
        case.before(inputs, disk)
        before, held = _used(disk), _held(disk)
        _resize(disk, max(room, before, PAGE))
        status, said = case.run(inputs, disk)
        left, after = _used(disk) - before, _held(disk)
        _resize(disk, ROOMY)
        failed, said_again = case.run(inputs, disk) if status and again else (0, "")
        shutil.rmtree(_spooled(inputs), ignore_errors=True)
        return {
            "room": room - before,
            "status": status,
            "said": said,
            "left": 0 if case.goes_on else left,
            "kept": case.goes_on or held.items() <= after.items(),
            "litter": [name for name in after if name.endswith(".tmp") or ".tmp/" in name],
            "again": said_again if failed else "",
        }


def _used(disk: Path) -> int:
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_bsize


def _held(disk: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(disk)): file.read_bytes() if file.is_file() else b""
        for file in disk.rglob("*")
        if file.name != ".lock"
    }


def _own_namespace() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    user, group, root = os.getuid(), os.getgid(), os.geteuid() == 0
    if libc.unshare(NEWNS | (0 if root else NEWUSER)) != 0:
        return False
    if not root:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
    return bool(libc.mount(b"none", b"/", None, REC_PRIVATE, None) == 0)


@contextlib.contextmanager
def _mounted(disk: Path, size: int):  # type: ignore[no-untyped-def]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", 0, f"size={size}".encode()) != 0:
        sys.exit(CANNOT_MOUNT)
    try:
        yield
    finally:
        libc.umount2(os.fsencode(disk), 2)


def _resize(disk: Path, size: int) -> None:
    remount = 0x20
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"tmpfs", os.fsencode(disk), b"tmpfs", remount, f"size={size}".encode()) == 0


if __name__ == "__main__":
    sys.exit(main())
