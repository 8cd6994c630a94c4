"""The package as published: its README, what it promises about types, what a search asks of the host."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock

import pytest
from langchain_corpus import QUESTION

import langchain_s3_retriever
from langchain_s3_retriever import S3Retriever

PACKAGE = Path(__file__).parents[1]


@pytest.mark.host
def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", readme, re.DOTALL))
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # noqa: S102
    assert "Martha Olsen" in capsys.readouterr().out
    assert names["result"] == {"num_added": 0, "num_updated": 0, "num_skipped": 1, "num_deleted": 1}
    retriever = names["retriever"]
    assert isinstance(retriever, S3Retriever)
    assert (retriever.k, retriever.token_budget) == (1, 256)


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
