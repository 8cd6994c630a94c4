"""What a run shows of a model and its name does not: turns, widths, norms, gates, latents."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from calibration_set import DOCUMENTS, PAIRS, SCAN
from host_table import MIXED
from packaging.version import Version
from tiny_families import LISTED, build
from transformers import AttentionInterface, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from s3_retriever import RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.cli.main import main
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host import Host, QueryHead, Tap
from s3_retriever.host.edit import Edits, negative_log_likelihood
from s3_retriever.host.places import base_decoder
from s3_retriever.host.watching import Attention, watch
from s3_retriever.training.calibrate import CalibrateConfig, calibrate_heads
from s3_retriever.training.fit import SAEOptions, train_calibration
from s3_retriever.training.sae_training import TrainConfig

pytestmark = pytest.mark.long

Load = Callable[[str], Host]


@pytest.fixture
def load(tiny_tokenizer: PreTrainedTokenizerFast) -> Load:
    """Builds a family's tiny model and loads it as a host."""

    def load(name: str) -> Host:
        if name not in LISTED:
            pytest.skip(f"this version of transformers has no {name}")
        return Host.load((build(name), tiny_tokenizer))

    return load


def ids(n: int) -> npt.NDArray[np.int32]:
    return np.random.default_rng(0).integers(1, 250, n).astype(np.int32)


def attended(host: Host, tokens: npt.NDArray[np.int32]) -> dict[int, Attention]:
    """What each attention of a pass was given, by layer."""
    seen: list[Attention] = []
    watch(host._reading.decoder, torch.tensor(tokens[None].astype(np.int64)), seen.append)
    return dict(zip(host.attention_layers, seen, strict=True))


def test_each_turn_of_a_layer_is_a_layer(load: Load) -> None:
    dory, hrm = load("dory"), load("hrm_text")
    assert (dory.n_layers, len(set(dory.places.layers))) == (8, 4)
    assert (hrm.n_layers, len(set(hrm.places.layers))) == (32, 8)
    row = ids(20)
    taps = [Tap(layer, 0) for layer in dory.attention_layers]
    keys = dory.keys([row], taps)[0]
    assert not np.allclose(keys[:, 0], keys[:, 4])  # the same weights, another input
    for i, tap in enumerate(taps):
        np.testing.assert_array_equal(dory.keys([row], [tap])[0][:, 0], keys[:, i])


def test_layers_may_differ_in_heads_and_widths(load: Load) -> None:
    mimo = load("mimo_v2_flash")
    assert [len(mimo.taps(layer)) for layer in range(4)] == [2, 4, 4, 4]
    assert (mimo.head_dim, mimo.value_dim) == (8, 6)
    assert mimo.asked(QueryHead(0, 3)) == Tap(0, 1)
    assert mimo.asked(QueryHead(1, 3)) == Tap(1, 3)
    with pytest.raises(InvalidInputError, match=r"tap 0\.2 .*heads 0 to 1"):
        mimo.keys([ids(3)], [Tap(0, 2)])
    gemma = load("gemma4_text")
    assert gemma.head_dim == 16
    narrow, wide = gemma.keys([ids(3)], [Tap(0, 0), Tap(1, 0)])[0].swapaxes(0, 1)
    assert not narrow[:, 8:].any()
    assert narrow[:, :8].all()
    assert wide.all()


def test_layers_may_share_keys(load: Load) -> None:
    """The last layers of Gemma 3n attend to the keys of earlier ones."""
    host = load("gemma3n_text")
    if Version(transformers.__version__) < Version("5"):
        pytest.skip("without a cache, transformers 4 has each layer compute keys")
    shared = host.places.heads[2].keys.parts[0].path
    assert shared == host.places.heads[0].keys.parts[0].path
    first, last = host.keys([ids(9)], [Tap(0, 1), Tap(2, 1)])[0].swapaxes(0, 1)
    np.testing.assert_array_equal(first, last)


def test_keys_may_be_the_values_and_compressed_ones_follow_them(load: Load) -> None:
    host, row = load("deepseek_v4"), ids(40)
    assert host.n_key_heads == 1
    assert host.asked(QueryHead(0, 3)) == Tap(0, 0)
    (read,) = host.project([row], taps=[Tap(1, 0)], values=[Tap(1, 0)])
    np.testing.assert_array_equal(read.keys, read.values)
    lengths: list[int] = []

    def record(
        module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, None]:
        lengths.append(key.shape[2])
        return torch.zeros_like(query).transpose(1, 2), None

    AttentionInterface.register("counting", record)
    host._reading.decoder.set_attn_implementation("counting")
    host._reading.decoder(input_ids=torch.tensor(row[None].astype(np.int64)), use_cache=False)
    assert max(lengths) > len(row)


