"""BM25 that follows an index through its changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.index import Index, Layout, Segment, SegmentBuilder, Snapshot
from s3_retriever.search.lexical import BACKENDS, LexicalIndex

LAYOUT = Layout(taps=("0.0",), n_features=(4,), k=(1,), weight_scales=(1.0,))
QUESTION = "oil of the lighthouse, and oil lamps"
WORDS = ("the", "keeper", "of", "a", "lighthouse", "keeps", "oil", "for", "lamp", "lamps", "and", "bread")


def segment(*ids: str) -> Segment:
    """Documents of 1 to 80 words, chosen by their ids, a token each."""
    builder = SegmentBuilder(LAYOUT)
    for doc_id in ids:
        rng = np.random.default_rng(list(doc_id.encode()))
        chosen = rng.choice(WORDS, rng.integers(1, 81)).tolist()
        starts = [0, *itertools.accumulate(len(word) + 1 for word in chosen[:-1])]
        builder.begin(Document(doc_id, " ".join(chosen)))
        features, weights = np.zeros((len(starts), 1), np.uint16), np.zeros((len(starts), 1), np.float32)
        builder.add(np.array(starts), np.zeros(len(starts), np.int32), [features], [weights])
        builder.end()
    return builder.build()


def fresh_scores(snapshot: Snapshot, backend: str) -> np.ndarray:
    return LexicalIndex(backend).scores(snapshot, QUESTION)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(["add", "add", "delete", "merge"]), st.sets(st.sampled_from("abcdef"))),
        max_size=8,
    )
)
def test_it_equals_a_fresh_one_after_any_changes(backend: str, changes: list[tuple[str, set[str]]]) -> None:
    index, lexical = Index(LAYOUT, {}), LexicalIndex(backend)
    for operation, chosen in changes:
        if operation == "add":
            index.add(segment(*sorted(chosen.difference(index.document_ids))))
        elif operation == "delete":
            index.delete(chosen.intersection(index.document_ids))
        else:
            index.merge()
        scores = lexical.scores(index.snapshot, QUESTION)
        assert scores.shape == (index.snapshot.n_cells,)
        assert scores.tobytes() == fresh_scores(index.snapshot, backend).tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
def test_searches_may_read_old_and_new_versions_in_turns(backend: str) -> None:
    index, lexical = Index(LAYOUT, {}), LexicalIndex(backend)
    index.add(segment("a", "b", "c"))
    old = index.snapshot
    index.delete(["a"])
    index.add(segment("d", "a"))
    new = index.snapshot
    for snapshot in (old, new, old, new):
        expected = fresh_scores(snapshot, backend)
        assert lexical.scores(snapshot, QUESTION).tobytes() == expected.tobytes()
        assert expected.any()


def test_words_the_corpus_lacks_score_nothing() -> None:
    index = Index(LAYOUT, {})
    index.add(segment("a", "b"))
    assert not LexicalIndex().scores(index.snapshot, "zebra?").any()


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="'lucene'; choose one of rank_bm25, bm25s"):
        LexicalIndex("lucene")
