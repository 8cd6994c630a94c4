from __future__ import annotations

import _thread
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.host import Host, Tap
from s3_retriever.host.progress import ScanProgress
from s3_retriever.host.scan import ScanConfig, ScannedPiece, scan

TAPS = [Tap(1, 0), Tap(2, 1)]
WIDE = ScanConfig(chunk_tokens=256)
SMALL = ScanConfig(chunk_tokens=32, overlap_tokens=8, batch_tokens=64)


def by_document(pieces: Iterator[ScannedPiece]) -> list[tuple[str, list[ScannedPiece]]]:
    """Collect the pieces of each document, checking that they are in order."""
    documents: list[tuple[str, list[ScannedPiece]]] = []
    for piece in pieces:
        if piece.first:
            assert not documents or documents[-1][1][-1].last
            documents.append((piece.document.id, []))
        assert documents[-1][0] == piece.document.id
        documents[-1][1].append(piece)
    assert not documents or documents[-1][1][-1].last
    return documents


def all_keys(pieces: list[ScannedPiece]) -> np.ndarray:
    return np.concatenate([piece.keys for piece in pieces])


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.one_of(st.text(max_size=20), st.text("ab c漢👍\0\ud800", max_size=150)), max_size=8))
def test_every_token_comes_once_in_order(tiny_host: Host, texts: list[str]) -> None:
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    scanned = by_document(scan(documents, tiny_host, TAPS, SMALL))
    assert [name for name, _ in scanned] == [document.id for document in documents]
    for document, (_, pieces) in zip(documents, scanned, strict=True):
        tokens = tiny_host.encode(document.text)
        np.testing.assert_array_equal(np.concatenate([piece.starts for piece in pieces]), tokens.starts)
        assert all_keys(pieces).shape == (len(tokens), 2, 16)
        assert all(len(piece.starts) == len(piece.keys) for piece in pieces)


def test_a_document_that_fits_a_chunk_has_its_own_keys(tiny_host: Host) -> None:
    texts = ["The quick brown fox.", "", "x", "A retriever returns the spans of a text. " * 2]
    scanned = by_document(scan([Document(str(i), t) for i, t in enumerate(texts)], tiny_host, TAPS, WIDE))
    for text, (_, pieces) in zip(texts, scanned, strict=True):
        np.testing.assert_array_equal(all_keys(pieces), tiny_host.keys([tiny_host.encode(text).ids], TAPS)[0])


def test_a_long_document_is_cut_with_left_overlap(tiny_host: Host) -> None:
    document = Document("long", "Where does the host keep its keys? In the projections. " * 10)
    ids = tiny_host.encode(document.text).ids
    ((_, pieces),) = by_document(scan([document], tiny_host, TAPS, SMALL))
    assert len(pieces) > 2
    second = tiny_host.keys([ids[32 - 8 : 32 - 8 + 32]], TAPS)[0][8:]
    np.testing.assert_array_equal(pieces[1].keys, second)


def test_keys_do_not_depend_on_the_neighbours(tiny_host: Host) -> None:
    """What makes an index that grew by adding equal to one built at once."""
    documents = [Document(str(n), "the lazy dog jumps " * n) for n in (1, 30, 2, 9, 3, 12, 4)]
    together = dict(by_document(scan(documents, tiny_host, TAPS, SMALL)))
    for document in documents:
        ((_, alone),) = by_document(scan([document], tiny_host, TAPS, SMALL))
        np.testing.assert_array_equal(all_keys(alone), all_keys(together[document.id]))


@pytest.mark.long
@pytest.mark.parametrize("text", ["", "the lazy dog"])
def test_documents_are_read_only_as_needed(tiny_host: Host, text: str) -> None:
    read = 0

    def endless() -> Iterator[Document]:
        nonlocal read
        while True:
            read += 1
            yield Document(str(read), text)

    pieces = scan(endless(), tiny_host, TAPS, SMALL, threads=2)
    assert read == 0
    next(pieces)
    assert 1 <= read <= 1100  # twice 8 batches of 64 tokens; an empty document counts as one token
    pieces.close()


