"""InfiniRetri on the tiny host: what it finds means nothing, where and how much does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from s3_retriever.documents import Document
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation import Region, load_sets
from s3_retriever.evaluation.methods import Corpus, make_systems
from s3_retriever.evaluation.rivals.attention import AttentionReader
from s3_retriever.evaluation.rivals.infiniretri import InfiniRetri, InfiniRetriConfig
from s3_retriever.evaluation.rivals.reading_layers import recall_by_layer
from s3_retriever.host import Host
from s3_retriever.training.pairs import Pair

QUESTION = "What is the tail of the comet made of?"


@pytest.fixture
def corpus(data: Path, wide_host: Host) -> Corpus:
    return Corpus(load_sets(data)[0].documents, wide_host)


def ask(corpus: Corpus, budget: int, config: InfiniRetriConfig) -> list[Region]:
    system = InfiniRetri(config)
    return list(system.build(corpus).find(system.methods[0], QUESTION, budget))


@pytest.mark.long
@pytest.mark.parametrize("chunk", [16, 64, 400])
@pytest.mark.parametrize("budget", [40, 90])
def test_whole_sentences_within_the_budget(corpus: Corpus, chunk: int, budget: int) -> None:
    found = ask(corpus, budget, InfiniRetriConfig(chunk))
    assert found
    assert len(set(found)) == len(found)
    texts = {document.id: document.text for document in corpus.documents}
    passages = [texts[id_][start:end] for id_, start, end in found]
    assert sum(map(corpus.host.count_tokens, passages)) <= budget
    for passage, (id_, _, end) in zip(passages, found, strict=True):
        assert passage.rstrip().endswith(".")
        assert end == len(texts[id_]) or texts[id_][end - 1 : end + 1].strip()[0].isupper()
    ids = [document.id for document in corpus.documents]
    assert found == sorted(found, key=lambda region: (ids.index(region.doc_id), region.start))
    assert ask(corpus, budget, InfiniRetriConfig(chunk)) == found


def test_a_budget_for_everything_returns_everything(corpus: Corpus) -> None:
    found = ask(corpus, 500, InfiniRetriConfig(64))
    assert found == [Region(document.id, 0, len(document.text)) for document in corpus.documents]


@pytest.mark.parametrize("layers", [[3], [2, 0]])
def test_attention_is_that_of_the_model(wide_host: Host, layers: list[int]) -> None:
    ids = wide_host.encode("The comet returns every 76 years. Its tail is made of dust.").ids
    received = AttentionReader(wide_host, layers).received(ids, slice(3, 7))
    model = wide_host.model
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            output = model.model(torch.from_numpy(ids.astype(np.int64))[None], output_attentions=True)
    finally:
        model.set_attn_implementation(before)
    for own, layer in zip(received, layers, strict=True):
        theirs = output.attentions[layer][0, :, 3:7].sum(dim=(0, 1)).numpy()
        np.testing.assert_allclose(own, theirs, atol=1e-5)
    assert before == "sdpa"  # as it was before the reader


def test_layers_are_named(tiny_artifact: Artifact, wide_host: Host) -> None:
    systems = make_systems(["infiniretri", "infiniretri:2"], tiny_artifact, (), wide_host)
    assert [str(method) for system in systems for method in system.methods] == [
        "infiniretri",
        "infiniretri:2",
    ]
    with pytest.raises(InvalidInputError, match="write infiniretri:17 for layer 17"):
        InfiniRetri.named("infiniretri:last", wide_host)
    with pytest.raises(InvalidInputError, match="host 'tiny' has no attention in layer 4"):
        make_systems(["infiniretri:4"], tiny_artifact, (), wide_host)  # before anything is built


def test_what_exceeds_the_window_is_refused(corpus: Corpus) -> None:
    with pytest.raises(
        InvalidInputError, match=r"the budget of 900 included, and the host's window has 1024"
    ):
        ask(corpus, 900, InfiniRetriConfig(64))
    with pytest.raises(InvalidInputError, match="chunk must be a whole number, 1 or more, not 0"):
        InfiniRetriConfig(0)


def test_the_layers_of_a_host_are_compared(wide_host: Host) -> None:
    text = "The mill grinds oats. " * 4 + "Its wheel was cast in 1790. " + "The miller sleeps. " * 4
    start = text.index("Its wheel")
    pairs = [Pair("When was the wheel cast?", "mill", ((start, start + 27),))]
    found = recall_by_layer(wide_host, [Document("mill", text)], pairs, budget=40)
    assert list(found) == [0, 1, 2, 3]
    assert all(0 <= recall <= 1 for recall in found.values())
    assert set(recall_by_layer(wide_host, [Document("mill", text)], pairs, budget=500).values()) == {1.0}
