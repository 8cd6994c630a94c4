"""Models that were mapped, quantised, adapted or damaged: read as they are, or refused by name."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from s3_retriever.errors import HostNotFoundError, UnsupportedHostError
from s3_retriever.host import Generator, Host, Sampling, Tap

TAPS = [Tap(1, 0), Tap(3, 1)]
Keys = npt.NDArray[np.float32]


def rows(n: int = 6) -> list[npt.NDArray[np.int32]]:
    random = np.random.default_rng(0)
    return [random.integers(1, 390, 64).astype(np.int32) for _ in range(n)]


def similarity(first: Sequence[Keys], second: Sequence[Keys]) -> float:
    """Return the mean cosine of keys."""
    a, b = np.stack(first), np.stack(second)
    return float(((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).mean())


def changed(folder: Path, source: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy a model's folder and change its configuration."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.long
@pytest.mark.parametrize("waiting", [("model.layers.1", "model.layers.2"), ("model", "lm_head")])
def test_weights_may_wait_on_the_disk(
    waiting: tuple[str, ...], tiny_folder: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """As device_map="auto" does where memory is short. Passes take turns: each brings its weights."""
    pytest.importorskip("accelerate")
    parts = ["model.embed_tokens", *(f"model.layers.{i}" for i in range(4)), "model.norm", "model.rotary_emb"]
    where = {part: "disk" if part.startswith(waiting) else "cpu" for part in [*parts, "lm_head"]}
    where["model.rotary_emb"] = "cpu"
    model = AutoModelForCausalLM.from_pretrained(
        tiny_folder, device_map=where, offload_folder=tmp_path, dtype=torch.float32
    )
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    host, expected = Host.load((model, tiny_tokenizer)), Host.load((plain, tiny_tokenizer)).keys(rows(), TAPS)
    assert any(weight.is_meta for weight in model.parameters())
    for read, wanted in zip(host.keys(rows(), TAPS), expected, strict=True):
        np.testing.assert_array_equal(read, wanted)
    with ThreadPoolExecutor(4) as pool:
        for read, wanted in zip(
            pool.map(lambda row: host.keys([row], TAPS)[0], rows(3) * 2), expected[:3] * 2, strict=True
        ):
            np.testing.assert_allclose(read, wanted, rtol=1e-4, atol=1e-5)
    generator = Generator(host)
    prompt = generator.encode("The quick", special_tokens=False)
    assert list(generator.generate(prompt, Sampling(max_new_tokens=2)))[-1].n_tokens == 2


def test_a_model_without_weights_is_refused(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    with torch.device("meta"):
        empty = LlamaForCausalLM(tiny_model.config)
    with pytest.raises(
        UnsupportedHostError, match=r"has no weights: model\.embed_tokens\.weight is on the meta"
    ):
        Host.load((empty, tiny_tokenizer))


def test_a_folder_that_lacks_weights_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    """Transformers would make up random ones, and warn."""
    folder = changed(tmp_path / "model", tiny_folder, lambda _: None)
    change_weights(folder, lambda weights: weights.pop("model.layers.2.self_attn.k_proj.weight"))
    with pytest.raises(
        UnsupportedHostError, match=r"lack 1 of its model's, such as 'model\.layers\.2\.self_attn\.k_proj\.w"
    ):
        Host.load(folder)


def test_a_folder_may_lack_the_language_models_head(
    tiny_folder: Path, tiny_host: Host, tmp_path: Path
) -> None:
    folder = changed(tmp_path / "model", tiny_folder, lambda _: None)
    change_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    assert similarity(Host.load(folder).keys(rows(), TAPS), tiny_host.keys(rows(), TAPS)) > 0.99


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"quant_method": "folded"}, UnsupportedHostError, "is quantised by 'folded', which this version"),
        ({"quant_method": "hqq"}, HostNotFoundError, r"cannot load host 'model' from .*(?i:hqq)"),
        ({"bits": 3}, HostNotFoundError, "cannot load host 'model' from .*quant_method"),
        (3, HostNotFoundError, "cannot load host 'model' from "),
    ],
)
def test_weights_quantised_in_an_unknown_way_are_refused(
    tiny_folder: Path, tmp_path: Path, settings: object, error: type[Exception], message: str
) -> None:
    """Transformers takes the numbers as they are if it does not know the method."""
    folder = changed(
        tmp_path / "model", tiny_folder, lambda config: config.update(quantization_config=settings)
    )
    with pytest.raises(error, match=message):
        Host.load(folder)


def test_a_tokenizer_saved_by_version_5_is_read_by_version_4(tiny_folder: Path, tmp_path: Path) -> None:
    folder = changed(tmp_path / "model", tiny_folder, lambda _: None)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "tokenizer_class": "TokenizersBackend"}), encoding="utf-8")
    assert Host.load(folder).count_tokens("The quick brown fox") > 1


@pytest.mark.long
def test_weights_in_float8_are_read(
    tiny_model: LlamaForCausalLM, tiny_folder: Path, tmp_path: Path, tiny_host: Host
) -> None:
    """As many models on the hub are: a scale for each block of a matrix. On a CPU they become bfloat16."""
    settings = {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "weight_block_size": [32, 32],
        "fmt": "e4m3",
    }
    folder = changed(
        tmp_path / "model", tiny_folder, lambda config: config.update(quantization_config=settings)
    )

    def quantise(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if name.endswith("_proj.weight")]:
            rows, columns = weights[name].shape
            blocks = weights[name].float().reshape(rows // 32, 32, columns // 32, 32)
            scales = blocks.abs().amax((1, 3)) / 448
            scaled = (blocks / scales[:, None, :, None]).reshape(rows, columns)
            weights[name] = scaled.to(torch.float8_e4m3fn)
            weights[name.replace("weight", "weight_scale_inv")] = scales

    change_weights(folder, quantise)
    try:
        host = Host.load(folder)
    except HostNotFoundError as error:
        assert "GPU" in str(error)  # transformers 4 needs one for it
        return
    assert 0.97 < similarity(host.keys(rows(), TAPS), tiny_host.keys(rows(), TAPS)) < 0.9999


class PackedLinear(nn.Module):
    """A projection as GPTQ and AWQ have it: four bits a weight, packed in integers, and no parameter."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        scales = linear.weight.detach().abs().amax(1, keepdim=True) / 7
        levels = (linear.weight.detach() / scales).round().to(torch.int32) + 8
        packed = sum(levels[:, i::8] << (4 * i) for i in range(8))
        self.register_buffer("qweight", packed)
        self.register_buffer("scales", scales[:, 0])
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = torch.stack([self.qweight >> (4 * i) & 15 for i in range(8)], -1).flatten(1) - 8
        weight = levels.float() * self.scales[:, None]
        return nn.functional.linear(x, weight, self.bias)


