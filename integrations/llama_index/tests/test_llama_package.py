"""The package as published: its README, its metadata, what a search asks of the host."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from unittest import mock

from llama_corpus import QUESTION, Make

from llama_index.retrievers import s3

PACKAGE = Path(__file__).parents[1]


def test_llama_index_stays_a_namespace() -> None:
    """An ``__init__.py`` there would hide every other package of LlamaIndex."""
    assert not (PACKAGE / "llama_index" / "__init__.py").exists()
    assert not (PACKAGE / "llama_index" / "retrievers" / "__init__.py").exists()
    assert find_spec("llama_index.core") is not None


def test_everything_public_is_documented() -> None:
    for name in s3.__all__:
        assert getattr(s3, name).__doc__


def test_the_host_reads_a_question_once(make: Make) -> None:
    """As in the engine's own search: ``make overhead`` measures what remains, the adapter's cost."""
    retriever = make()
    host = retriever.engine.host
    with mock.patch.object(host, "project", wraps=host.project) as passes:
        spans = retriever.engine.retrieve(QUESTION)
        assert passes.call_count == 1
        assert len(retriever.retrieve(QUESTION)) == len(spans)
    assert passes.call_count == 2
