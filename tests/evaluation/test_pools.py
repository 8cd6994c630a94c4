"""Pools: every question's evidence is in its pool, no pool is too long, and the seed decides the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from village_set import DOCUMENTS, QUESTIONS, write_jsonl

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation import EvaluationSet, load_sets
from s3_retriever.evaluation.pools import Pool, make_pools
from s3_retriever.host import Host


@pytest.fixture
def sets(data: Path) -> list[EvaluationSet]:
    """The village, and a set with one document that is longer than most pools."""
    chapters = [
        f"Chapter {n}. The pump stands beside house {n}. It was painted in {1800 + n}." for n in range(60)
    ]
    text = " ".join(chapters)
    asked = "painted in 1833"
    evidence = [{"doc_id": "book", "start": text.index(asked), "end": text.index(asked) + len(asked)}]
    write_jsonl(data / "book" / "corpus.jsonl", [{"_id": "book", "title": "Pumps", "text": text}])
    questions = [{"_id": "b", "text": "When was pump 33 painted?", "answers": ["1833"], "evidence": evidence}]
    write_jsonl(
        data / "book" / "queries.jsonl", [*questions, {"_id": "n", "text": "Why?", "answers": ["so"]}]
    )
    return load_sets(data)


def found(pool: Pool) -> dict[str, list[str]]:
    """Return the texts of the evidence of a pool's questions."""
    texts = {document.id: document.text for document in pool.data.documents}
    return {q.id: [texts[id_][start:end] for id_, start, end in q.evidence] for q in pool.data.questions}


@pytest.mark.parametrize("length", [200, 400, 2000])
def test_a_pool_holds_the_evidence_of_its_questions(
    sets: list[EvaluationSet], wide_host: Host, length: int
) -> None:
    pools = make_pools(sets, [length], None, wide_host)
    expected = {f"q{i}": [answer] for i, (_, answer) in enumerate(QUESTIONS.values())} | {
        "b": ["painted in 1833"]
    }
    evidence: dict[str, list[str]] = {}
    for pool in pools:
        own = found(pool)
        assert not set(own) & set(evidence)  # in one pool only
        evidence |= own
        assert pool.length == length
        assert sum(wide_host.count_tokens(document.text) for document in pool.data.documents) <= length
        assert len({document.id for document in pool.data.documents}) == len(pool.data.documents)
        assert pool.data.name.startswith(f"{pool.set}@{length}#")
    assert evidence == expected  # the question without evidence is left out


def test_pools_are_filled_from_the_other_sets(sets: list[EvaluationSet], wide_host: Host) -> None:
    village = [pool for pool in make_pools(sets, [1200], None, wide_host) if pool.set == "village"]
    assert len(village) == 1  # all its evidence fits
    (pool,) = village
    ids = [document.id for document in pool.data.documents]
    assert {f"village/{id_}" for id_ in DOCUMENTS} <= set(ids)
    chapters = [id_ for id_ in ids if id_.startswith("book/book[")]
    assert chapters
    starts = [int(id_.rpartition("[")[2].partition(":")[0]) for id_ in chapters]
    assert starts == sorted(starts)  # parts of a document stay in order
    n_tokens = sum(wide_host.count_tokens(document.text) for document in pool.data.documents)
    assert 0.7 * 1200 < n_tokens <= 1200


def test_a_long_document_is_cut_between_sentences(sets: list[EvaluationSet], wide_host: Host) -> None:
    (book,) = [one for one in sets if one.name == "book"]
    (pool,) = make_pools([book], [4000], None, wide_host)
    parts = pool.data.documents
    assert len(parts) > 1
    assert "".join(part.text for part in parts) == book.documents[0].text
    assert all(part.text.endswith((". ", ".")) for part in parts)
    assert all(part.title == "Pumps" for part in parts)


def test_the_seed_decides(sets: list[EvaluationSet], wide_host: Host) -> None:
    def order(seed: int) -> list[list[str]]:
        pools = make_pools(sets, [400], None, wide_host, seed)
        return [[document.id for document in pool.data.documents] for pool in pools]

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_questions_are_limited_per_set_and_length(sets: list[EvaluationSet], wide_host: Host) -> None:
    pools = make_pools(sets, [400, 2000], 2, wide_host)
    asked = [(pool.length, pool.set, question.id) for pool in pools for question in pool.data.questions]
    village = {(length, "village", id_) for length in (400, 2000) for id_ in ("q0", "q2")}
    assert set(asked) == village | {(400, "book", "b"), (2000, "book", "b")}
    assert len(asked) == 6


@pytest.mark.long
def test_evidence_that_fits_no_pool_is_refused(sets: list[EvaluationSet], wide_host: Host) -> None:
    with pytest.raises(InvalidInputError, match="no question whose evidence fits a context of 4 tokens"):
        make_pools(sets, [4], None, wide_host)
