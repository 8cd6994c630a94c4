"""Hosts for all tests: a tiny random one, and the default one, which the set-up fetched; tiers; threads."""

from __future__ import annotations

import copy
import json
import math
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's library
# Workers of pytest-xdist share the cores, and so do their child processes. It counts before
# torch is imported. The process that starts them says nothing: they would inherit it.
os.environ.update(
    {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // int(workers)))}
    if (workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"))
    else {}
)

import numpy as np
import pytest
import torch
from cli_set import PAIRS, TEXTS, TOPICS, write_lines
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever.encode import Artifact, Fingerprint, KeyCodec, Quality, QueryMap, TopKSAE
from s3_retriever.encode.fingerprint import PROBE_TEXT
from s3_retriever.host import Host, QueryHead, Tap
from s3_retriever.search.density import Scale
from s3_retriever.search.scoring import Scoring
from s3_retriever.training import pairs

# How long an example takes depends on what else the machine does, and decides nothing.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "A retriever returns the spans of a text that answer a question.",
    "Numbers such as 1997 and 42 are tokens too, and so are commas, dots and brackets (like these).",
    "Where does the host keep its keys? In the projections of its attention heads.",
]


def pytest_configure() -> None:
    """Let Ctrl-C interrupt, also where a shell started the tests in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before ``-m`` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the weights of the default host."""
    for item in items:
        if "host" in getattr(item, "fixturenames", ()):
            item.add_marker("host")


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of at most 400 tokens, one of them special."""
    return make_tokenizer()


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tiny tokenizer."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")  # noqa: S106


@pytest.fixture(scope="session")
def tiny_model() -> LlamaForCausalLM:
    """A random Llama in float32: 4 layers, 4 query heads, 2 key heads, d = 16, a window of 256."""
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
        initializer_range=0.2,
        attention_bias=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for layer in model.model.layers:  # a fresh bias is zero, which would hide a lost one
            torch.nn.init.normal_(layer.self_attn.k_proj.bias)
            torch.nn.init.normal_(layer.self_attn.q_proj.bias)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_host(tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast) -> Host:
    """The tiny model and tokenizer as a host."""
    return Host(model=tiny_model, tokenizer=tiny_tokenizer, name="tiny")


@pytest.fixture(scope="session")
def tiny_folder(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> Path:
    """The tiny host on disk, with room for chunks of the default size."""
    return _saved(tmp_path_factory.mktemp("host") / "tiny-host", tiny_model, tiny_tokenizer)


@pytest.fixture(scope="session")
def matching_folder(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> Path:
    """A copy of the tiny host on disk, but one head is useful: 0.3 looks for the token that it reads."""
    model = copy.deepcopy(tiny_model)
    attention = model.model.layers[0].self_attn
    with torch.no_grad():
        for part in ("weight", "bias"):
            query, key = getattr(attention.q_proj, part), getattr(attention.k_proj, part)
            query[48:64] = key[16:32]  # heads have 16 rows; query head 3 asks key head 1
    return _saved(tmp_path_factory.mktemp("host") / "matching-host", model, tiny_tokenizer)


def _saved(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "max_position_embeddings": 1024}), encoding="utf-8")
    return folder


@pytest.fixture
def few_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped pairs, but few: the whole reference would take a minute."""
    documents, shipped = pairs.shipped_pairs()
    few = [document for document in documents if document.id in TOPICS]
    asked = [pair for pair in shipped if pair.doc_id in TOPICS]
    assert len(few) == len(TOPICS)
    assert asked
    monkeypatch.setattr(pairs, "shipped_pairs", lambda: (few, asked))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with texts and pairs."""
    write_lines(tmp_path / "text.jsonl", TEXTS)
    write_lines(tmp_path / "pairs.jsonl", PAIRS)
    return tmp_path


@pytest.fixture(scope="session")
def host() -> Host:
    """The default host."""
    return Host.load()


@pytest.fixture(scope="session")
def tiny_artifact(tiny_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An artifact over two taps of the tiny host, in three query heads."""
    heads = [(QueryHead(1, 0), Tap(1, 0)), (QueryHead(1, 1), Tap(1, 0)), (QueryHead(2, 3), Tap(2, 1))]
    folder = tmp_path_factory.mktemp("artifacts") / "tiny"
    _random_artifact(tiny_host, heads).save(folder)
    return Artifact.load(folder)  # matrices as they are stored


@pytest.fixture(scope="session")
def random_artifact() -> Callable[[Host, Sequence[tuple[QueryHead, Tap]]], Artifact]:
    """Makes an artifact for a host."""
    return _random_artifact


def _random_artifact(host: Host, heads: Sequence[tuple[QueryHead, Tap]]) -> Artifact:
    """Of three query heads and their taps, with random SAEs of 64 features, 4 of them per token."""
    rng = np.random.default_rng(0)
    taps, dim, n_features = tuple(dict.fromkeys(tap for _, tap in heads)), host.head_dim, 64
    probe = host.keys([host.encode(PROBE_TEXT).ids], taps)[0]
    codecs = []
    for t, tap in enumerate(taps):
        decoder = rng.normal(size=(n_features, dim)).astype(np.float32)
        decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
        zeros = np.zeros(n_features, np.float32), np.zeros(dim, np.float32)
        sae = TopKSAE(decoder.T, zeros[0], decoder, zeros[1], 4)
        codecs.append(KeyCodec(tap, probe[:, t].mean(axis=0), sae, Quality(0.25, 4.0, 0.125)))
    queries = tuple(
        QueryMap(head, tap, np.zeros(dim, np.float32), 3 * np.eye(dim, dtype=np.float32))
        for head, tap in heads
    )
    scoring = Scoring(
        scales=(Scale(1.0), Scale(4.0, 5.0), Scale(math.inf)),
        head_weights=((1.0, 0.5, 0.25), (0.5, 0.5, 0.5), (1.0, 1.0, 0.0)),
        bm25_widths={0.5: 0.5, 2.0: 0.25},
        n_features=8,
    )
    return Artifact(
        name="tiny",
        host=host.identity,
        codecs=tuple(codecs),
        queries=queries,
        fingerprint=Fingerprint(probe.astype(np.float16)),
        scoring=scoring.to_json(),
    )
