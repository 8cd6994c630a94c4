"""Fixtures for the evaluation."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from village_set import DOCUMENTS, QUESTIONS, write_jsonl

from s3_retriever.host import Host


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with one evaluation set, "village"."""
    folder = tmp_path / "data" / "village"
    write_jsonl(folder / "corpus.jsonl", [{"_id": id_, "text": text} for id_, text in DOCUMENTS.items()])
    queries = []
    for question, (doc_id, answer) in QUESTIONS.items():
        start = DOCUMENTS[doc_id].index(answer)
        evidence = [{"doc_id": doc_id, "start": start, "end": start + len(answer)}]
        queries.append({"_id": f"q{len(queries)}", "text": question, "evidence": evidence})
    write_jsonl(folder / "queries.jsonl", queries)
    return folder.parent


@pytest.fixture(scope="session")
def wide_host(tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast) -> Host:
    """The tiny host with room for chunks of the default size, 1,024 tokens."""
    model = copy.deepcopy(tiny_model)
    model.config.max_position_embeddings = 1024
    return Host(model=model, tokenizer=tiny_tokenizer, name="tiny")
