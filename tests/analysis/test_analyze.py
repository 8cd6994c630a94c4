"""The analysis on the tiny host, whose numbers can be checked, and shortly on the real one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import Document, Host
from s3_retriever.analysis.analyze import AnalyzeConfig, Codec, analyze
from s3_retriever.analysis.kv import collect, split_rows
from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host import Tap
from s3_retriever.training.pairs import shipped_pairs
from s3_retriever.training.sae_training import TrainConfig

QUICK = AnalyzeConfig(
    layers=(3, 1),
    budgets=(16, 1),
    n_features=32,
    steps=40,
    batch_size=64,
    tokens=1200,
    held_out_tokens=200,
    row_tokens=40,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors this small are trained fastest by one thread, by far so on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def texts() -> list[Document]:
    documents, _ = shipped_pairs()
    return documents


@pytest.mark.long
def test_every_number_of_an_analysis(
    tiny_host: Host, tiny_model: LlamaForCausalLM, texts: list[Document]
) -> None:
    results = analyze(tiny_host, texts, QUICK)
    assert (results.layers, results.budgets) == ((1, 3), (1, 16))
    assert {(m.layer, m.side, m.k) for m in results.measures} == {
        (layer, side, k) for layer in (1, 3) for side in ("keys", "values") for k in (1, 16)
    }
    for side in ("keys", "values"):
        for quantity in ("fvu", "output_error"):
            one, many = results.curve(side, quantity)
            assert 0 < many < one < 1.5

    _, held_out = split_rows(tiny_host, texts, row_tokens=40, n_train=1200, n_test=200)
    ids = torch.tensor(held_out.astype(np.int64))
    with torch.no_grad():
        loss = float(tiny_model(ids, labels=ids).loss)
    assert results.perplexity(None, None) == pytest.approx(math.exp(loss), rel=1e-4)
    pairs = {(p.k_keys, p.k_values): p.value for p in results.perplexities}
    assert set(pairs) == {(keys, values) for keys in (None, 1, 16) for values in (None, 1, 16)}
    assert len(set(pairs.values())) == 9
    # Little is lost where little is left out.
    assert abs(results.rise(16, 16)) < abs(results.rise(1, 1))

    again = analyze(tiny_host, texts, QUICK)
    assert replace(again, seconds=0) == replace(results, seconds=0)


@pytest.mark.long
def test_a_codec_measures_in_the_space_of_the_vectors() -> None:
    """Clusters far from the origin, of different lengths: as many features as clusters explain them."""
    rng = np.random.default_rng(0)
    centres = 20 * rng.normal(size=(4, 8)) + 50
    x = (centres[rng.integers(0, 4, 2000)] + 0.1 * rng.normal(size=(2000, 8))).astype(np.float16)
    config = TrainConfig(n_features=16, k=1, steps=200, batch_size=128, learning_rate=2e-2, warmup=10)
    codec = Codec.train(x, config)
    np.testing.assert_allclose(codec.mean, x.mean(axis=0, dtype=np.float64), rtol=1e-4)
    assert codec.fvu(x) < 0.05
    errors = np.square(codec.reconstruct(x) - x).sum(axis=1)
    assert errors.mean() < 0.05 * np.square(x - codec.mean).sum(axis=1).mean()
    assert Codec.train(np.ones((100, 8), np.float16), config).fvu(np.ones((5, 8), np.float16)) == 0


@pytest.mark.long
def test_layers_are_spread(tiny_host: Host, texts: list[Document]) -> None:
    config = replace(QUICK, layers=None, budgets=(1,), steps=1)
    assert analyze(tiny_host, texts, config).layers == (0, 1, 2, 3)


def test_rows_of_a_document_are_trained_on_or_held_out(tiny_host: Host) -> None:
    documents = [Document(str(n), f"{n} " * 400) for n in range(10, 30)]
    train, held_out = split_rows(tiny_host, documents, row_tokens=20, n_train=300, n_test=100)
    assert (train.shape, held_out.shape) == ((15, 20), (5, 20))
    first = {row.tobytes()[:8] for row in train}
    assert len(first) > 3  # no document gives more than a few
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in held_out}
    # Where there are few documents, each gives more.
    train, held_out = split_rows(tiny_host, documents[:2], row_tokens=20, n_train=300, n_test=300)
    assert (len(train), len(held_out)) == (15, 15)
    too_short = r"too short: it gives \d+ tokens to train on, .* 90000 are wanted"
    with pytest.raises(InvalidInputError, match=too_short):
        split_rows(tiny_host, documents, row_tokens=20, n_train=90_000, n_test=100)
    with pytest.raises(InvalidInputError, match=r"too short: it gives 0 tokens held out"):
        split_rows(tiny_host, documents[:1], row_tokens=20, n_train=20, n_test=20)


def test_collected_vectors_are_those_of_the_host(tiny_host: Host) -> None:
    rows = np.random.default_rng(0).integers(1, 396, (40, 30)).astype(np.int32)
    vectors = collect(tiny_host, rows, [1, 2])
    taps = [Tap(2, 0), Tap(2, 1)]
    read = tiny_host.project([rows[35]], taps=taps, values=taps)[0]
    np.testing.assert_allclose(vectors.keys[2][1050:1080], read.keys, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(vectors.values[2][1050:1080], read.values, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": (1, 4)}, "tap 4.0 is not in host 'tiny': layers are 0 to 3"),
        ({"row_tokens": 300}, "row_tokens must be from 3 to 256 for host 'tiny', not 300"),
        ({"tokens": 10**9}, "the text is too short"),
    ],
)
def test_what_does_not_suit_the_host_is_refused(
    tiny_host: Host, texts: list[Document], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        analyze(tiny_host, texts[:5], replace(QUICK, **changes))


def test_a_decoder_without_a_head_is_refused(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    bare = Host(model=tiny_model.model, tokenizer=tiny_tokenizer, name="bare")
    with pytest.raises(UnsupportedHostError, match="'bare' is a decoder without a language-model head"):
        analyze(bare, [], QUICK)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budgets": (2, 64)}, "k must be a whole number from 1 to 32, not 64"),
        ({"budgets": ()}, r"budgets must be a list of at least 1, not \(\)"),
        ({"layers": (1, 1)}, r"layers must be a list, each value once, or None, not \(1, 1\)"),
        ({"tokens": 100}, "tokens must be a whole number, 320 or more, not 100"),
        ({"tolerance": -0.1}, "tolerance must be a number at least 0, not -0.1"),
        ({"tolerance": math.nan}, "tolerance must be a number at least 0, not nan"),
        ({"steps": 0}, "steps must be a whole number, 1 or more, not 0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        replace(QUICK, **changes)


@pytest.mark.slow
@pytest.mark.host
def test_the_real_host(host: Host, texts: list[Document]) -> None:
    config = replace(QUICK, layers=(2,), budgets=(1, 8), held_out_tokens=100, row_tokens=100)
    results = analyze(host, texts, config)
    assert 2 < results.perplexity(None, None) < 60
    for side in ("keys", "values"):
        one, many = results.curve(side, "fvu")
        assert 0 < many < one < 1
    assert results.rise(1, 1) > 0
