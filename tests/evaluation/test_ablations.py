from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from s3_retriever import S3Retriever
from s3_retriever.encode import Artifact
from s3_retriever.evaluation import Region, load_sets
from s3_retriever.evaluation.ablations import fuse_ranks, fuse_z_scores, make_ablations
from s3_retriever.evaluation.dense import DenseSystem, dense_variants
from s3_retriever.evaluation.evaluate import EvaluateConfig, run_evaluation
from s3_retriever.evaluation.methods import Built, Corpus, System, regions
from s3_retriever.host import Host, QueryHead

QUESTION = "When was the lighthouse of Farholm built?"


@pytest.fixture
def corpus(data: Path, wide_host: Host) -> Corpus:
    return Corpus(load_sets(data)[0].documents, wide_host)


def found_by(system: System, built: Built) -> dict[str, Sequence[Region]]:
    return {method.name: built.find(method, QUESTION, 24) for method in system.methods}


@pytest.mark.long
def test_variants_leave_the_rest_as_it_is(corpus: Corpus, tiny_artifact: Artifact) -> None:
    shared, fewer = make_ablations(tiny_artifact)
    found = found_by(shared, shared.build(corpus))
    assert list(found)[:6] == [
        "s3",
        "published scoring",
        "head 1.0 alone",
        "head 1.1 alone",
        "head 2.3 alone",
        "all heads, equal weights",
    ]
    retriever = S3Retriever.from_documents(corpus.documents, host=corpus.host, artifact=tiny_artifact)
    asked = {"question": QUESTION, "budget": 24}
    assert found["s3"] == regions(retriever, **asked, mode="s3")
    assert found["fusion: sum (hybrid)"] == regions(retriever, **asked, mode="hybrid")
    assert found["BM25 alone"] == regions(retriever, **asked, mode="bm25")
    assert found["published scoring"] == regions(retriever, **asked, mode="s3", scoring="paper")
    assert len({tuple(spans) for spans in found.values()}) > 3  # they differ
    # The tiny artifact keeps 4 features per key: of the smaller numbers only 2 is left.
    assert [method.name for method in fewer.methods] == ["2 features per key"]
    assert fewer.build(corpus).nbytes < shared.build(corpus).nbytes


def test_fusions_by_hand() -> None:
    s3, bm25 = np.array([3, 1, 2], np.float32), np.array([0, 5, 1], np.float32)
    # ranks 1, 3, 2 and 3, 1, 2
    expected = [1 / 61 + 1 / 63, 1 / 63 + 1 / 61, 2 / 62]
    assert fuse_ranks(s3, bm25) == pytest.approx(expected)
    z_s3, z_bm25 = (s3 - 2) / np.sqrt(2 / 3), (bm25 - 2) / np.sqrt(14 / 3)
    assert fuse_z_scores(s3, bm25) == pytest.approx(z_s3 + 0.25 * z_bm25)
    assert fuse_z_scores(s3, np.zeros(3, np.float32)) == pytest.approx(z_s3)  # no word occurs


def test_dense_variants_ask_the_heads_they_say(tiny_artifact: Artifact, wide_host: Host) -> None:
    variants = {one.name: one for one in dense_variants(tiny_artifact, wide_host)}
    own = tiny_artifact.query_heads
    assert variants["dense, best head"].heads == (QueryHead(2, 3),) or variants["dense, best head"].heads == (
        QueryHead(1, 0),
    )
    random = variants["dense, random heads"].heads
    assert len(random) == len(own) and not set(random) & set(own)
    assert max(head.layer for head in random) <= 2  # nothing deeper than what the artifact reads
    assert {head.layer for head in variants["dense, all heads of these layers"].heads} == {1, 2}
    assert dense_variants(tiny_artifact, wide_host) == list(variants.values())  # the seed is fixed


@pytest.mark.long
def test_dense_keys_find_a_passage_that_repeats_the_question(
    corpus: Corpus, tiny_artifact: Artifact, wide_host: Host
) -> None:
    system = DenseSystem(dense_variants(tiny_artifact, wide_host))
    built = system.build(corpus)
    found = found_by(system, built)
    assert len({tuple(spans) for spans in found.values()}) > 1
    assert built.nbytes and built.nbytes > 100 * corpus.n_tokens
    for spans in found.values():
        texts = {document.id: document.text for document in corpus.documents}
        assert 0 < sum(wide_host.count_tokens(texts[id_][a:b]) for id_, a, b in spans) <= 24


@pytest.mark.long
def test_ablations_are_reported_like_methods(
    data: Path, tmp_path: Path, tiny_artifact: Artifact, wide_host: Host
) -> None:
    tiny_artifact.save(tmp_path / "artifact")
    config = EvaluateConfig(ablations=True, budgets=(24,), artifact=str(tmp_path / "artifact"))
    evaluation = run_evaluation(data, tmp_path / "out", config, host=wide_host)
    recall = next(c for c in evaluation.comparisons if c.measure == "recall")
    rows = {row.method.name: row for row in recall.rows}
    assert rows["s3"].difference is None
    assert all(row.difference is not None for name, row in rows.items() if name != "s3")
    assert {"dense, not centred", "dense, not normalised", "fusion: z-scores"} < set(rows)