def replaced(model: nn.Module, by: Callable[[nn.Linear], nn.Module]) -> nn.Module:
    """Return a copy whose projections are others; the head stays."""
    model = copy.deepcopy(model)
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and path != "lm_head":
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, by(module))
    return model


@pytest.mark.long
def test_a_projection_may_keep_its_weights_out_of_sight(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, tiny_host: Host
) -> None:
    host = Host.load((replaced(tiny_model, PackedLinear), tiny_tokenizer))
    assert host.attention_layers == [0, 1, 2, 3]
    assert str(host.places.heads[0].queries) == "4 x 16 of layers.0.self_attn.q_proj"
    assert 0.8 < similarity(host.keys(rows(), TAPS), tiny_host.keys(rows(), TAPS)) < 0.9999


def quantised_by_torch(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and still used
        return torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model.eval()), {nn.Linear}, dtype=torch.qint8
        )


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_rows_stay_apart_where_the_model_would_mix_them(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Torch's dynamic quantisation has one scale for all rows: what a text gives would depend on others."""
    model = quantised_by_torch(tiny_model)
    with torch.no_grad():
        both = model.model(torch.tensor(np.stack(rows(2)))).last_hidden_state
        alone = model.model(torch.tensor(np.stack(rows(1)))).last_hidden_state
    assert not torch.equal(both[0], alone[0])
    host = Host.load((model, tiny_tokenizer))
    together = host.keys(rows(), TAPS)
    for row, keys in zip(rows(), together, strict=True):
        np.testing.assert_array_equal(host.keys([row], TAPS)[0], keys)


def write_gguf(
    path: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, kind: gguf.GGMLQuantizationType
) -> None:
    """Write a Llama as llama.cpp's converter does."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    names = sorted(backend["vocab"], key=backend["vocab"].__getitem__)
    writer.add_token_list(names)
    writer.add_token_types([3 if name == "<|end|>" else 1 for name in names])
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in backend["merges"]]
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    names_there = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        array = weight.float().numpy()
        for projection, n_heads in (
            ("q_proj", config.num_attention_heads),
            ("k_proj", config.num_key_value_heads),
        ):
            if f"{projection}.weight" in name:  # pairs of rotated channels lie side by side there
                shape = n_heads, 2, array.shape[0] // n_heads // 2, *array.shape[1:]
                array = array.reshape(shape).swapaxes(1, 2).reshape(array.shape)
        there = names_there.get_name(name, try_suffixes=(".weight", ".bias"))
        quantise = array.ndim > 1 and array.shape[-1] % 32 == 0
        as_kind = kind if quantise else gguf.GGMLQuantizationType.F32
        writer.add_tensor(there, gguf.quants.quantize(array, as_kind), raw_dtype=as_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.long
def test_gguf_is_read_through_transformers(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    settings = {**tiny_model.config.to_dict(), "attention_bias": False, "tie_word_embeddings": False}
    torch.manual_seed(0)
    plain = LlamaForCausalLM(LlamaConfig(**settings)).eval()
    expected = Host.load((plain, tiny_tokenizer))
    loaded = {}
    for kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0):
        name = f"{kind.name}.gguf"
        write_gguf(tmp_path / name, plain, tiny_tokenizer, kind)
        model = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=name, dtype=torch.float32)
        loaded[kind.name] = Host.load((model, AutoTokenizer.from_pretrained(tmp_path, gguf_file=name)))
    assert loaded["F32"].name == tmp_path.name
    text = "The quick brown fox jumps over the lazy dog."
    np.testing.assert_array_equal(loaded["F32"].encode(text).ids, expected.encode(text).ids)
    keys = expected.keys(rows(), TAPS)
    for read, wanted in zip(loaded["F32"].keys(rows(), TAPS), keys, strict=True):
        np.testing.assert_allclose(read, wanted, rtol=1e-4, atol=1e-5)
    assert 0.99 < similarity(loaded["Q8_0"].keys(rows(), TAPS), keys) < 0.999999
    with pytest.raises(HostNotFoundError, match=r"F32\.gguf' is a GGUF file; load it with .*gguf_file='F32"):
        Host.load(tmp_path / "F32.gguf")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["LoraConfig", "IA3Config", "LoHaConfig"])
def test_adapters_of_queries_and_keys_are_read(
    kind: str, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast, tiny_host: Host
) -> None:
    peft = pytest.importorskip("peft")
    modules = {"target_modules": ["q_proj", "k_proj"]}
    options: dict[str, dict[str, Any]] = {
        "LoraConfig": {"r": 4, "use_dora": True, "init_lora_weights": False, **modules},
        "IA3Config": {"feedforward_modules": [], "init_ia3_weights": False, **modules},
        "LoHaConfig": {"r": 4, "init_weights": False, **modules},
    }
    model = peft.get_peft_model(copy.deepcopy(tiny_model), getattr(peft, kind)(**options[kind]))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "ia3" in name:
                weight.normal_()
    host = Host.load((model, tiny_tokenizer))
    assert host.attention_layers == [0, 1, 2, 3]
    keys = host.keys(rows(), TAPS)
    assert similarity(keys, tiny_host.keys(rows(), TAPS)) < 0.999
    merged = Host.load((model.merge_and_unload(), tiny_tokenizer))
    for read, wanted in zip(keys, merged.keys(rows(), TAPS), strict=True):
        np.testing.assert_allclose(read, wanted, rtol=1e-2, atol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig"])
def test_an_adapter_that_puts_tokens_before_a_text_is_refused(
    kind: str, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    peft = pytest.importorskip("peft")
    config = getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=4)
    model = peft.get_peft_model(copy.deepcopy(tiny_model), config)
    with pytest.raises(UnsupportedHostError, match=r"an adapter, P\w+_TUNING, that puts tokens or keys"):
        Host.load((model, tiny_tokenizer))