def test_a_long_document_is_not_held_as_keys(tiny_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned_tokens = 0
    keys = Host.keys

    def counting(self: Host, batch: list, taps: list) -> list:
        nonlocal scanned_tokens
        scanned_tokens += sum(map(len, batch))
        return keys(self, batch, taps)

    monkeypatch.setattr(Host, "keys", counting)
    pieces = scan([Document("long", "the lazy dog " * 5000)], tiny_host, TAPS, SMALL, threads=2)
    assert next(pieces).first
    pieces.close()
    assert scanned_tokens <= 2 * (8 * 64 + 32)


def test_batches_come_in_few_sizes(tiny_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    keys = Host.keys

    def noting(self: Host, batch: list, taps: list) -> list:
        rows.append(len(batch))
        return keys(self, batch, taps)

    monkeypatch.setattr(Host, "keys", noting)
    documents = [Document(str(i), "the lazy dog") for i in range(23)]
    length = tiny_host.padded_length(tiny_host.count_tokens(documents[0].text))
    config = ScanConfig(length, 0, batch_tokens=12 * length)
    scanned = scan(documents, tiny_host, TAPS, config, threads=1)
    assert [piece.document for piece in scanned] == documents
    assert rows == [0, 12, 8, 2, 1]  # nothing first, to check the taps


def test_mistakes_are_named_before_anything_is_read(tiny_host: Host) -> None:
    with pytest.raises(InvalidInputError, match=r"tap 9\.0"):
        scan([], tiny_host, [Tap(9, 0)], SMALL)
    with pytest.raises(InvalidInputError, match="chunk_tokens 512 exceeds the host's window of 256"):
        scan([], tiny_host, TAPS, ScanConfig(chunk_tokens=512))
    with pytest.raises(InvalidInputError, match=r"overlap_tokens .* not 32"):
        ScanConfig(chunk_tokens=32, overlap_tokens=32)
    with pytest.raises(InvalidInputError, match=r"chunk_tokens .* not 0"):
        ScanConfig(chunk_tokens=0)
    with pytest.raises(InvalidInputError, match=r"batch_tokens .* not 100"):
        ScanConfig(batch_tokens=100)


def documents_of(*sizes: int) -> list[Document]:
    return [Document(str(i), "the lazy dog jumps " * n) for i, n in enumerate(sizes)]


def scanning_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("s3-scan")]


@pytest.mark.long
def test_keys_do_not_depend_on_the_number_of_threads(tiny_host: Host) -> None:
    documents = documents_of(*range(40), 400, 0, 3)
    one, *others = (
        by_document(scan(documents, tiny_host, TAPS, SMALL, threads=threads)) for threads in (1, 2, 3)
    )
    assert [name for name, _ in one] == [document.id for document in documents]
    for other in others:
        for (name, pieces), (its_name, its_pieces) in zip(one, other, strict=True):
            assert name == its_name
            np.testing.assert_array_equal(all_keys(pieces), all_keys(its_pieces))


def test_what_is_encoded_takes_the_place_of_keys(tiny_host: Host) -> None:
    documents = documents_of(3, 0, 60)
    plain = scan(documents, tiny_host, TAPS, SMALL)
    encoded = scan(documents, tiny_host, TAPS, SMALL, encode=lambda keys: (keys.shape, float(keys.sum())))
    for ours, expected in zip(encoded, plain, strict=True):
        assert ours.keys == (expected.keys.shape, float(expected.keys.sum()))
        assert (ours.document, ours.first, ours.last) == (expected.document, expected.first, expected.last)


@pytest.mark.long
def test_each_pass_takes_one_core_and_others_keep_theirs(tiny_host: Host) -> None:
    """Threads that start later too: torch would give them the number set last."""
    before = torch.get_num_threads()
    seen: list[int] = []

    def note(_: object) -> None:
        seen.append(torch.get_num_threads())

    torch.set_num_threads(3)
    try:
        list(scan(documents_of(*[50] * 8), tiny_host, TAPS, SMALL, encode=note, threads=2))
        assert set(seen) == {1}
        note(None)
        other = threading.Thread(target=note, args=(None,))
        other.start()
        other.join()
        assert seen[-2:] == [3, 3]
    finally:
        torch.set_num_threads(before)


def test_batches_are_under_way_at_once(tiny_host: Host) -> None:
    """Each of two threads waits until the other has a batch too."""
    both = threading.Barrier(2, timeout=60)
    list(scan(documents_of(0, 3), tiny_host, TAPS, SMALL, encode=lambda _: both.wait(), threads=2))


@pytest.mark.long
def test_an_error_of_the_documents_ends_the_threads(tiny_host: Host) -> None:
    def broken() -> Iterator[Document]:
        yield from documents_of(*[100] * 5)
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="the source is gone"):
        list(scan(broken(), tiny_host, TAPS, SMALL, threads=2))
    assert not scanning_threads()


