"""The package as published: its README, its metadata, its cost."""

from __future__ import annotations

import re
import statistics
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from llama_corpus import QUESTION, Make

from llama_index.retrievers import s3
from llama_index.retrievers.s3 import S3Retriever
from s3_retriever import Span

PACKAGE = Path(__file__).parents[1]


@pytest.mark.host
def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL))
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    assert isinstance(names["retriever"], S3Retriever)
    assert names["changed"] == [True, False]


def test_llama_index_stays_a_namespace() -> None:
    """An ``__init__.py`` there would hide every other package of LlamaIndex."""
    assert not (PACKAGE / "llama_index" / "__init__.py").exists()
    assert not (PACKAGE / "llama_index" / "retrievers" / "__init__.py").exists()
    assert find_spec("llama_index.core") is not None


def test_everything_public_is_documented() -> None:
    for name in s3.__all__:
        assert getattr(s3, name).__doc__


def test_the_adapter_costs_little(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = make()
    spans: list[Span] = retriever.engine.retrieve(QUESTION) * 5
    monkeypatch.setattr(retriever.engine, "retrieve", lambda *_, **__: spans)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        retriever.retrieve(QUESTION)
        times.append(time.perf_counter() - start)
    assert statistics.median(times) < 0.1  # seconds; measured: well below a millisecond
