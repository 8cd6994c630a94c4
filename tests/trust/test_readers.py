"""Eight processes read from the disk what one writes: saves in place and whole folders that change places."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import Maker, document, overwrite, says, size

from s3_retriever import IndexFormatError
from s3_retriever.saved import read_saved

READERS = size("READERS", 3)
SECONDS = size("SECONDS", 3)
VERSIONS = 6


def read_until(ends: float, path: Path, whole: set[tuple[str, ...]], out: int) -> None:
    """Open the index again and again; write a character per time: what was found."""
    while time.monotonic() < ends:
        os.write(out, read(path, whole))


def read(path: Path, whole: set[tuple[str, ...]]) -> bytes:
    try:
        index, _, _ = read_saved(path)
        texts = {doc.id: doc.text for doc in index.snapshot}  # from the disk
    except Exception as error:  # whatever it is
        print(f"{type(error).__name__}: {error}", flush=True)  # noqa: T201
        return b"!"
    return b"." if index.document_ids in whole and all(texts.values()) else b"X"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.long
def test_readers_find_a_whole_version_at_any_time(
    make: Maker, quick: Path, counted: Callable[[str], None]
) -> None:
    path = quick / "index"
    versions = [make([document(f"d{n}", v) for n in range(v + 1)]) for v in range(VERSIONS)]
    whole = {one.document_ids for one in versions}
    versions[0].save(path)
    ends = time.monotonic() + SECONDS
    readers = []
    for _ in range(READERS):
        readable, writable = os.pipe()
        if not (child := os.fork()):
            read_until(ends, path, whole, writable)
            os._exit(0)
        os.close(writable)
        readers.append((child, readable))
    writes = Counter[str]()
    while time.monotonic() < ends:
        number = writes.total() % VERSIONS
        if writes.total() % 3:
            with_all = make.load(path)  # in place: the segments of the version before go
            with_all.delete(with_all.document_ids[1:])
            with_all.update([document(f"d{n}", number) for n in range(number + 1)])
            with_all.merge()
            with_all.save(path)
            writes["in place"] += 1
        else:
            overwrite(versions[number], path)
            writes["as a whole"] += 1
    reads = Counter[str]()
    for child, readable in readers:
        with os.fdopen(readable, "rb") as pipe:
            reads.update(pipe.read().decode())
        os.waitpid(child, 0)
    counted(f"{READERS} readers, {reads.total()} reads, 1 writer, writes: {dict(writes)}")
    assert set(reads) == {"."}
    assert reads.total() >= READERS
    assert says(make.load(path))[0] in whole


def test_readers_say_when_there_is_nothing(quick: Path) -> None:
    with pytest.raises(IndexFormatError):
        read_saved(quick / "index")
