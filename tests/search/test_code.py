"""Source code among prose: which documents are taken for it, and how wide BM25 looks at each."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from s3_retriever import Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.search.density import bm25_density, widening
from s3_retriever.search.headers import HEADER_CELLS, LARGE_TABLE
from s3_retriever.search.rarity import RarityBoost
from s3_retriever.search.scoring import BM25_WIDTHS, CODE_RARITY, CODE_WIDTHS, ROWS_RARITY, lexical_density
from s3_retriever.search.stretches import Stretches

PROSE = "The ferry leaves the old pier at nine, and whoever is late waits for the next one. " * 30
PYTHON = "".join(
    f"def ferry_{i}(pier, passengers):\n    for one in passengers:\n        pier.board(one, late={i})\n\n\n"
    for i in range(40)
)
JAVASCRIPT = "".join(
    f"function ferry{i}(pier) {{\n  const late = pier.queue();\n  return late.map((it) => it + {i});\n}}\n\n"
    for i in range(40)
)
DOCUMENTS = [
    Document("prose.md", PROSE),
    Document("ferry.py", PYTHON),
    Document("guide.md", f"# Ferries\n\n{PROSE}\n\n```python\n{PYTHON[:200]}\n```\n"),
    Document("empty", ""),
    Document("ferry.js", JAVASCRIPT),
    Document("table.csv", "pier,ferry,late\n" + "old,9,no\n" * 60),
    Document(
        "prices.csv", "pier,fare\n" + "".join(f"pier {i},{3 * i} crowns and {i} cents\n" for i in range(120))
    ),
    Document("page.html", "<html>\n<body>\n" + f"<p>{PROSE[:84]}</p>\n" * 20 + "</body>\n</html>\n"),
    Document("drawing.svg", "<svg>\n" + '  <g id="pier">\n    <path d="M 1 0"/>\n  </g>\n' * 20 + "</svg>\n"),
    Document("server.log", "2026-11-29 12:00:00 GET /ferry/9 done;\n" * 30),
    Document(
        "README.md",
        "# Ferry\n\nIt is a tool. It does things.\n\n```\n" + "ferry run --late 9\n" * 8 + "```\n",
    ),
]
CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=64, overlap_tokens=16))
CODE = {"ferry.py", "ferry.js"}


@pytest.fixture(scope="module")
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    """Two segments, one of them with a deleted document."""
    made = S3Retriever.from_documents(DOCUMENTS[:3], host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    made.add([Document("gone.py", PYTHON[::-1]), *DOCUMENTS[3:]])
    made.delete(["gone.py"])
    return made


def test_documents_of_statements_are_code(retriever: S3Retriever) -> None:
    snapshot = retriever.index.snapshot
    assert {name for name, code in zip(snapshot.document_ids, snapshot.are_code, strict=True) if code} == CODE


@pytest.mark.parametrize("alone", [True, False])
def test_beside_s3_rare_words_count_less_in_code_and_in_rows_and_bm25_looks_wider_at_code(
    retriever: S3Retriever, alone: bool
) -> None:
    """Each document has the density that it has with no other beside it."""
    snapshot, scoring = retriever.index.snapshot, replace(retriever.ranker.scoring, bm25_rarity=2.0)
    by_power = np.random.default_rng(0).exponential(1, (3, snapshot.n_cells))
    powers = [None, scoring.bm25_rarity, CODE_RARITY * scoring.bm25_rarity]

    def scored(boost: RarityBoost | None) -> np.ndarray:
        return by_power[powers.index(boost and boost.power)]

    found = lexical_density(scoring, Stretches.whole(snapshot), scored, lambda _: 1.0, alone=alone)
    wider = widening(snapshot.document_characters, snapshot.document_cells)
    for i, (first, last) in enumerate(pairwise(snapshot.document_cells)):
        widths, scores = (BM25_WIDTHS, by_power[0]) if alone else (scoring.bm25_widths, by_power[1])
        if not alone and snapshot.doc_id(i) in CODE:
            total, scores = sum(scoring.bm25_widths.values()), by_power[2]
            widths = {sigma: total * weight for sigma, weight in CODE_WIDTHS.items()}
        own = bm25_density(scores[first:last], np.array([0, last - first]), widths, wider[i : i + 1])
        if not alone and snapshot.doc_id(i) == "prices.csv":  # where it is all of the document
            assert last - first >= LARGE_TABLE
            scores = by_power[powers.index(ROWS_RARITY * scoring.bm25_rarity)][first:last]
            in_rows = bm25_density(scores, np.array([0, last - first]), widths, wider[i : i + 1])
            own[HEADER_CELLS:] = in_rows[HEADER_CELLS:]
        assert np.array_equal(found[first:last], own)


@pytest.mark.parametrize("alone", [True, False])
def test_terms_add_up_to_the_density_of_the_question(retriever: S3Retriever, alone: bool) -> None:
    snapshot = retriever.index.snapshot
    scoring = replace(retriever.ranker.scoring, bm25_rarity=2.0)
    ranker = replace(retriever.ranker, scoring=scoring)
    question = "which ferry leaves the old pier late, ferry_3 or ferry9?"
    cells = np.random.default_rng(0).permutation(snapshot.n_cells)
    terms = ranker.terms(snapshot, question, alone=alone)
    found = ranker.bm25_parts(snapshot, terms, cells, alone=alone)
    total = sum(part for parts in found for part in parts)
    np.testing.assert_allclose(total, ranker.bm25(snapshot, terms, alone=alone)[cells], rtol=1e-5)


def test_beside_s3_bm25_looks_for_related_words_too(retriever: S3Retriever) -> None:
    """By itself it is plain BM25: "board" stands in the code, "boarding" nowhere."""
    snapshot, ranker = retriever.index.snapshot, retriever.ranker
    found = {
        alone: ranker.bm25(snapshot, ranker.terms(snapshot, "boarding", alone=alone), alone=alone)
        for alone in (True, False)
    }
    assert not found[True].any()
    cells = snapshot.document_cells
    dense = {snapshot.doc_id(i) for i in range(len(snapshot)) if found[False][cells[i] : cells[i + 1]].any()}
    assert dense == {"ferry.py", "guide.md"}
    matches = [
        match for span in retriever.retrieve("boarding", explain=True) for match in span.explanation.words
    ]
    assert {(match.word, match.text) for match in matches if match.bm25} == {("boarding", "board")}
