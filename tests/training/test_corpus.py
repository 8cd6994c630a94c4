"""What calibration keeps of a corpus and its questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_set import DOCUMENTS, PAIRS, SCAN, TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever import Document, RetrieverConfig, S3Retriever
from s3_retriever.encode import Artifact, center_and_normalize
from s3_retriever.encode.question import encode_question
from s3_retriever.errors import DuplicateDocumentError, InvalidInputError
from s3_retriever.host import Host, QueryHead, Tap
from s3_retriever.host.scan import scan
from s3_retriever.index.layout import CELL
from s3_retriever.training.corpus import DenseCorpus, read_dense_corpus
from s3_retriever.training.pairs import Pair

HEADS = (QueryHead(2, 3), QueryHead(0, 1), QueryHead(2, 2))
TAPS = (Tap(0, 0), Tap(2, 1))


@pytest.fixture(scope="module")
def corpus(tiny_host: Host) -> DenseCorpus:
    return read_dense_corpus(tiny_host, iter(DOCUMENTS), PAIRS, HEADS, scan_config=SCAN)


def scanned_keys(host: Host, taps: tuple[Tap, ...]) -> dict[str, np.ndarray]:
    pieces: dict[str, list[np.ndarray]] = {}
    for piece in scan(DOCUMENTS, host, taps, SCAN):
        pieces.setdefault(piece.document.id, []).append(piece.keys)
    return {key: np.concatenate(parts) for key, parts in pieces.items()}


def cells_of(corpus: DenseCorpus, document: int) -> tuple[np.ndarray, np.ndarray]:
    """A document's keys, (T, n, d), and the keys of the places where it has no token."""
    first, last = corpus.document_cells[document : document + 2]
    flat = corpus.keys[:, first:last].reshape(len(corpus.taps), -1, corpus.keys.shape[-1])
    n = int(corpus.tokens[first:last].sum())
    return flat[:, :n], flat[:, n:]


def test_keys_are_centred_unit_vectors_in_cells_of_one_document(corpus: DenseCorpus, tiny_host: Host) -> None:
    raw = scanned_keys(tiny_host, TAPS)
    means = np.concatenate(list(raw.values())).mean(axis=0)
    assert corpus.taps == TAPS
    assert corpus.head_taps == (1, 0, 1)
    assert len(corpus.document_cells) == len(DOCUMENTS) + 1
    np.testing.assert_allclose(corpus.key_means, means, atol=1e-2)
    for number, document in enumerate(DOCUMENTS):
        keys, padding = cells_of(corpus, number)
        assert keys.shape[1] == tiny_host.count_tokens(document.text)
        assert padding.shape[1] == -keys.shape[1] % CELL
        assert not padding.any()
        np.testing.assert_allclose(np.linalg.norm(keys.astype(np.float32), axis=2), 1, atol=2e-3)
        expected = center_and_normalize(raw[document.id], means).transpose(1, 0, 2)
        np.testing.assert_allclose(keys, expected, atol=1e-2)


def test_keys_are_centred_by_the_means_given(tiny_host: Host, tiny_artifact: Artifact) -> None:
    means = {codec.tap: codec.mean for codec in reversed(tiny_artifact.codecs)}
    corpus = read_dense_corpus(
        tiny_host, DOCUMENTS, PAIRS, tiny_artifact.query_heads, key_means=means, scan_config=SCAN
    )
    raw = scanned_keys(tiny_host, tiny_artifact.taps)
    np.testing.assert_array_equal(corpus.key_means, [codec.mean for codec in tiny_artifact.codecs])
    for number, document in enumerate(DOCUMENTS):
        keys, padding = cells_of(corpus, number)
        assert not padding.any()
        expected = center_and_normalize(raw[document.id], corpus.key_means).transpose(1, 0, 2)
        np.testing.assert_allclose(keys, expected, atol=1e-2)


def test_cells_are_those_of_an_index(corpus: DenseCorpus, tiny_host: Host, tiny_artifact: Artifact) -> None:
    retriever = S3Retriever.from_documents(
        DOCUMENTS, host=tiny_host, artifact=tiny_artifact, config=RetrieverConfig(scan=SCAN)
    )
    snapshot = retriever.index.snapshot
    np.testing.assert_array_equal(corpus.tokens, snapshot.cell_tokens)
    np.testing.assert_array_equal(corpus.document_cells, snapshot.document_cells)