def test_an_error_in_a_thread_is_raised_as_it_is(tiny_host: Host) -> None:
    error = RuntimeError("no memory")

    def fail(_: object) -> None:
        raise error

    with pytest.raises(RuntimeError) as raised:
        list(scan(documents_of(*[100] * 5), tiny_host, TAPS, SMALL, encode=fail, threads=2))
    assert raised.value is error
    assert not scanning_threads()


def test_an_interrupt_ends_the_threads(tiny_host: Host) -> None:
    encoded: list[None] = []

    def interrupt(_: object) -> None:
        if not encoded:
            _thread.interrupt_main()
        encoded.append(None)
        time.sleep(0.02)

    with pytest.raises(KeyboardInterrupt):
        list(scan(documents_of(*[100] * 50), tiny_host, TAPS, SMALL, encode=interrupt, threads=2))
    assert not scanning_threads()


def test_who_stops_early_ends_the_threads(tiny_host: Host) -> None:
    pieces = scan(documents_of(*[100] * 5), tiny_host, TAPS, SMALL, threads=2)
    next(pieces)
    assert scanning_threads()
    pieces.close()
    assert not scanning_threads()


@pytest.mark.long
def test_scans_and_the_owner_share_a_model(tiny_host: Host) -> None:
    documents = documents_of(*range(30))
    ids = torch.arange(1, 60)[None]

    def scanned(taps: list[Tap]) -> list[np.ndarray]:
        return [piece.keys for piece in scan(documents, tiny_host, taps, SMALL, threads=2)]

    def logits(_: int) -> torch.Tensor:
        with torch.no_grad():
            return tiny_host.model(ids).logits

    other = [Tap(1, 1), Tap(3, 0)]
    expected = [scanned(TAPS), scanned(other)]
    with ThreadPoolExecutor(3) as pool:
        owner = pool.map(logits, range(20))
        found = list(pool.map(scanned, [TAPS, other]))
        for one in owner:
            torch.testing.assert_close(one, logits(0))
    for ours, its in zip(found, expected, strict=True):
        for keys, its_keys in zip(ours, its, strict=True):
            np.testing.assert_array_equal(keys, its_keys)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_threads_is_named(tiny_host: Host, threads: object) -> None:
    with pytest.raises(InvalidInputError, match=f"threads must be a whole number.*not {threads!r}"):
        scan([], tiny_host, TAPS, SMALL, threads=threads)  # type: ignore[call-overload]


@pytest.mark.long
def test_a_terminal_shows_a_bar_where_asked_for(
    tiny_host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = documents_of(3, 0, 200, 4)
    list(scan(documents, tiny_host, TAPS, SMALL))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    tokens = sum(tiny_host.count_tokens(document.text) for document in documents)
    list(scan(documents, tiny_host, TAPS, SMALL, show_progress=True))
    last = capsys.readouterr().err.rpartition("scan:")[2]
    assert re.search(rf"100% .* 4 of 4 documents, {tokens:,} tokens, [\d,]+ tokens/s", last)
    list(scan((one for one in documents_of(3)), tiny_host, TAPS, SMALL, show_progress=True))
    assert "scan: 1 documents, " in capsys.readouterr().err.rpartition("\r")[2]


def test_elsewhere_progress_is_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    with ScanProgress(3, shown=True) as progress:
        for step in range(1, 26):
            clock = 100.0 + step
            progress.add(0.1, 50)
    assert capsys.readouterr().err.splitlines() == [
        "scan: 1 of 3 documents, 500 tokens, 50 tokens/s",
        "scan: 2 of 3 documents, 1,000 tokens, 50 tokens/s",
    ]
    with ScanProgress(3, shown=False) as progress:
        clock += 60
        progress.add(1, 1)
    assert capsys.readouterr().err == ""
