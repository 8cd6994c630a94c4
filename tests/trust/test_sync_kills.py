"""``index`` and ``sync`` killed at any step or moment, and done again: 100 kills in ``make trust``."""

from __future__ import annotations

import faulthandler
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import Maker, files, killed_at, litter, size

from s3_retriever import S3Retriever
from s3_retriever.cli.index import SOME_UNREAD
from s3_retriever.cli.main import main
from s3_retriever.saved import read_saved
from s3_retriever.sources.corpus import Corpus
from s3_retriever.syncing import sync

_PATIENCE = 300  # seconds for a command; one that stands still says where, and fails
KILLS = size("SYNC_KILLS", 8)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SENTENCES = (
    "The keeper stores the oil in the cellar.",
    "Bread is baked at four.",
    "A ship came in.",
    "Lamps.",
)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.long,
]


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(SENTENCES, k=rng.randint(1, 6)))


def write(folder: Path, rng: random.Random) -> None:
    """A folder of eight files, one of which has two documents, and one none."""
    folder.mkdir()
    for name in ("a.txt", "b.md", "c.py", "d.rst", "e.html", "f.csv", "g.json"):
        (folder / name).write_text(f'"{text(rng)}"', encoding="utf-8")
    lines = [f'{{"_id": "{name}", "text": "{text(rng)}"}}\n' for name in "xy"]
    (folder / "h.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")


def edit(folder: Path, rng: random.Random) -> None:
    """Change, delete, rename and add some."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix not in (".jsonl", ".pdf"))
    changed, gone, moved = rng.sample(names, 2), rng.choice(names), rng.choice(names)
    for name in changed:
        (folder / name).write_text(f'"{text(rng)}"', encoding="utf-8")
    (folder / gone).unlink()
    if moved != gone:
        (folder / moved).rename(folder / f"moved-{moved}")
    (folder / "new.txt").write_text(text(rng), encoding="utf-8")


def update(make: Maker, folder: Path, path: Path) -> None:
    """What ``index`` and ``sync`` do, with a save after each document."""
    retriever = make.load(path) if (path / "index" / "manifest.json").exists() else make()
    corpus = Corpus([str(folder)], without=[path])
    corpus.survey()
    sync(retriever, corpus, lambda: retriever.save(path), commit_every=0, threads=1)


def whole(make: Maker, path: Path, merged: Path) -> dict[str, bytes]:
    """The bytes of an index once it is one segment: the same for the same documents in the same order."""
    retriever = make.load(path)
    retriever.merge()
    retriever.save(merged)
    found = {str(file.relative_to(merged)): file.read_bytes() for file in files(merged)}
    shutil.rmtree(merged)
    return found


def test_whatever_is_killed_goes_on_and_ends_as_if_it_had_not_been(
    make: Maker, quick: Path, counted: Callable[[str], None]
) -> None:
    rng = random.Random(0)  # noqa: S311
    kills, left = Counter[str](), Counter[str]()
    steps = {"index": 200, "sync": 200}
    folder, path, reference = quick / "folder", quick / "killed", quick / "whole"
    while kills.total() < KILLS:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(reference, ignore_errors=True)
        write(folder, rng)
        update(make, folder, reference)
        kind = "index" if kills.total() % 2 else "sync"
        if kind == "sync":
            shutil.copytree(reference, path)
            edit(folder, rng)
            update(make, folder, reference)
        for _ in range(rng.randint(1, 3)):  # the one that goes on may be killed, too
            step = rng.randrange(steps[kind])
            if not killed_at(step, lambda: update(make, folder, path)):
                steps[kind] = max(step, 20)
                break
            kills[kind] += 1
            left[held(path)] += 1
        update(make, folder, path)
        assert whole(make, path, quick / "merged") == whole(make, reference, quick / "merged")
        assert not litter(path)
    counted(f"{kills.total()} kills before a step ({dict(kills)}), documents afterwards: {dict(left)}")


def held(path: Path) -> str:
    """How many documents an index has that somebody was killed writing; it can be read."""
    if not (path / "index" / "manifest.json").exists():
        return "no index"
    return str(len(read_saved(path)[0]))


def test_commands_that_are_killed_at_any_moment_go_on(
    make: Maker, tiny_folder: Path, quick: Path, counted: Callable[[str], None]
) -> None:
    rng = random.Random(1)  # noqa: S311
    make.artifact.save(quick / "artifact")
    options = ["--host", str(tiny_folder), "--artifact", str(quick / "artifact"), "--no-progress"]
    folder, path, reference = quick / "folder", quick / "killed", quick / "whole"
    write(folder, rng)
    assert main(["sync", str(folder), str(reference), *options]) == SOME_UNREAD
    expected = whole_of(tiny_folder, reference)
    command = ["index", str(folder), "--out", str(path), *options]
    longest, outcomes, kills = 0.0, Counter[str](), 0
    while kills < max(3, KILLS // 4):
        shutil.rmtree(path, ignore_errors=True)
        started = time.monotonic()
        ended = end_of(command, rng.choice(SIGNALS), rng.uniform(0, longest) if longest else None)
        longest = longest or time.monotonic() - started
        outcomes[ended] += 1
        kills += ended != "done"
        assert ended == "done" or end_of(command, signal.SIGTERM, None) == "done"
        assert whole_of(tiny_folder, path) == expected
    counted(f"{kills} kills at any moment of {outcomes.total()} commands: {dict(outcomes)}")


def whole_of(host: Path, path: Path) -> object:
    retriever = S3Retriever.load(path, host=str(host))
    return [retriever.document(doc_id) for doc_id in retriever.document_ids], retriever.retrieve("oil?", 60)


def end_of(command: list[str], sent: signal.Signals, seconds: float | None) -> str:
    """Run a command in a child process, which may get a signal after some time; return how it ended."""
    child = os.fork()
    if not child:
        status = 99
        sys.settrace(None)  # what coverage would see is lost with the child
        threading.settrace(None)  # type: ignore[arg-type]
        faulthandler.dump_traceback_later(_PATIENCE, exit=True, file=sys.__stderr__)
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            status = main(command)
        finally:
            os._exit(status)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, sent)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return {SOME_UNREAD: "done", 130: "SIGINT"}[os.WEXITSTATUS(status)]
