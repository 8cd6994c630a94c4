"""BM25 of an index, whatever happened to it."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import LAYOUT as SCANNED
from index_corpus import append, build, scan
from rank_bm25 import BM25Okapi

from s3_retriever import Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.index import CELL, Index, Layout, Segment, SegmentBuilder, Snapshot
from s3_retriever.index.documents import DocumentStore
from s3_retriever.index.words import Asked, asked, words
from s3_retriever.search.lexical import BACKENDS, LexicalIndex
from s3_retriever.search.lookup import TermLookup
from s3_retriever.search.rarity import RarityBoost

LAYOUT = Layout(taps=("0.0",), n_features=(4,), k=(1,))
QUESTION = "oil of the lighthouse, and oil lamps; 東京都"
WEAKER = "a lighthouse-keeper’s café, keep_oil, 1,234 and 12.5 and 京"
WORDS = (
    "caf\u00e9",
    "cafe",
    "caf\u00e8",
    "keepOil",
    "1234",
    "1 234",
    "the",
    "keeper",
    "of",
    "a",
    "lighthouse",
    "keeps",
    "oil",
    "lamps",
    "bread",
    "東京都庁",
    "\ud800",
)
BOOSTS = (None, RarityBoost(2.0, lambda term: 1 / (1 + len(term))))


def segment(*ids: str) -> Segment:
    """Documents of 0 to 80 words and titles of 0 to 3, chosen by their ids, a token each."""
    builder = SegmentBuilder(LAYOUT)
    for doc_id in ids:
        rng = np.random.default_rng(list(doc_id.encode()))
        chosen = rng.choice(WORDS, rng.integers(0, 81)).tolist()
        n = len(chosen)
        starts = [0, *itertools.accumulate(len(word) + 1 for word in chosen[:-1])][:n]
        builder.begin(Document(doc_id, " ".join(chosen), " ".join(rng.choice(WORDS, rng.integers(0, 4)))))
        features, weights = np.zeros((n, 1), np.uint16), np.zeros((n, 1), np.float32)
        builder.add(np.array(starts, np.int64), np.zeros(n, np.int32), [features], [weights])
        builder.end()
    return builder.build()


def scores_of(
    lexical: LexicalIndex, snapshot: Snapshot, question: str, boost: RarityBoost | None = None
) -> np.ndarray:
    return lexical.scores(TermLookup(snapshot), asked(question), boost)


def from_scratch(snapshot: Snapshot) -> Snapshot:
    index = Index(LAYOUT, {})
    index.add(segment(*snapshot.document_ids))
    return index.snapshot


def rank_bm25(snapshot: Snapshot, question: str) -> np.ndarray:
    """The reference: cells cut from the texts, scored by ``rank_bm25`` with Lucene's idf; then the titles."""
    cells: list[list[str]] = []
    titles: list[set[str]] = []
    for number, document in enumerate(snapshot):
        first = len(cells)
        starts = snapshot.token_starts(number)[::CELL].tolist()
        cells += [[] for _ in starts]
        titles += [{term for term, _ in words(document.title)} for _ in starts]
        for term, at in words(document.text):
            cells[first + max(sum(start <= at for start in starts), 1) - 1].append(term)
    if not any(cells):
        return np.zeros(len(cells))
    reference = BM25Okapi(cells, k1=1.5, b=0.75)
    frequencies = {term: sum(term in cell for cell in cells) for term in reference.idf}
    reference.idf = {t: math.log(1 + (len(cells) - n + 0.5) / (n + 0.5)) for t, n in frequencies.items()}
    plain, scores, of_titles = reference.idf.copy(), np.zeros(len(cells)), np.zeros(len(cells))
    for term, weight, exact, *_ in asked(question):  # a weaker form is no rarer than its word
        together = min(frequencies.get(term, 0) + frequencies.get(exact, 0), len(cells))
        idf = math.log(1 + (len(cells) - together + 0.5) / (together + 0.5))
        reference.idf = plain | {term: weight * idf} if term in plain else plain
        scores += reference.get_scores([term])
        below = sum(one in title for one in {term, exact} for title in titles)
        together = min(frequencies.get(term, 0) + frequencies.get(exact, 0) + below, len(cells))
        idf = math.log(1 + (len(cells) - together + 0.5) / (together + 0.5))
        for i, (cell, title) in enumerate(zip(cells, titles, strict=True)):
            of_titles[i] += weight * idf if term in title and term not in cell else 0
    return scores + of_titles


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "delete", "merge", "save"]), st.sets(st.sampled_from("abcdef"))
        ),
        max_size=8,
    )
)
def test_any_history_scores_as_an_index_from_scratch(
    backend: str, changes: list[tuple[str, set[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    index, lexical = Index(LAYOUT, {}), LexicalIndex(backend)
    for operation, chosen in changes:
        if operation == "add":
            append(index, segment(*sorted(chosen.difference(index.document_ids))))
        elif operation == "delete":
            index.delete(chosen.intersection(index.document_ids))
        elif operation == "merge":
            index.merge()
        else:
            folder = tmp_path_factory.mktemp("index")
            index.save(folder)
            index = Index.load(folder)
        scratch = from_scratch(index.snapshot)
        for boost in BOOSTS:
            scores = scores_of(lexical, index.snapshot, QUESTION, boost)
            assert scores.shape == (index.snapshot.n_cells,)
            assert scores.tobytes() == scores_of(LexicalIndex(backend), scratch, QUESTION, boost).tobytes()
        related = [one.related_terms("keeper") for one in (index.snapshot, scratch)]
        assert related[0] == related[1]
        if backend == "rank_bm25":
            for question in (QUESTION, WEAKER):
                expected = rank_bm25(index.snapshot, question)
                assert scores_of(lexical, index.snapshot, question).tobytes() == expected.tobytes()
    scratch = from_scratch(index.snapshot)
    index.merge()
    assert [one.name for one in index.snapshot.segments] == [one.name for one in scratch.segments]


def test_a_word_above_counts_with_those_that_it_is_a_weaker_form_of() -> None:
    """As many live cells as stand below either, whichever segment they are in."""
    builder, index = SegmentBuilder(LAYOUT), Index(LAYOUT, {})
    for titles in (("Café", "Cafe", "Lamp"), ("Cafe", "Café", "Bar")):
        for title in titles:
            builder.begin(Document(f"{title}{len(index)}", "a b c", title))
            builder.add(
                np.arange(3),
                np.zeros(3, np.int32),
                [np.zeros((3, 1), np.uint16)],
                [np.zeros((3, 1), np.float32)],
            )
            builder.end()
        index.add(builder.build())
        builder = SegmentBuilder(LAYOUT)
    index.delete(["Cafe0"])
    lookup = TermLookup(index.snapshot)
    found = {(one.term, one.exact): lookup.n_below(one)[0] for one in asked("café")}
    weaker = [n for (_, exact), n in found.items() if exact]
    assert weaker
    assert found["café", ""] == 2
    assert all(
        lookup.n_below(one)[0] == 2 + lookup.n_below(Asked(one.term))[0] for one in asked("café") if one.exact
    )


def test_terms_of_deleted_documents_are_related_to_none() -> None:
    index = Index(SCANNED, {})
    append(index, build([scan("a", 10, 0, "keeper keeps keepered"), scan("b", 6, 0, "keepers kept")]))
    append(index, build([scan("c", 2, 0, "keep")]))
    assert index.snapshot.related_terms("keeper") == ["keep", "keepered"]
    index.delete(["a"])
    assert index.snapshot.related_terms("keeper") == ["keep"]
    index.delete(["c"])
    assert index.snapshot.related_terms("keeper") == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_searches_may_read_old_and_new_versions_in_turns(backend: str) -> None:
    index, lexical = Index(LAYOUT, {}), LexicalIndex(backend)
    index.add(segment("a", "b", "c"))
    old = index.snapshot
    index.delete(["a"])
    index.add(segment("d", "a"))
    new = index.snapshot
    for snapshot in (old, new, old, new):
        expected = scores_of(LexicalIndex(backend), from_scratch(snapshot), QUESTION)
        assert scores_of(lexical, snapshot, QUESTION).tobytes() == expected.tobytes()
        assert expected.any()


def make_unreadable(snapshot: Snapshot, kept: set[str] = frozenset()) -> None:
    """Take the texts away from the segments, except those of some documents."""
    for one in snapshot.segments:
        utf8 = np.zeros_like(one.documents.utf8)
        for number in (number for number, doc_id in enumerate(one.ids) if doc_id in kept):
            line = slice(*one.documents.offsets[number : number + 2])
            utf8[line] = one.documents.utf8[line]
        one.documents = DocumentStore(utf8, one.documents.offsets)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_question_reads_a_document(backend: str, tmp_path: Path) -> None:
    """Neither cold, nor after an addition, a deletion, a merge or a load: there is nothing left to read."""
    index, lexical = Index(LAYOUT, {}), LexicalIndex(backend)

    def check() -> None:
        expected = scores_of(LexicalIndex(backend), from_scratch(index.snapshot), QUESTION)
        assert expected.any()
        make_unreadable(index.snapshot)
        with pytest.raises(ValueError):
            index.snapshot.document(0)
        assert scores_of(lexical, index.snapshot, QUESTION).tobytes() == expected.tobytes()

    index.add(segment("a", "b", "c"))
    index.save(tmp_path)
    check()
    index.add(segment("d", "e"))
    check()
    index.delete(["b"])
    check()
    index.merge()
    check()
    index = Index.load(tmp_path)
    check()


TOPICS = ("oil", "bread", "ships", "names", "lamps", "stairs")


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_search_reads_the_documents_that_it_returns(
    backend: str, tiny_host: Host, tiny_artifact: Artifact, tmp_path: Path
) -> None:
    documents = [Document(topic, f"{topic} and nothing else, said the keeper. " * 20) for topic in TOPICS]
    config = RetrieverConfig(ScanConfig(chunk_tokens=64, overlap_tokens=16, batch_tokens=128), bm25=backend)
    made = S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=config)
    made.save(tmp_path / "index")
    expected = made.retrieve("Who has bread?", 40, mode="bm25")
    loaded = S3Retriever.load(tmp_path / "index", host=tiny_host)
    assert expected
    found = {span.doc_id for span in expected}
    make_unreadable(loaded.index.snapshot, kept=found)
    assert found < set(TOPICS)
    assert loaded.retrieve("Who has bread?", 40, mode="bm25") == expected


def test_words_the_corpus_lacks_score_nothing() -> None:
    index = Index(LAYOUT, {})
    index.add(segment("a", "b"))
    assert not scores_of(LexicalIndex(), index.snapshot, "zebra?").any()
    assert not scores_of(LexicalIndex(), index.snapshot, "?").any()


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="one of 'rank_bm25', 'bm25s', not 'lucene'"):
        LexicalIndex("lucene")
