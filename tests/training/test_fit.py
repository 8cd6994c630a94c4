"""From a host to an artifact that retrieves, over the tiny host."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from calibration_set import DOCUMENTS, PAIRS, SCAN, TEXTS
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import Document, RetrieverConfig, S3Retriever, Span
from s3_retriever.encode import Artifact, center_and_normalize
from s3_retriever.encode.question import encode_question
from s3_retriever.errors import ArtifactError, InvalidInputError
from s3_retriever.host import Host, QueryHead, Tap
from s3_retriever.search.scoring import Scoring
from s3_retriever.training.calibrate import CalibrateConfig
from s3_retriever.training.fit import SAEOptions, calibrate_artifact, train_artifact
from s3_retriever.training.sae_training import TrainConfig

pytestmark = pytest.mark.long

HEADS = (QueryHead(0, 1), QueryHead(1, 3), QueryHead(0, 0))
QUESTIONS = [pair.question for pair in PAIRS]
SAE = TrainConfig(n_features=32, k=4, steps=60, batch_size=256, learning_rate=1e-2, warmup=5)
QUICK = CalibrateConfig(epochs=2, passage_cells=16, passages=3, map_rate=1e-2)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tensors this small are trained fastest by one thread, by far so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(host: Host, **changes: Any) -> Artifact:
    values = {"heads": HEADS, "texts": DOCUMENTS, "questions": QUESTIONS, **changes}
    settings = {"config": SAE, "scan_config": SCAN}
    settings |= {name: values.pop(name) for name in ("config", "max_tokens") if name in values}
    return train_artifact(host, "tiny", options=SAEOptions(**settings), **values)


def calibrated(host: Host, artifact: Artifact, **changes: Any) -> Artifact:
    values = {"documents": DOCUMENTS, "pairs": PAIRS, "config": QUICK, **changes}
    return calibrate_artifact(host, artifact, scan_config=SCAN, **values)


@pytest.fixture(scope="module")
def trained(tiny_host: Host) -> Artifact:
    return train(tiny_host)


@pytest.fixture(scope="module")
def learned(tiny_host: Host, trained: Artifact) -> Artifact:
    return calibrated(
        tiny_host, trained, name="better", provenance={"calibrate": {"seed": 0}, "by": "a test"}
    )


def answers(host: Host, artifact: Artifact) -> list[list[Span]]:
    retriever = S3Retriever.from_documents(
        DOCUMENTS, host=host, artifact=artifact, config=RetrieverConfig(scan=SCAN)
    )
    return [
        retriever.retrieve(question, 60, mode=mode) for question in QUESTIONS for mode in ("s3", "hybrid")
    ]


def test_training_gives_an_sae_per_tap_and_centred_queries(tiny_host: Host, trained: Artifact) -> None:
    assert trained.name == "tiny"
    assert trained.host == tiny_host.identity
    assert trained.taps == (Tap(0, 0), Tap(1, 1))
    assert trained.query_heads == HEADS
    assert [query.tap for query in trained.queries] == [Tap(0, 0), Tap(1, 1), Tap(0, 0)]
    queries = np.concatenate([encode_question(tiny_host, question, HEADS)[0] for question in QUESTIONS])
    for h, query in enumerate(trained.queries):
        np.testing.assert_allclose(query.mean, queries[:, h].mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(query.map, 3 * np.eye(16), atol=1e-3)
    for t, codec in enumerate(trained.codecs):
        keys = np.concatenate(
            [
                tiny_host.keys([tiny_host.encode(text[:90]).ids], trained.taps)[0][:, t]
                for text in TEXTS.values()
            ]
        )
        quality = codec.sae.measure(center_and_normalize(keys, codec.mean))
        assert codec.sae.n_features == 32
        assert quality.fvu < 0.6  # what noise would leave is above 1
        assert codec.quality.l0 <= 4


def test_training_reads_no_more_text_than_it_needs(tiny_host: Host) -> None:
    read = []

    def texts() -> Iterator[Document]:
        for i in range(10_000):
            read.append(i)
            yield Document(str(i), "The quick brown fox jumps over the lazy dog. " * 4)

    train(tiny_host, texts=texts(), max_tokens=400)
    assert len(read) < 1000


def test_calibration_changes_what_it_learns_and_nothing_else(trained: Artifact, learned: Artifact) -> None:
    assert learned.name == "better"
    assert learned.taps == trained.taps
    for before, after in zip(trained.codecs, learned.codecs, strict=True):
        np.testing.assert_array_equal(before.sae.W_dec, after.sae.W_dec)
        np.testing.assert_array_equal(before.mean, after.mean)
    for old, new in zip(trained.queries, learned.queries, strict=True):
        assert (old.head, old.tap) == (new.head, new.tap)
        assert not np.array_equal(old.map, new.map)
    scoring = Scoring.from_json(learned.scoring)
    assert [scale.sigma for scale in scoring.scales] == [1.0, 4.0, 12.0, math.inf]
    assert len(scoring.head_weights) == len(HEADS)
    assert learned.provenance["by"] == "a test"
    assert learned.provenance["calibrate"]["seed"] == 0
    assert len(learned.provenance["calibrate"]["losses"]) == QUICK.epochs
    assert learned.digest != trained.digest


@pytest.mark.parametrize("step", ["trained", "learned"])
def test_an_artifact_retrieves_the_same_after_it_is_saved(
    tiny_host: Host, tmp_path: Path, step: str, request: pytest.FixtureRequest
) -> None:
    artifact: Artifact = request.getfixturevalue(step)
    artifact.save(tmp_path / "artifact")
    loaded = Artifact.load(tmp_path / "artifact")
    assert loaded.digest == artifact.digest
    assert loaded.provenance == artifact.provenance
    spans = answers(tiny_host, artifact)
    assert all(spans)
    assert answers(tiny_host, loaded) == spans
    for found in spans:
        assert all(span.text == TEXTS[span.doc_id][span.start : span.end] for span in found)


def test_both_steps_are_fixed_by_their_seeds(tiny_host: Host, trained: Artifact, learned: Artifact) -> None:
    assert train(tiny_host).digest == trained.digest
    assert train(tiny_host, config=replace(SAE, seed=1)).digest != trained.digest
    assert calibrated(tiny_host, trained).digest == learned.digest
    assert calibrated(tiny_host, trained, config=replace(QUICK, seed=1)).digest != learned.digest


def test_pairs_held_out_tell_what_learning_gave(tiny_host: Host, trained: Artifact) -> None:
    made = calibrated(tiny_host, trained, config=replace(QUICK, held_out_share=0.5)).provenance["calibrate"]
    before, after = made["held_out_losses"]
    assert before > 0
    assert after != before
    alone = [pair for pair in PAIRS if pair.doc_id == PAIRS[0].doc_id]
    for config, pairs in (
        (replace(QUICK, held_out_share=0), PAIRS),
        (replace(QUICK, held_out_share=0.9), alone),
    ):
        made = calibrated(tiny_host, trained, config=config, pairs=pairs).provenance["calibrate"]
        assert made["held_out_losses"] == []


MISTAKES: list[tuple[Callable[[Host, Artifact], object], type[Exception], str]] = [
    (lambda host, _: train(host, heads=[QueryHead(1, 7)]), InvalidInputError, "query head 1.7"),
    (lambda host, _: train(host, heads=[QueryHead(4, 0)]), InvalidInputError, "query head 4.0"),
    (lambda host, _: train(host, heads=[]), ArtifactError, "at least one tap"),
    (lambda host, _: train(host, texts=DOCUMENTS[4:5], questions=[]), InvalidInputError, "got none"),
    (lambda host, _: train(host, texts=[]), InvalidInputError, "0 tokens of text"),
    (lambda host, _: train(host, max_tokens=319), InvalidInputError, "319 tokens of text"),
    (lambda host, artifact: calibrated(host, artifact, pairs=[]), InvalidInputError, "got none"),
    (
        lambda host, artifact: calibrated(host, artifact, documents=DOCUMENTS[1:]),
        InvalidInputError,
        "no document 'harbour'",
    ),
]


@pytest.mark.parametrize(("call", "error", "part"), MISTAKES)
def test_what_cannot_be_used_is_named(
    tiny_host: Host,
    trained: Artifact,
    call: Callable[[Host, Artifact], object],
    error: type[Exception],
    part: str,
) -> None:
    with pytest.raises(error) as raised:
        call(tiny_host, trained)
    assert part in str(raised.value)


def test_another_model_of_the_same_shape_is_refused(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, trained: Artifact
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        other = Host(model=LlamaForCausalLM(tiny_model.config), tokenizer=tiny_tokenizer, name="other")
    with pytest.raises(ArtifactError, match="belongs to host 'tiny', not to 'other'"):
        calibrated(other, trained)
