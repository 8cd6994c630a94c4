"""Every family, as a small random model: what is read, and replaced, is what its attention uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from declared_families import DECLARED
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from s3_retriever import RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host import FAMILIES, Family, Host, QKNorm, QueryHead, Tap, register_family
from s3_retriever.host.edit import Edits, negative_log_likelihood, output_errors
from s3_retriever.host.places import base_decoder

pytestmark = pytest.mark.long

SMALL_CHUNKS = RetrieverConfig(scan=ScanConfig(chunk_tokens=64, overlap_tokens=16, batch_tokens=128))

ByHand = Callable[[nn.Module, Tensor, int, int, int], tuple[Tensor, Tensor, Tensor]]
"""Queries (n, H, d), keys and values (n, K, d) from an attention, its input (n, D), H, K and d."""


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5) * weight
    return normed if bias is None else normed + bias


def affine(module: nn.Module, x: Tensor) -> Tensor:
    return x @ module.weight.T + (0 if getattr(module, "bias", None) is None else module.bias)


def plain(a: nn.Module, x: Tensor, n_q: int, n_k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    heads = (affine(a.q_proj, x), n_q), (affine(a.k_proj, x), n_k), (affine(a.v_proj, x), n_k)
    q, k, v = (out.reshape(-1, n, d) for out, n in heads)
    return q, k, v


def nested(a: nn.Module, x: Tensor, n_q: int, n_k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    return plain(a.attention, x, n_q, n_k, d)


def normed(
    norm: Callable[[Tensor, nn.Module], Tensor], names: tuple[str, str] = ("q_norm", "k_norm")
) -> ByHand:
    """Each head by itself."""

    def by_hand(a: nn.Module, x: Tensor, n_q: int, n_k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = plain(a, x, n_q, n_k, d)
        return norm(q, a.get_submodule(names[0])), norm(k, a.get_submodule(names[1])), v

    return by_hand


def normed_whole(a: nn.Module, x: Tensor, n_q: int, n_k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    q, k = rms(affine(a.q_proj, x), a.q_norm.weight), rms(affine(a.k_proj, x), a.k_norm.weight)
    return q.reshape(-1, n_q, d), k.reshape(-1, n_k, d), plain(a, x, n_q, n_k, d)[2]


def clipped(by_hand: ByHand, bound: float) -> ByHand:
    def bounded(a: nn.Module, x: Tensor, n_q: int, n_k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = by_hand(a, x, n_q, n_k, d)
        assert (q.abs() > bound).any()
        return q.clip(-bound, bound), k.clip(-bound, bound), v.clip(-bound, bound)

    return bounded


def blocks(name: str, *, transposed: bool = False) -> ByHand:
    def by_hand(a: nn.Module, x: Tensor, n_q: int, n_k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
        fused = a.get_submodule(name)
        out = x @ fused.weight + fused.bias if transposed else affine(fused, x)
        q, k, v = out.split([n_q * d, n_k * d, n_k * d], dim=-1)
        return q.reshape(-1, n_q, d), k.reshape(-1, n_k, d), v.reshape(-1, n_k, d)

    return by_hand


def groups(name: str) -> ByHand:
    def by_hand(a: nn.Module, x: Tensor, n_q: int, n_k: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
        out = affine(a.get_submodule(name), x)
        q, k, v, at = [], [], [], 0
        for _ in range(n_k):
            for _ in range(n_q // n_k):
                q.append(out[:, at : at + d])
                at += d
            k.append(out[:, at : at + d])
            v.append(out[:, at + d : at + 2 * d])
            at += 2 * d
        assert at == out.shape[1]
        return torch.stack(q, 1), torch.stack(k, 1), torch.stack(v, 1)

    return by_hand


@dataclasses.dataclass(frozen=True)
class Case:
    """A family's small model.

    Attributes:
        name: Of the classes in ``transformers``, without Config and ForCausalLM.
        by_hand: What its attention computes before rotary embedding.
        settings: Beyond or instead of the usual ones.
        attention: Path of the attention in a layer.
        layers: Path of the layers in the base decoder.
        key_heads: How many there are.
        head_dim: Of a query or key.
        model: Name of the model's class, where it has another.
        config: Likewise of the configuration's.
        probabilities: Whether the model gives attention probabilities that depend on queries and keys alone.
    """

    name: str
    by_hand: ByHand = plain
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    attention: str = "self_attn"
    layers: str = "layers"
    key_heads: int = 2
    head_dim: int = 8
    model: str = ""
    config: str = ""
    probabilities: bool = True


COMMON = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "initializer_range": 0.2,
}
BIAS = {"attention_bias": True}
WIDE = {"head_dim": 12}  # hidden / heads is 8
SLIDING = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
one_plus = normed(lambda x, m: rms(x, 1 + m.weight))
each = normed(lambda x, m: rms(x, m.weight))
LAYER_NORMS = ("q_layernorm", "k_layernorm")

CASES = {
    "apertus": Case("Apertus", each),
    "arcee": Case("Arcee", settings=BIAS),
    "cohere": Case("Cohere", settings=BIAS),
    "cohere-norm": Case(
        "Cohere", normed(lambda x, m: layer_norm(x, m.weight)), {"use_qk_norm": True, "layer_norm_eps": 1e-5}
    ),
    "cohere2": Case("Cohere2", settings=SLIDING),
    "ernie4_5": Case("Ernie4_5", settings={"use_bias": True, **WIDE}, head_dim=12),
    "exaone4": Case("Exaone4", each, SLIDING),
    "falcon-old": Case(
        "Falcon",
        groups("query_key_value"),
        {"multi_query": False, "new_decoder_architecture": False, "bias": True, "parallel_attn": False},
        "self_attention",
        "h",
        key_heads=4,
    ),
    "falcon-alibi": Case(
        "Falcon",
        groups("query_key_value"),
        {"multi_query": False, "new_decoder_architecture": False, "bias": True, "alibi": True},
        "self_attention",
        "h",
        key_heads=4,
        probabilities=False,
    ),
    "falcon-multi-query": Case(
        "Falcon",
        groups("query_key_value"),
        {"multi_query": True, "new_decoder_architecture": False, "bias": True},
        "self_attention",
        "h",
        key_heads=1,
    ),
    "falcon-new": Case(
        "Falcon",
        groups("query_key_value"),
        {"new_decoder_architecture": True, "num_kv_heads": 2, "bias": True},
        "self_attention",
        "h",
    ),
    "gemma": Case("Gemma", settings=WIDE, head_dim=12),
    "gemma2": Case(
        "Gemma2", settings={**WIDE, **BIAS, **SLIDING, "attn_logit_softcapping": None}, head_dim=12
    ),
    "gemma3_text": Case("Gemma3", one_plus, {**WIDE, **SLIDING}, head_dim=12, config="Gemma3Text"),
    "glm": Case("Glm", settings={**WIDE, **BIAS}, head_dim=12),
    "glm4": Case("Glm4", settings={**WIDE, **BIAS}, head_dim=12),
    "gpt2": Case(
        "GPT2",
        blocks("c_attn", transposed=True),
        attention="attn",
        layers="h",
        key_heads=4,
        model="GPT2LMHead",
    ),
    "gpt_bigcode": Case("GPTBigCode", groups("c_attn"), {}, "attn", "h", key_heads=1),
    "gpt_bigcode-heads": Case(
        "GPTBigCode", groups("c_attn"), {"multi_query": False}, "attn", "h", key_heads=4
    ),
    "gpt_neo": Case(
        "GPTNeo",
        nested,
        {"attention_types": [[["global", "local", "global"], 1]], "num_layers": 3, "window_size": 8},
        "attn",
        "h",
        key_heads=4,
    ),
    "gpt_neox": Case("GPTNeoX", groups("query_key_value"), {}, "attention", key_heads=4),
    "gpt_oss": Case(
        "GptOss",
        settings={**WIDE, **SLIDING, "num_local_experts": 4, "num_experts_per_tok": 2},
        head_dim=12,
    ),
    "gptj": Case("GPTJ", settings={"rotary_dim": 4}, attention="attn", layers="h", key_heads=4),
    "granite": Case("Granite", settings={**BIAS, "embedding_multiplier": 3.0, "attention_multiplier": 0.3}),
    "granitemoe": Case("GraniteMoe", settings={**BIAS, "num_local_experts": 4}),
    "helium": Case("Helium", settings={**BIAS, "head_dim": 8}),
    "lfm2": Case(
        "Lfm2",
        normed(lambda x, m: rms(x, m.weight), LAYER_NORMS),
        {
            "layer_types": ["full_attention", "conv", "full_attention"],
            "norm_eps": 1e-6,
            "block_multiple_of": 16,
        },
    ),
    "llama": Case("Llama", settings={**BIAS, **WIDE}, head_dim=12),
    "ministral": Case("Ministral", settings={**WIDE, **SLIDING}, head_dim=12),
    "mistral": Case("Mistral", settings={"sliding_window": 8, **WIDE}, head_dim=12),
    "mixtral": Case("Mixtral", settings={"num_local_experts": 4}),
    "mpt": Case(
        "Mpt",
        clipped(blocks("Wqkv"), 0.5),
        {"attn_config": {"clip_qkv": 0.5}, "max_seq_len": 256, "expansion_ratio": 2},
        "attn",
        "blocks",
        key_heads=4,
        probabilities=False,
    ),
    "nemotron": Case("Nemotron", settings=BIAS),
    "olmo": Case("Olmo", clipped(plain, 0.5), {**BIAS, "clip_qkv": 0.5}),
    "olmo-free": Case("Olmo"),
    "olmo2": Case("Olmo2", normed_whole, BIAS),
    "olmo3": Case("Olmo3", normed_whole, {**BIAS, **SLIDING}),
    "olmoe": Case("Olmoe", clipped(normed_whole, 0.5), {**MOE, "clip_qkv": 0.5, "rms_norm_eps": 1e-6}),
    "opt": Case("OPT", settings={"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2}, key_heads=4),
    "phi": Case("Phi"),
    "phi-norm": Case(
        "Phi", normed(lambda x, m: layer_norm(x, m.weight, m.bias), LAYER_NORMS), {"qk_layernorm": True}
    ),
    "phi3": Case("Phi3", blocks("qkv_proj"), {"sliding_window": 8}),
    "qwen2": Case("Qwen2"),
    "qwen2_moe": Case("Qwen2Moe", settings={**MOE, "shared_expert_intermediate_size": 16}),
    "qwen3": Case("Qwen3", each, {**BIAS, **WIDE}, head_dim=12),
    "qwen3_moe": Case("Qwen3Moe", each, {**BIAS, **WIDE, **MOE}, head_dim=12),
    "seed_oss": Case("SeedOss", settings={**BIAS, **WIDE}, head_dim=12),
    "smollm3": Case("SmolLM3", settings={**BIAS, "no_rope_layers": [1, 0, 1]}),
    "stablelm": Case("StableLm", settings={"use_qkv_bias": True}),
    "stablelm-norm": Case(
        "StableLm",
        normed(lambda x, m: layer_norm(x, torch.stack([one.weight for one in m.norms])), LAYER_NORMS),
        {"qk_layernorm": True},
    ),
    "starcoder2": Case("Starcoder2", settings={"use_bias": True, "sliding_window": 8}),
}


@dataclasses.dataclass(frozen=True)
class Built:
    case: Case
    model: PreTrainedModel
    host: Host

    @property
    def attentions(self) -> dict[int, nn.Module]:
        layers = base_decoder(self.model).get_submodule(self.case.layers)
        found = ((i, dict(layer.named_modules()).get(self.case.attention)) for i, layer in enumerate(layers))
        return {i: attention for i, attention in found if attention is not None}


def build(case: Case, tokenizer: PreTrainedTokenizerFast) -> Built:
    config_class = getattr(transformers, (case.config or case.name) + "Config", None)
    model_class = getattr(
        transformers, case.model + "Model" if case.model else case.name + "ForCausalLM", None
    )
    if config_class is None or model_class is None:
        pytest.skip(f"transformers {transformers.__version__} has no {case.name}")
    shared = {"num_key_value_heads": 2} if case.key_heads == 2 else {}  # else the family has no such setting
    settings = {**COMMON, **shared, **case.settings}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = config_class(**settings)
        config._attn_implementation = "eager"  # gives its probabilities
        try:
            model = model_class(config).eval()
        except AttributeError as error:
            pytest.skip(f"transformers {transformers.__version__} cannot build it: {error}")
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:  # a norm of ones and a bias of zeros would hide that they were lost
                    parameter += 0.4 * torch.randn_like(parameter)
    return Built(case, model, Host.load((model, tokenizer)))


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def built(request: pytest.FixtureRequest, tiny_tokenizer: PreTrainedTokenizerFast) -> Built:
    return build(CASES[request.param], tiny_tokenizer)


def token_row(n: int) -> npt.NDArray[np.int32]:
    return np.random.default_rng(0).integers(1, 396, n).astype(np.int32)


def everything(host: Host, layers: list[int]) -> tuple[list[Tap], list[QueryHead]]:
    return (
        [Tap(layer, head) for layer in layers for head in range(host.n_key_heads)],
        [QueryHead(layer, head) for layer in layers for head in range(host.n_query_heads)],
    )


def test_every_declared_family_has_a_case() -> None:
    assert {name.partition("-")[0] for name in CASES} == set(DECLARED)


def test_discovery_reads_what_a_declaration_reads(
    built: Built,
    tiny_tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    random_artifact: Callable[[Host, Sequence[tuple[QueryHead, Tap]]], Artifact],
    tmp_path: Path,
) -> None:
    """To the bit: in every layer, and so in an index."""
    name = built.host.identity["model_type"]
    assert built.host.places.source == "discovered"
    monkeypatch.setattr("s3_retriever.host.families.FAMILIES", {name: DECLARED[name]})
    declared = Host.load((built.model, tiny_tokenizer))
    assert declared.places.source == "declared"
    assert declared.identity == built.host.identity
    assert declared.attention_layers == built.host.attention_layers
    taps, heads = everything(declared, declared.attention_layers)
    assert [declared.asked(head) for head in heads] == [built.host.asked(head) for head in heads]
    for length in (7, 40):
        ours, its = (
            host.project([token_row(length)], taps=taps, heads=heads, values=taps)[0]
            for host in (built.host, declared)
        )
        for kind in ("keys", "queries", "values"):
            np.testing.assert_array_equal(getattr(ours, kind), getattr(its, kind))

    artifact = random_artifact(declared, [(head, declared.asked(head)) for head in heads[-3:]])
    saved = []
    for host in (built.host, declared):
        retriever = S3Retriever(host=host, artifact=artifact, config=SMALL_CHUNKS)
        retriever.add([{"id": "rain", "text": "Rain forms when droplets in a cloud grow too heavy. " * 12}])
        folder = tmp_path / host.places.source
        retriever.save(folder)
        saved.append({path.name: path.read_bytes() for path in folder.rglob("*.safetensors")})
    assert saved[0]
    assert saved[0] == saved[1]


def test_what_is_read_is_what_the_attention_computes(built: Built) -> None:
    """In every layer of a full pass, from the attention's own input and weights."""
    case, host, ids = built.case, built.host, token_row(40)
    inputs: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            inputs[layer] = (args[0] if args else kwargs["hidden_states"])[0].clone()

        return hook

    attentions = built.attentions
    assert host.attention_layers == list(attentions)
    hooks = [a.register_forward_pre_hook(keep(i), with_kwargs=True) for i, a in attentions.items()]
    with torch.no_grad():
        built.model(torch.tensor(ids[None].astype(np.int64)), use_cache=False)
    for hook in hooks:
        hook.remove()

    shape = host.n_query_heads, host.n_key_heads, host.head_dim
    assert shape == (4, case.key_heads, case.head_dim)
    for layer, attention in attentions.items():
        with torch.no_grad():
            queries, keys, values = case.by_hand(attention, inputs[layer], *shape)
        taps, heads = everything(host, [layer])
        (read,) = host.project([ids], taps=taps, heads=heads, values=taps)
        np.testing.assert_allclose(read.keys, keys.numpy(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(read.queries, queries.numpy(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(read.values, values.numpy(), rtol=1e-3, atol=1e-4)


def test_what_is_replaced_is_what_the_attention_uses(built: Built) -> None:
    """An edit gets what is read; what it returns reaches the attention, at this layer and no other."""
    host, rows = built.host, token_row(80).reshape(2, 40)
    layer = host.attention_layers[-1]
    taps, _ = everything(host, [layer])
    read = host.project(list(rows), taps=taps, values=taps)
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[Tensor], Tensor]:
        def edit(heads: Tensor) -> Tensor:
            seen[name] = heads.clone()
            return heads

        return edit

    def zero(heads: Tensor) -> Tensor:
        return torch.zeros_like(heads)

    same = Edits({layer: keep("keys")}, {layer: keep("values")})
    variants = [
        same,
        Edits(keys={layer: zero}),
        Edits(values={layer: zero}),
        Edits({layer: zero}, {layer: zero}),
    ]
    errors = output_errors(host, rows, {layer: variants})[layer]
    assert errors[0] > 0
    assert errors[1] == 0
    assert errors[2] > 1e-4 * errors[0]
    assert errors[3] == errors[4]  # without values, keys do not matter
    for name in ("keys", "values"):
        expected = np.stack([getattr(row, name) for row in read])
        np.testing.assert_allclose(seen[name].numpy(), expected, rtol=1e-3, atol=1e-4)

    unchanged = negative_log_likelihood(host, rows)
    assert negative_log_likelihood(host, rows, same) == unchanged
    assert negative_log_likelihood(host, rows, Edits(keys={layer: zero})) != unchanged
    logits = built.model(torch.tensor(rows.astype(np.int64)), use_cache=False).logits.detach()
    expected = functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), torch.tensor(rows[:, 1:].astype(np.int64)).flatten()
    )
    assert unchanged == pytest.approx(float(expected), rel=1e-4)


def test_early_exit_gives_what_the_full_pass_gives(built: Built) -> None:
    host, ids = built.host, token_row(40)
    layers = host.attention_layers
    (full,) = host.project([ids], **dict(zip(("taps", "heads"), everything(host, layers), strict=True)))
    ran: list[int] = []
    for i, layer in enumerate(layers):
        following = built.attentions.get(layers[i + 1]) if i + 1 < len(layers) else None
        hook = following.register_forward_pre_hook(lambda *_: ran.append(1)) if following else None
        taps, heads = everything(host, [layer])
        (keys,) = host.keys([ids], taps)
        queries = host.queries(ids, heads)
        if hook:
            hook.remove()
        np.testing.assert_array_equal(keys, full.keys[:, i * len(taps) : (i + 1) * len(taps)])
        np.testing.assert_array_equal(queries, full.queries[:, i * len(heads) : (i + 1) * len(heads)])
    assert ran == []


def test_a_row_is_read_alike_beside_a_longer_one(built: Built) -> None:
    """Padding on the right is seen by no token."""
    taps, heads = everything(built.host, built.host.attention_layers)
    short, long = token_row(20), token_row(90)
    together = built.host.project([short, long], taps=taps, heads=heads)[0]
    (alone,) = built.host.project([short], taps=taps, heads=heads)
    np.testing.assert_allclose(together.keys, alone.keys, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(together.queries, alone.queries, rtol=1e-3, atol=1e-4)


def test_query_heads_ask_their_groups_key_head(built: Built) -> None:
    """The model's own attention agrees.

    With all tokens at position 0 rotary embedding does nothing, so where a token attends to two others,
    the logarithm of the ratio is the difference of its query's products with their keys, times a factor
    that all heads share.
    """
    if not built.case.probabilities:
        pytest.skip("its attention also depends on the distance")
    host, ids = built.host, token_row(6)
    tokens = torch.tensor(ids[None].astype(np.int64))
    layer = host.attention_layers[0]
    with torch.no_grad():
        options: dict[str, Any] = {"attention_mask": torch.ones_like(tokens), "output_attentions": True}
        if built.case.name not in ("GPT2", "GPTNeo", "GPTBigCode", "OPT"):  # their positions are added before
            options["position_ids"] = torch.zeros_like(tokens)
        attentions = built.model(tokens, use_cache=False, **options).attentions
    probabilities = attentions[0][0].double().numpy()  # (H, n, n)
    taps, heads = everything(host, [layer])
    (read,) = host.project([ids], taps=taps, heads=heads)
    expected, found = [], []
    for head in range(host.n_query_heads):
        keys = read.keys[:, head // (host.n_query_heads // host.n_key_heads)].astype(float)
        for n in range(1, len(ids)):
            products = keys[: n + 1] @ read.queries[n, head].astype(float)
            expected += list(products[1:] - products[0])
            found += list(np.log(probabilities[head, n, 1 : n + 1] / probabilities[head, n, 0]))
    factor = np.dot(expected, found) / np.dot(expected, expected)
    assert factor > 0
    np.testing.assert_allclose(found, factor * np.array(expected), rtol=1e-2, atol=1e-3)


def test_documents_are_indexed_and_found(
    built: Built, random_artifact: Callable[[Host, Sequence[tuple[QueryHead, Tap]]], Artifact]
) -> None:
    host = built.host
    shared = host.n_query_heads // host.n_key_heads
    first, last = host.attention_layers[0], host.attention_layers[-1]
    places = [(first, 0), (first, shared - 1), (last, host.n_query_heads - 1)]
    heads = [(QueryHead(i, head), Tap(i, head // shared)) for i, head in places]
    documents = {
        "tides": "Spring tides follow the new and the full moon. " * 12,
        "rain": "Rain forms when droplets in a cloud grow too heavy to stay aloft. " * 12,
    }
    retriever = S3Retriever(host=host, artifact=random_artifact(host, heads), config=SMALL_CHUNKS)
    retriever.add([{"id": name, "text": text} for name, text in documents.items()])
    for mode in ("s3", "hybrid"):
        spans = retriever.retrieve("When is the tide highest?", token_budget=40, mode=mode)
        assert spans
        assert all(documents[span.doc_id][span.start : span.end] == span.text for span in spans)


def test_gemmas_embeddings_are_scaled(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    """From token ids to the first layer's keys, all by hand."""
    built, ids = build(CASES["gemma2"], tiny_tokenizer), token_row(10)
    decoder = built.model.model
    first = decoder.layers[0]
    with torch.no_grad():
        embedded = functional.embedding(torch.tensor(ids.astype(np.int64)), decoder.embed_tokens.weight)
        keys = affine(first.self_attn.k_proj, rms(embedded * 32**0.5, 1 + first.input_layernorm.weight))
    (read,) = built.host.keys([ids], [Tap(0, 0), Tap(0, 1)])
    np.testing.assert_allclose(read, keys.reshape(10, 2, 12).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "falcon-new", "gpt_neox", "qwen3"])
def test_the_base_decoder_alone_is_a_host(name: str, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    built, ids = build(CASES[name], tiny_tokenizer), token_row(10)
    bare = Host.load((built.model.base_model, tiny_tokenizer))
    assert bare.max_tokens == 256
    np.testing.assert_array_equal(bare.keys([ids], [Tap(2, 0)])[0], built.host.keys([ids], [Tap(2, 0)])[0])


@pytest.mark.parametrize("found", [None, "itself"])
def test_older_transformers_need_not_find_the_decoder(
    found: str | None, tiny_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, ids = build(CASES["gpt2"], tiny_tokenizer), token_row(10)
    monkeypatch.setattr(built.model, "get_decoder", lambda: built.model if found else None)
    again = Host.load((built.model, tiny_tokenizer))
    np.testing.assert_array_equal(again.keys([ids], [Tap(2, 0)])[0], built.host.keys([ids], [Tap(2, 0)])[0])


def test_the_decoder_of_a_model_for_images_is_a_host(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = {**COMMON, **WIDE, **SLIDING}
    config = transformers.Gemma3Config(
        text_config=text, vision_config={**vision, "image_size": 14, "patch_size": 14}, mm_tokens_per_image=1
    )
    model = transformers.Gemma3ForConditionalGeneration(config).eval()
    host, ids = Host.load((model, tiny_tokenizer)), token_row(10)
    assert host.identity["model_type"] == "gemma3_text"
    inner = Host.load((model.get_decoder(), tiny_tokenizer))
    np.testing.assert_array_equal(host.keys([ids], [Tap(2, 1)])[0], inner.keys([ids], [Tap(2, 1)])[0])


def test_a_layer_without_attention_has_no_heads(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    host = build(CASES["lfm2"], tiny_tokenizer).host
    with pytest.raises(InvalidInputError, match=r"layer 1 has no attention heads .*; layers \[0, 2\] have"):
        host.keys([token_row(3)], [Tap(1, 0)])


class HouseConfig(LlamaConfig):
    model_type = "house"


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets a test declare families that nobody else sees."""
    monkeypatch.setattr("s3_retriever.host.families.FAMILIES", dict(FAMILIES))
    yield


def house_model() -> LlamaForCausalLM:
    return LlamaForCausalLM(HouseConfig(**COMMON, num_key_value_heads=2)).eval()


def test_a_family_is_declared_from_user_code(families: None, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    model, ids = house_model(), token_row(10)
    family = Family(layers="layers", query="self_attn.q_proj", key="self_attn.k_proj")
    register_family("house", family)
    register_family("house", dataclasses.replace(family))  # a module that is imported twice does no harm
    host = Host.load((model, tiny_tokenizer))
    with torch.no_grad():
        first = model.model.layers[0]
        keys = affine(first.self_attn.k_proj, first.input_layernorm(model.model.embed_tokens.weight[ids]))
    np.testing.assert_allclose(
        host.keys([ids], [Tap(0, 1)])[0][:, 0], keys[:, 8:].numpy(), rtol=1e-4, atol=1e-5
    )


def test_values_of_a_family_that_does_not_say_where_they_are_are_refused(
    families: None, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    register_family("house", Family(layers="layers", query="self_attn.q_proj", key="self_attn.k_proj"))
    host, ids = Host.load((house_model(), tiny_tokenizer)), token_row(10)
    for read in (
        lambda: host.project([ids], values=[Tap(0, 0)]),
        lambda: negative_log_likelihood(host, ids[None], Edits(values={0: torch.clone})),
    ):
        with pytest.raises(
            UnsupportedHostError, match=r"'house' computes its values .*Family\(\.\.\., value="
        ):
            read()


def test_a_declared_family_is_not_replaced(families: None) -> None:
    register_family("llama", DECLARED["llama"])
    other = Family(layers="blocks", query="self_attn.q_proj", key="self_attn.k_proj")
    with pytest.raises(InvalidInputError, match="'llama' is declared already"):
        register_family("llama", other)
    register_family("llama", DECLARED["llama"])


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"layers": "blocks"}, "LlamaModel has no 'blocks'"),
        ({"key": "self_attn.k"}, "LlamaDecoderLayer has no 'self_attn.k'"),
        ({"value": "self_attn.v"}, "LlamaDecoderLayer has no 'self_attn.v'"),
        ({"norm": QKNorm("self_attn.q_norm", "self_attn.k_norm")}, "has no 'self_attn.q_norm'"),
        ({"window": "n_ctx"}, "configuration has no 'n_ctx'"),
        ({"hybrid": True, "query": "mixer.q", "key": "mixer.k"}, "no layer has 'mixer.q'"),
        ({"key_heads": lambda _: 3}, "4 query heads cannot share 3 key heads"),
        ({"key_heads": lambda _: 4}, r"layer 0 \(layers.0\) .*more channels .*layers.0.self_attn.k_proj"),
        (
            {"key": "self_attn.v_proj", "value": "self_attn.k_proj"},
            r"layer 0 \(layers.0\) gets other keys than are read .*2 x 8 of layers.0.self_attn.v_proj",
        ),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    families: None, tiny_tokenizer: PreTrainedTokenizerFast, declared: dict[str, Any], reason: str
) -> None:
    register_family("house", dataclasses.replace(DECLARED["llama"], **declared))
    with pytest.raises(UnsupportedHostError, match=reason):
        Host.load((house_model(), tiny_tokenizer))


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: Family("layers", "a", "b", "rows"), "layout must be one of .*not 'rows'"),
        (lambda: Family("layers", "a", "b", "blocks"), "'blocks' does not fit query 'a' and key 'b'"),
        (lambda: Family("layers", "a", "a"), "'separate' does not fit"),
        (
            lambda: Family("layers", "a", "a", "groups", value="b"),
            "'groups' has its values in 'a', not in 'b'",
        ),
        (lambda: QKNorm("a", "b", "token"), "over must be one of .*not 'token'"),
    ],
)
def test_mistakes_in_a_declaration_are_named(declare: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        declare()
