"""A dataset of Ray to an index: the same as on one machine, all of it or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Artifact, Document, S3Retriever

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("cluster")]

QUESTIONS = ["Where are the keys?", "number 1997 of the dog", "What answers a question?"]


def rows(documents: list[Document]) -> list[dict[str, Any]]:
    return [
        {"id": one.id, "text": one.text, "title": one.title, "metadata": json.dumps(dict(one.metadata))}
        for one in documents
    ]


def same(one: S3Retriever, other: S3Retriever) -> None:
    assert one.document_ids == other.document_ids
    assert one.n_tokens == other.n_tokens
    assert [one.document(i) for i in one.document_ids] == [other.document(i) for i in other.document_ids]
    for mode in ("hybrid", "s3", "bm25"):
        for question in QUESTIONS:
            assert one.retrieve(question, 60, mode=mode) == other.retrieve(question, 60, mode=mode)


def test_the_index_is_that_of_one_machine(
    tmp_path: Path, host: str, artifact: Artifact, documents: list[Document]
) -> None:
    import ray.data

    from s3_retriever.cluster.dataset import ClusterConfig, index_dataset

    dataset = ray.data.from_items(rows(documents))
    few = ClusterConfig(workers=2, pack_bytes=2000)
    report = index_dataset(dataset, str(tmp_path / "index"), host=host, artifact=artifact, cluster=few)
    assert (report.documents, report.failures) == (len(documents), ())
    assert report.segments > 2
    expected = S3Retriever.from_documents(documents, host=host, artifact=artifact)
    assert report.tokens == expected.n_tokens
    same(S3Retriever.load(tmp_path / "index", host=host), expected)


def test_shards_on_actors_and_one_that_dies(
    tmp_path: Path, host: str, artifact: Artifact, documents: list[Document]
) -> None:
    import os
    import signal

    import ray

    whole = S3Retriever.from_documents(documents, host=host, artifact=artifact)
    whole.save(tmp_path / "index")
    parts = S3Retriever.load(tmp_path / "index", host=host, shards=2)
    same(parts, whole)
    shards = parts.index.shards  # type: ignore[attr-defined]
    victim = ray.get(shards.actors[1].process.remote())
    os.kill(victim, signal.SIGKILL)
    same(parts, whole)
    assert ray.get(shards.actors[1].process.remote()) != victim
    shards.close()