def test_queries_are_centred_over_all_questions(corpus: DenseCorpus, tiny_host: Host) -> None:
    asked = [encode_question(tiny_host, pair.question, HEADS)[0] for pair in PAIRS]
    np.testing.assert_allclose(corpus.query_means, np.concatenate(asked).mean(axis=0), rtol=1e-5)
    for queries, example in zip(asked, corpus.examples, strict=True):
        np.testing.assert_allclose(example.queries, queries - corpus.query_means, rtol=1e-6)


def brute_force_shares(host: Host, pair: Pair, first_cell: int) -> dict[int, float]:
    """Give every character to the last token that starts at or before it, and that to its cell."""
    starts = host.encode(TEXTS[pair.doc_id]).starts.tolist()
    characters = [c for start, end in pair.evidence for c in range(start, end)]
    cells = [first_cell + max(t for t, at in enumerate(starts) if at <= c) // CELL for c in characters]
    return {cell: cells.count(cell) / len(cells) for cell in cells}


@settings(max_examples=30, deadline=None)
@given(data=st.data(), doc_id=st.sampled_from([key for key, text in TEXTS.items() if text]))
@pytest.mark.long
def test_evidence_lies_in_the_cells_of_its_characters(
    tiny_host: Host, data: st.DataObject, doc_id: str
) -> None:
    length = len(TEXTS[doc_id])
    bounds = st.tuples(st.integers(0, length), st.integers(0, length)).filter(lambda b: b[0] != b[1])
    ranges = data.draw(st.lists(bounds.map(lambda b: (min(b), max(b))), min_size=1, max_size=3))
    pair = Pair("where?", doc_id, tuple(ranges))
    corpus = read_dense_corpus(tiny_host, DOCUMENTS, [pair], HEADS[1:2], scan_config=SCAN)
    (example,) = corpus.examples
    assert DOCUMENTS[example.document].id == doc_id
    expected = brute_force_shares(tiny_host, pair, int(corpus.document_cells[example.document]))
    assert example.cells.tolist() == list(dict.fromkeys(example.cells.tolist()))
    found = dict(zip(example.cells.tolist(), example.weights.tolist(), strict=True))
    assert {cell: share for cell, share in found.items() if share} == pytest.approx(expected, abs=1e-6)
    assert example.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("documents", "pairs", "part"),
    [
        (DOCUMENTS, [], "got none"),
        (DOCUMENTS, [replace(PAIRS[0], doc_id="nowhere")], "'nowhere'"),
        ([], PAIRS[:1], "'harbour'"),
        ([Document("harbour", "")], PAIRS[:1], "0 characters of 'harbour'"),
        (DOCUMENTS, [replace(PAIRS[0], evidence=((5, 5000),))], "[5, 5000]"),
        (DOCUMENTS, [replace(PAIRS[0], evidence=((7, 7),))], "[7, 7]"),
        (DOCUMENTS, [replace(PAIRS[0], evidence=())], repr(PAIRS[0].question)),
    ],
)
def test_what_cannot_be_used_is_named(
    tiny_host: Host, documents: list[Document], pairs: list[Pair], part: str
) -> None:
    with pytest.raises(InvalidInputError) as raised:
        read_dense_corpus(tiny_host, documents, pairs, HEADS, scan_config=SCAN)
    assert part in str(raised.value)


def test_a_repeated_id_is_refused_wherever_it_comes(tiny_host: Host) -> None:
    with pytest.raises(DuplicateDocumentError, match="'harbour'"):
        read_dense_corpus(tiny_host, [*DOCUMENTS, DOCUMENTS[0]], PAIRS, HEADS, scan_config=SCAN)


def test_a_head_that_does_not_exist_is_refused_before_a_document_is_read(tiny_host: Host) -> None:
    documents = iter(DOCUMENTS)
    with pytest.raises(InvalidInputError, match=r"query head 2\.4 is not in host 'tiny'"):
        read_dense_corpus(tiny_host, documents, PAIRS, [QueryHead(2, 4)], scan_config=SCAN)
    assert next(documents) is DOCUMENTS[0]
