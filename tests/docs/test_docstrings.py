"""Examples in docstrings print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

PACKAGES = ("s3_retriever", "s3_retriever.host", "s3_retriever.encode")
INTEGRATIONS = ("llama_index.retrievers.s3", "langchain_s3_retriever")


def examples() -> list[doctest.DocTest]:
    """Return the examples of everything public, each once."""
    found = {}
    for package in (*PACKAGES, *INTEGRATIONS):
        for name in importlib.import_module(package).__all__:
            thing = getattr(importlib.import_module(package), name)
            if inspect.isclass(thing) or inspect.isfunction(thing):
                module = inspect.getmodule(thing)
                names = {**vars(module), "__name__": module.__name__}
                for one in doctest.DocTestFinder(exclude_empty=True).find(thing, name, module, names):
                    found[module.__name__, one.name] = one
    return [one for one in found.values() if one.examples]


def needs_the_host(example: doctest.DocTest) -> bool:
    return any(name in str(example.docstring) for name in ("from_documents(", "Host.load("))


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(one, id=f"{one.globs['__name__']}.{one.name}", marks=pytest.mark.host)
        for one in examples()
        if needs_the_host(one)
    ],
)
def test_examples_with_the_host(example: doctest.DocTest, one_host: None, empty_folder: Path) -> None:
    run(example)


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(one, id=f"{one.globs['__name__']}.{one.name}")
        for one in examples()
        if not needs_the_host(one)
    ],
)
def test_examples(example: doctest.DocTest, empty_folder: Path) -> None:
    run(example)


def run(example: doctest.DocTest) -> None:
    printed: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(example, out=printed.append)
    assert not runner.failures, "".join(printed)


def test_what_people_begin_with_has_an_example() -> None:
    names = {one.name for one in examples()}
    assert names >= {"S3Retriever", "Host.load", "Artifact.load", "Document", "Span"}
    assert names >= {"Compare", "AllOf", "SpanConfig", "RetrieverConfig", "register_family"}