def test_latent_attention_is_read_as_attention_gets_it(load: Load) -> None:
    host, row = load("deepseek_v3"), ids(1)
    keys = host.places.heads[0].keys
    assert [part.path.rpartition(".")[2] for part in keys.parts] == ["kv_b_proj", "kv_a_proj_with_mqa"]
    (read,) = host.keys([row], host.taps(2))
    np.testing.assert_allclose(read[0], attended(host, row)[2].keys[0, :, 0].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(read[0, 0, 8:], read[0, 3, 8:])  # the rotated part is one for all heads


@pytest.mark.parametrize("name", ["kimi_linear", "bailing_hybrid"])
def test_layers_with_projections_that_never_attend_are_left_out(name: str, load: Load) -> None:
    host = load(name)
    assert host.attention_layers == [1, 3]
    assert host.places.left_out == dict.fromkeys([0, 2], "it does not attend")
    linear = host._reading.decoder.get_submodule(host.places.layers[0])
    assert any(path.endswith("q_proj") for path, _ in linear.named_modules())


@pytest.mark.parametrize("name", ["hunyuan_v1_dense", "llama4_text", "nanochat"])
def test_a_norm_after_rotary_embedding_is_applied_before_it(name: str, load: Load) -> None:
    """And what such a norm makes of keys cannot be replaced: by then they are rotated."""
    host, row = load(name), ids(30)
    layer = host.attention_layers[0]
    (read,) = host.keys([row], [host.asked(head) for head in host.query_heads(layer)])
    given = attended(host, row)[layer]
    first = given.keys[0, list(given.asks), 0]  # at the first position
    np.testing.assert_allclose(read[0], first.numpy(), rtol=1e-4, atol=1e-5)
    part = host.places.heads[layer].keys.parts[0]
    assert part.norm is not None
    with pytest.raises(UnsupportedHostError, match="cannot be replaced: their norm comes after rotary"):
        negative_log_likelihood(host, row[None], Edits(keys={layer: torch.clone}))


def test_norms_may_be_on_some_layers_only(load: Load) -> None:
    heads = load("llama4_text").places.heads
    assert [heads[i].keys.parts[0].norm is not None for i in range(4)] == [True, True, True, False]


def test_a_temperature_of_the_queries_is_not_part_of_them(load: Load) -> None:
    """Beam scales the queries of layers without rotary embedding: that is the softmax's business."""
    host = load("beam")
    assert all(layer.queries.factors is None for layer in host.places.heads.values())


def test_a_gate_beside_the_queries_is_not_read(load: Load) -> None:
    host = load("qwen3_next")
    norm = host.places.heads[3].queries.parts[0].norm
    assert norm is not None
    assert norm.channels[:, 0].tolist() == [0, 16, 32, 48]  # 8 of each 16 are a gate


def test_a_decoder_that_get_decoder_does_not_give_is_found(load: Load) -> None:
    model = build("modernbert-decoder")
    assert isinstance(model.get_decoder(), torch.nn.Linear)
    assert base_decoder(model) is model.base_model


@pytest.mark.parametrize("name", list(MIXED))
def test_keys_that_no_module_gives_are_refused(name: str, load: Load) -> None:
    with pytest.raises(
        UnsupportedHostError, match=r"not found in what its modules give|other keys in a sequence"
    ):
        load(name)


LATENT_AND_SO_ON = [
    "minicpm3",
    "deepseek_v4",
    "mimo_v2_flash",
    "gemma4_text",
    "dory",
    "kimi_linear",
    "zamba2",
]


@pytest.mark.parametrize("name", LATENT_AND_SO_ON)
def test_documents_are_indexed_and_found(
    name: str, load: Load, random_artifact: Callable[[Host, Sequence[tuple[QueryHead, Tap]]], Artifact]
) -> None:
    host = load(name)
    layers = host.attention_layers
    heads = [host.query_heads(layer)[-1] for layer in (layers[0], layers[-1], layers[len(layers) // 2])]
    heads += host.query_heads(layers[0])[:1]
    pairs = [(head, host.asked(head)) for head in dict.fromkeys(heads)][:3]
    scan = ScanConfig(chunk_tokens=64, overlap_tokens=16, batch_tokens=128)
    pairs += [pairs[-1]] * (3 - len(pairs))
    artifact = random_artifact(host, pairs)
    retriever = S3Retriever(host=host, artifact=artifact, config=RetrieverConfig(scan=scan))
    text = "Spring tides follow the new and the full moon. " * 12
    retriever.add([{"id": "tides", "text": text}, {"id": "rain", "text": "Rain forms in a cloud. " * 12}])
    spans = retriever.retrieve("When is the tide highest?", token_budget=40, mode="s3")
    assert spans
    assert spans[0].text in text + "Rain forms in a cloud. " * 12


@pytest.mark.parametrize("name", ["minicpm3", "mimo_v2_flash", "zamba2", "kimi_linear"])
def test_heads_are_calibrated_and_trained(name: str, load: Load, tmp_path: Path) -> None:
    """From heads to an artifact that is saved, loaded and searched with."""
    host = load(name)
    layers = host.attention_layers
    heads = [host.query_heads(layers[0])[-1], host.query_heads(layers[-1])[1]]
    learning = CalibrateConfig(epochs=1, passage_cells=8, passages=4)
    calibration, _ = calibrate_heads(host, "made", heads, DOCUMENTS, PAIRS, config=learning, scan_config=SCAN)
    assert calibration.taps == tuple(dict.fromkeys(host.asked(head) for head in heads))
    options = SAEOptions(TrainConfig(n_features=32, k=4, steps=20, batch_size=64, warmup=2), scan_config=SCAN)
    questions = [pair.question for pair in PAIRS]
    train_calibration(host, "made", calibration, DOCUMENTS, questions, options).save(tmp_path / "made")
    artifact = Artifact.load(tmp_path / "made")
    artifact.check_host(host)
    retriever = S3Retriever(host=host, artifact=artifact, config=RetrieverConfig(scan=SCAN))
    retriever.add(DOCUMENTS)
    spans = retriever.retrieve("Where does the keeper store the oil?", token_budget=60)
    assert spans[0].doc_id == "harbour"


def test_a_compiled_model_is_read_as_it_was_before(
    tiny_host: Host, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    compiled = Host.load((torch.compile(tiny_model), tiny_tokenizer))
    row, taps = ids(20), [Tap(3, 1)]
    np.testing.assert_array_equal(compiled.keys([row], taps)[0], tiny_host.keys([row], taps)[0])
    in_place = copy.deepcopy(tiny_model)
    in_place.model.layers[2].compile()
    with pytest.raises(UnsupportedHostError, match=r"is compiled in place \(model\.layers\.2\)"):
        Host.load((in_place, tiny_tokenizer))


def test_an_adapter_is_part_of_what_is_read(
    tiny_host: Host, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """LoRA on queries and keys, trained: what attention gets is what the adapter's wrapper gives."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "k_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(copy.deepcopy(tiny_model), config)
    host = Host.load((adapted, tiny_tokenizer))
    assert host.places.heads[0].keys.parts[0].path.endswith("self_attn.k_proj")
    row, taps = ids(20), [Tap(2, 1)]
    keys = host.keys([row], taps)[0]
    assert not np.allclose(keys, tiny_host.keys([row], taps)[0])
    merged = Host.load((adapted.merge_and_unload(), tiny_tokenizer))
    np.testing.assert_allclose(keys, merged.keys([row], taps)[0], rtol=1e-3, atol=1e-4)


def test_a_layer_whose_attention_is_patched_is_left_out(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Keys that are changed after their projection are not what the projection gives."""
    model = copy.deepcopy(tiny_model)
    projection = model.model.layers[2].self_attn.k_proj
    view = projection.forward

    class Mixed(torch.Tensor):
        """What a patch of the attention's code would do: no module gives the result."""

        def view(self, *shape: Any) -> torch.Tensor:
            plain = self.as_subclass(torch.Tensor)
            return plain.tanh().reshape(*shape)

    projection.forward = lambda x: view(x).as_subclass(Mixed)
    host = Host.load((model, tiny_tokenizer))
    assert host.attention_layers == [0, 1, 3]
    assert "layers.2.self_attn is given keys" in host.places.left_out[2]


def test_two_modules_that_give_the_same_are_ambiguous(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = copy.deepcopy(tiny_model)
    with torch.no_grad():
        attention = model.model.layers[1].self_attn
        attention.v_proj.weight.copy_(attention.k_proj.weight)
        attention.v_proj.bias.copy_(attention.k_proj.bias)
    host = Host.load((model, tiny_tokenizer))
    assert host.attention_layers == [0, 2, 3]
    assert re.search(
        r"ambiguous: layers.1.self_attn.k_proj and layers.1.self_attn.v_proj give the same",
        host.places.left_out[1],
    )
    with pytest.raises(InvalidInputError, match=r"layer 1 has no attention heads .*k_proj and .*v_proj"):
        host.keys([ids(3)], [Tap(1, 0)])


def test_an_attention_that_cannot_be_watched_is_exchanged_for_the_check_only(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    def hidden(
        module: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, None]:
        return torch.zeros_like(query).transpose(1, 2), None

    AttentionInterface.register("hidden", hidden)
    model = copy.deepcopy(tiny_model)
    model.set_attn_implementation("hidden")
    host = Host.load((model, tiny_tokenizer))
    assert host.attention_layers == [0, 1, 2, 3]
    assert model.config._attn_implementation == "hidden"


def test_the_command_says_what_was_found(
    tmp_path: Any, tiny_tokenizer: PreTrainedTokenizerFast, capsys: pytest.CaptureFixture[str]
) -> None:
    model: PreTrainedModel = build("lfm2")
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    assert main(["host", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "4 layers x 4 query heads, 2 key heads, 8 wide" in out
    assert "keys: 2 x 8 of layers.*.self_attn.k_layernorm(layers.*.self_attn.k_proj)" in out
    assert "layers 1, 3 left out: it does not attend" in out
