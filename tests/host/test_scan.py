from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.host import Host, Tap
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


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.one_of(st.text(max_size=20), st.text("ab c漢👍\0\ud800", max_size=150)), max_size=8))
def test_every_token_comes_once_in_order(tiny_host: Host, texts: list[str]) -> None:
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    scanned = by_document(scan(documents, tiny_host, TAPS, SMALL))
    assert [name for name, _ in scanned] == [document.id for document in documents]
    for document, (_, pieces) in zip(documents, scanned, strict=True):
        tokens = tiny_host.encode(document.text)
        np.testing.assert_array_equal(np.concatenate([piece.starts for piece in pieces]), tokens.starts)
        np.testing.assert_array_equal(np.concatenate([piece.ends for piece in pieces]), tokens.ends)
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


@pytest.mark.parametrize("text", ["", "the lazy dog"])
def test_documents_are_read_only_as_needed(tiny_host: Host, text: str) -> None:
    read = 0

    def endless() -> Iterator[Document]:
        nonlocal read
        while True:
            read += 1
            yield Document(str(read), text)

    pieces = scan(endless(), tiny_host, TAPS, SMALL)
    assert read == 0
    next(pieces)
    assert 1 <= read <= 1100  # 16 batches of 64 tokens; an empty document counts as one token
    pieces.close()


def test_a_long_document_is_not_held_as_keys(tiny_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned_tokens = 0
    keys = Host.keys

    def counting(self: Host, batch: list, taps: list) -> list:
        nonlocal scanned_tokens
        scanned_tokens += sum(map(len, batch))
        return keys(self, batch, taps)

    monkeypatch.setattr(Host, "keys", counting)
    pieces = scan([Document("long", "the lazy dog " * 5000)], tiny_host, TAPS, SMALL)
    assert next(pieces).first
    assert scanned_tokens <= 16 * 64 + 32


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
    assert [piece.document for piece in scan(documents, tiny_host, TAPS, config)] == documents
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


def test_the_bar_is_off_unless_asked_for(tiny_host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [Document("a", "the lazy dog")]
    list(scan(documents, tiny_host, TAPS, SMALL))
    assert capsys.readouterr().err == ""
    list(scan(documents, tiny_host, TAPS, SMALL, progress=True))
    assert "tokens" in capsys.readouterr().err
