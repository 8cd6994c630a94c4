from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from s3_retriever.errors import HostNotFoundError, InvalidInputError, UnsupportedHostError
from s3_retriever.host import Host, QueryHead, Tap

TINY = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
TAPS = [Tap(2, 1), Tap(0, 0), Tap(2, 0)]
HEADS = [QueryHead(1, 3), QueryHead(2, 0)]


def token_rows(*lengths: int) -> list[npt.NDArray[np.int32]]:
    rng = np.random.default_rng(0)
    return [rng.integers(1, 400, n).astype(np.int32) for n in lengths]


def full_pass(
    model: PreTrainedModel, ids: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """All keys and queries, (n, layers, heads, d), from the whole model's hidden states and its weights."""
    with torch.no_grad():
        hidden = model(torch.tensor(ids[None].astype(np.int64)), output_hidden_states=True).hidden_states
        keys, queries = [], []
        for layer, states in zip(model.model.layers, hidden, strict=False):
            normed = layer.input_layernorm(states[0])
            attention = layer.self_attn
            for projection, out in ((attention.k_proj, keys), (attention.q_proj, queries)):
                flat = normed @ projection.weight.T
                flat = flat if projection.bias is None else flat + projection.bias
                out.append(flat.reshape(len(ids), -1, attention.head_dim))
    return torch.stack(keys, 1).numpy(), torch.stack(queries, 1).numpy()


def test_projections_are_those_of_the_whole_model(tiny_host: Host, tiny_model: LlamaForCausalLM) -> None:
    batch = token_rows(50, 1, 0, 33)
    rows = tiny_host.project(batch, taps=TAPS, heads=HEADS)
    assert [row.keys.shape for row in rows] == [(len(ids), 3, 16) for ids in batch]
    assert [row.queries.shape for row in rows] == [(len(ids), 2, 16) for ids in batch]
    for ids, row in zip(batch, rows, strict=True):
        if len(ids) == 0:
            continue
        keys, queries = full_pass(tiny_model, ids)
        assert row.keys.dtype == row.queries.dtype == np.float32
        np.testing.assert_allclose(row.keys, keys[:, [2, 0, 2], [1, 0, 0]], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(row.queries, queries[:, [1, 2], [3, 0]], rtol=1e-4, atol=1e-5)


def test_the_pass_stops_at_the_deepest_tap(tiny_host: Host, tiny_model: LlamaForCausalLM) -> None:
    ran: list[str] = []
    watched = {f"{i}": layer.mlp for i, layer in enumerate(tiny_model.model.layers)}
    hooks = [
        m.register_forward_hook(lambda *_, name=name: ran.append(name), always_call=False)
        for name, m in {**watched, "head": tiny_model.lm_head}.items()
    ]
    tiny_host.keys(token_rows(10), [Tap(2, 0)])
    for hook in hooks:
        hook.remove()
    assert ran == ["0", "1"]


def test_a_row_does_not_depend_on_its_batch(tiny_host: Host) -> None:
    """Bit for bit, as long as the padded length is the same: indexes built in other steps are equal."""
    batch = token_rows(60, 64, 33, 40)
    together = tiny_host.keys(batch, TAPS)
    for ids, keys in zip(batch, together, strict=True):
        np.testing.assert_array_equal(tiny_host.keys([ids], TAPS)[0], keys)


def test_a_model_in_memory_is_unchanged(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**TINY, attention_dropout=0.5)).to(torch.float64).train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    host = Host.load((model, tiny_tokenizer))
    first, second = (host.keys(token_rows(30), [Tap(1, 0)])[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)  # no dropout
    with pytest.raises(IndexError):  # a failing pass cleans up too
        host.keys([np.array([10_000], np.int32)], [Tap(1, 0)])
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
    assert len(model.model.layers) == 2
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.long
def test_threads_share_a_host(tiny_host: Host, tiny_model: LlamaForCausalLM) -> None:
    """Searches with other taps, and the model's owner, all at once."""
    batch = token_rows(*range(20, 60))
    taps = [[Tap(i % 4, i % 2)] for i in range(len(batch))]
    expected = [tiny_host.keys([ids], at)[0] for ids, at in zip(batch, taps, strict=True)]

    def logits(ids: npt.NDArray[np.int32]) -> torch.Tensor:
        with torch.no_grad():
            return tiny_model(torch.tensor(ids[None].astype(np.int64))).logits

    with ThreadPoolExecutor(8) as pool:
        owner = [pool.submit(logits, ids) for ids in batch]
        found = [pool.submit(tiny_host.keys, [ids], at) for ids, at in zip(batch, taps, strict=True)]
        for future, keys in zip(found, expected, strict=True):
            np.testing.assert_array_equal(future.result()[0], keys)
        for future, ids in zip(owner, batch, strict=True):
            assert future.result().shape == (1, len(ids), tiny_model.config.vocab_size)


def test_what_is_out_of_range_is_named(tiny_host: Host) -> None:
    ids = token_rows(5)
    with pytest.raises(InvalidInputError, match=r"tap 4\.0 .* layers are 0 to 3, heads 0 to 1"):
        tiny_host.keys(ids, [Tap(4, 0)])
    with pytest.raises(InvalidInputError, match=r"tap 0\.2 "):
        tiny_host.keys(ids, [Tap(0, 2)])
    with pytest.raises(InvalidInputError, match=r"query head 0\.4 .*heads 0 to 3"):
        tiny_host.queries(ids[0], [QueryHead(0, 4)])
    with pytest.raises(InvalidInputError, match="257 tokens exceeds the host's window of 256"):
        tiny_host.keys(token_rows(257), [Tap(0, 0)])


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (
            BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)),
            "'bert' .*encoder-only",
        ),
        (
            T5ForConditionalGeneration(T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=1)),
            "'t5' .*encoder-decoder",
        ),
        (
            MambaForCausalLM(MambaConfig(hidden_size=8, num_hidden_layers=1, vocab_size=9)),
            "cannot be a host: no attention by softmax",
        ),
        (
            Gemma3ForCausalLM(Gemma3TextConfig(**TINY, use_bidirectional_attention=True)),
            "'gemma3_text' .*encoder-only",
        ),
    ],
)
def test_other_models_are_refused_by_name(
    model: PreTrainedModel, kind: str, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedHostError, match=kind):
        Host.load((model, tiny_tokenizer))
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UnsupportedHostError, match=kind):
        Host.load(tmp_path)


