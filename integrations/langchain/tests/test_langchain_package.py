"""The package as published: its README, what it promises about types, what a search asks of the host."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

from langchain_corpus import QUESTION

import langchain_s3_retriever
from langchain_s3_retriever import S3Retriever

PACKAGE = Path(__file__).parents[1]


def test_everything_public_is_documented() -> None:
    for name in langchain_s3_retriever.__all__:
        assert getattr(langchain_s3_retriever, name).__doc__
    assert (Path(langchain_s3_retriever.__file__).parent / "py.typed").exists()


def test_the_host_reads_a_question_once(shared: S3Retriever) -> None:
    """As in the core's own search: ``make overhead`` measures what remains, the adapter's cost."""
    with mock.patch.object(shared.host, "project", wraps=shared.host.project) as passes:
        spans = shared.core.retrieve(QUESTION)
        assert passes.call_count == 1
        assert len(shared.invoke(QUESTION)) == len(spans)
    assert passes.call_count == 2
