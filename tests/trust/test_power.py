"""Power cuts: every reordering of the writes that ten histories made, as far as syncs allow it, is loaded."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import Maker, change, document, files, holds, overwrite, size
from recorded import Crashes, Recording, lay_out

from s3_retriever import Index, IndexFormatError, disk, durable
from s3_retriever.saved import read_saved

HISTORIES = size("HISTORIES", 3)
KINDS = ("first", "update", "overwrite", "add", "delete", "merge", "mend", "artifact", "empty", "twice")


def prepare(kind: str, make: Maker, path: Path) -> Callable[[], object]:
    """Save an index, unless it is to be the first; return what is recorded."""
    rng = random.Random(kind)  # noqa: S311
    if kind != "first":
        start = make([document(f"d{n}", n) for n in range(3)])
        start.add([document("d3", 1)])
        start.save(path)
    if kind in ("first", "overwrite"):
        other = make([document("d5", 5), document("d6", 2)])
        return lambda: overwrite(other, path) if kind == "overwrite" else other.save(path)
    retriever = make.load(path)
    if kind == "mend":
        retriever = start
        next(files(path / "index" / "segments")).unlink()
    elif kind == "artifact":
        (path / "artifact" / "artifact.json").write_text("{}", encoding="utf-8")
    elif kind == "empty":
        retriever.delete(retriever.document_ids)
    elif kind != "twice":
        change(retriever, kind, rng)

    def save() -> None:
        retriever.save(path)
        if kind == "twice":
            for one in ("update", "add", "merge"):
                change(retriever, one, rng)
                retriever.save(path)

    return save


@pytest.mark.skipif(sys.platform != "linux", reason="finds names by /proc")
@pytest.mark.long
def test_a_power_cut_at_any_moment_leaves_the_old_index_or_the_new(
    make: Maker, quick: Path, counted: Callable[[str], None]
) -> None:
    if not durable._renameat2():
        pytest.skip("needs swaps in one step")
    orders = states = 0
    for kind in KINDS[:HISTORIES]:
        crashes, wanted = record(kind, make, quick)
        for number, state in enumerate(crashes.states()):
            check(state, quick / f"{kind}-{number}", kind, wanted, make)
            states += 1
        orders += crashes.orders
        assert not crashes.sampled, kind
    counted(f"{HISTORIES} histories, {orders} sets of writes that reached the disk, {states} different disks")


def record(kind: str, make: Maker, quick: Path) -> tuple[Crashes, list[object]]:
    """Record a history; return what a power cut may leave, and what the index may hold then."""
    root = (quick / kind).resolve()
    for _ in range(2):  # the first time, Python may load or cache something
        root.mkdir()
        save = prepare(kind, make, root / "index")
        recording = Recording(root)
        wanted = [] if kind == "first" else [segments(root / "index")]
        recording.during(save)
        wanted.append(segments(root / "index"))
        shutil.rmtree(root)
    assert len(recording.steps) > 5
    return Crashes(recording), wanted


@pytest.mark.skipif(sys.platform != "linux", reason="finds names by /proc")
@pytest.mark.long
@pytest.mark.parametrize("missing", ["sync_tree", "sync_folder"])
def test_a_sync_that_is_left_out_is_found(
    make: Maker, quick: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """The model is worth what it finds."""
    for module in (durable, disk):
        monkeypatch.setattr(module, missing, lambda _: None)
    crashes, wanted = record("update", make, quick)
    monkeypatch.undo()
    with pytest.raises((AssertionError, IndexFormatError)):
        for number, state in enumerate(crashes.states()):
            check(state, quick / f"{number}", "update", wanted, make)


def segments(path: Path) -> object:
    """What the index holds; a damaged one is described by its manifest."""
    try:
        return holds(Index.load(path / "index"))
    except IndexFormatError:
        return (path / "index" / "manifest.json").read_bytes()


def check(state: dict[str, bytes], folder: Path, kind: str, wanted: list[object], make: Maker) -> None:
    lay_out(state, folder)
    path = folder / "index"
    if kind == "first" and not (path / "index" / "manifest.json").exists():
        with pytest.raises(IndexFormatError):
            read_saved(path)
    elif kind == "twice":
        read_saved(path)
    elif kind not in ("mend", "artifact"):  # or it is as damaged as before
        assert holds(read_saved(path)[0]) in wanted
    again = make([document("d7", 7)])
    again.save(path)  # whatever it is, it can be saved over
    assert holds(read_saved(path)[0]) == holds(again.index)
    shutil.rmtree(folder)