def test_a_folder_is_loaded_as_it_is(
    tiny_host: Host, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    folder = tmp_path / "my-host"
    tiny_model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    host = Host.load(folder)
    assert Host.load(host) is host
    assert host.name == Host.load(str(folder)).name == "my-host"
    ids = host.encode("Where does the host keep its keys?").ids
    np.testing.assert_array_equal(ids, tiny_host.encode("Where does the host keep its keys?").ids)
    np.testing.assert_allclose(
        host.keys([ids], TAPS)[0], tiny_host.keys([ids], TAPS)[0], rtol=0.2, atol=0.2
    )  # bfloat16 where the CPU has it
    identity = {**tiny_host.identity, "name": "my-host"}
    assert json.loads(json.dumps(host.identity)) == identity
    assert (host.n_layers, host.n_query_heads, host.n_key_heads, host.head_dim) == (4, 4, 2, 16)


def test_a_folder_without_weights_says_so(tiny_model: LlamaForCausalLM, tmp_path: Path) -> None:
    tiny_model.config.save_pretrained(tmp_path)
    with pytest.raises(HostNotFoundError, match="cannot load host"):
        Host.load(tmp_path)


def test_another_type_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not int"):
        Host.load(3)  # type: ignore[arg-type]


@pytest.mark.host
def test_the_default_host(host: Host) -> None:
    assert host.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (host.n_layers, host.n_query_heads, host.n_key_heads, host.head_dim) == (30, 9, 3, 64)
    tokens = host.encode("naïve 漢字 👍\0\ud800 end")
    keys = host.keys([tokens.ids], [Tap(8, 0), Tap(9, 1)])[0]
    assert keys.shape == (len(tokens), 2, 64)
    assert np.isfinite(keys).all()
    assert tokens.ends[-1] == len("naïve 漢字 👍\0\ud800 end")
