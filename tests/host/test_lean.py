"""Plain hosts are read without transformers, and give what it gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import Document, ScanConfig
from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host import Family, Generator, Host, QueryHead, Sampling, Tap, families, lean, loading
from s3_retriever.host.lean import read_lean
from s3_retriever.host.scan import scan

TAPS = [Tap(0, 1), Tap(2, 0), Tap(3, 1)]
HEADS = [QueryHead(0, 3), QueryHead(3, 5)]


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast) -> Path:
    """A random Llama in bfloat16 with the settings of the default host, only smaller."""
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
        initializer_range=0.2,
        rope_theta=100_000.0,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    folder = tmp_path_factory.mktemp("plain") / "plain-host"
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    # Version 4 of transformers repeats what tokenizer.json says.
    for key in ("added_tokens_decoder", "extra_special_tokens"):
        settings.pop(key, None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def copy_with(folder: Path, target: Path, file: str, **changes: Any) -> Path:
    """Copy a host, some settings changed."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    settings = json.loads((folder / file).read_text()) | changes
    (target / file).write_text(json.dumps(settings))
    return target


def is_lean(host: Host) -> bool:
    return host.places.source == "declared"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_plain_host_reads_what_transformers_reads_to_the_bit(
    plain_folder: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "cpu_dtype", lambda: dtype)
    plain, whole = Host.load(plain_folder), Host.load(plain_folder)
    checked = Host(model=whole.model, tokenizer=whole.tokenizer, name="plain-host")
    assert is_lean(plain)
    assert not is_lean(checked)
    assert checked.model.dtype == dtype
    assert plain.identity == checked.identity
    assert (plain.max_tokens, plain.on_cpu, plain.value_dim) == (256, True, 16)
    for number, layer in checked.places.heads.items():
        mine = plain.places.heads[number]
        assert (str(mine.queries), str(mine.keys), mine.asks) == (
            str(layer.queries),
            str(layer.keys),
            layer.asks,
        )
    text = "The quick brown fox <|end|> naïve 🙂 1997."
    for left, right in zip(
        vars(plain.encode(text)).values(), vars(checked.encode(text)).values(), strict=True
    ):
        np.testing.assert_array_equal(left, right)
    rng = np.random.default_rng(0)
    for lengths in ([1], [31], [64, 3, 40], [200]):
        batch = [rng.integers(0, 400, n).astype(np.int32) for n in lengths]
        ours, theirs = (one.project(batch, taps=TAPS, heads=HEADS, values=TAPS) for one in (plain, checked))
        for ids, mine, other in zip(batch, ours, theirs, strict=True):
            if dtype == torch.bfloat16 and len(ids) > 64:
                continue  # by attention of our own; see the next test
            for left, right in zip(mine, other, strict=True):
                np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("length", [65, 127, 128, 129, 250])
def test_long_rows_are_as_near_to_exact_numbers_as_those_of_transformers(
    plain_folder: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With attention in blocks, as where torch's takes long, and without. No token sees later ones."""
    row = np.random.default_rng(length).integers(0, 400, length).astype(np.int32)
    monkeypatch.setattr(loading, "cpu_dtype", lambda: torch.float64)
    exact = Host.load(plain_folder).project([row], taps=TAPS, heads=HEADS, values=TAPS)[0]
    monkeypatch.setattr(loading, "cpu_dtype", lambda: torch.bfloat16)
    whole = Host.load(plain_folder)
    theirs = Host(model=whole.model, tokenizer=whole.tokenizer, name="plain-host")
    rounded = theirs.project([row], taps=TAPS, heads=HEADS, values=TAPS)[0]
    changed = row.copy()
    changed[-1] = (changed[-1] + 1) % 400
    read = []
    for blocks in (False, True):
        monkeypatch.setattr(lean, "_blocks_are_faster", lambda _, blocks=blocks: blocks)
        host = Host.load(plain_folder)
        found = host.project([row], taps=TAPS, heads=HEADS, values=TAPS)[0]
        read.append(found)
        for mine, other, right in zip(found, rounded, exact, strict=True):
            assert np.abs(mine - right).mean() <= 1.1 * np.abs(other - right).mean()
        before = host.project([changed], taps=TAPS, heads=HEADS, values=TAPS)[0]
        for mine, other in zip(found, before, strict=True):
            np.testing.assert_array_equal(mine[:-1], other[:-1])
    assert not all(map(np.array_equal, *read))


def test_rows_of_all_lengths_share_a_pass_and_give_what_each_gives_alone(plain_folder: Path) -> None:
    """Bit for bit; those of up to 64 tokens also what transformers gives, which pads them."""
    plain, whole = Host.load(plain_folder), Host.load(plain_folder)
    padding = Host(model=whole.model, tokenizer=whole.tokenizer, name="plain-host")
    assert (plain.joins_rows, padding.joins_rows) == (True, False)
    rng = np.random.default_rng(0)
    for lengths in ([1, 0, 250, 33, 32], [0], [7] * 9, [*range(40)]):
        batch = [rng.integers(0, 400, n).astype(np.int32) for n in lengths]
        for ids, together in zip(
            batch, plain.project(batch, taps=TAPS, heads=HEADS, values=TAPS), strict=True
        ):
            for host in (plain, padding) if len(ids) <= 64 else (plain,):
                (alone,) = host.project([ids], taps=TAPS, heads=HEADS, values=TAPS)
                for left, right in zip(together, alone, strict=True):
                    np.testing.assert_array_equal(left, right)
    assert plain.project([], taps=TAPS) == []


def test_a_scan_fills_passes_with_chunks_of_all_lengths(
    plain_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, whole = Host.load(plain_folder), Host.load(plain_folder)
    padding = Host(model=whole.model, tokenizer=whole.tokenizer, name="plain-host")
    sizes: list[list[int]] = []
    keys = Host.keys

    def noting(self: Host, batch: list, taps: list) -> list:
        sizes.append([len(ids) for ids in batch])
        return keys(self, batch, taps)

    documents = [Document(str(n), "the lazy dog " * n) for n in (3, 0, 40, 1, 7, 2, 90, 5)]
    config = ScanConfig(chunk_tokens=64, overlap_tokens=16, batch_tokens=128)
    expected = list(scan(documents, padding, TAPS, config, threads=1))
    monkeypatch.setattr(Host, "keys", noting)
    found = list(scan(documents, plain, TAPS, config, threads=2))
    for one, other in zip(found, expected, strict=True):
        assert (one.document, one.first, one.last) == (other.document, other.first, other.last)
        np.testing.assert_array_equal(one.keys, other.keys)
    batches = sizes[1:]  # the first one checks the taps
    assert all(sum(batch) <= 128 for batch in batches)
    assert len(batches) < len(found)
    assert any(len(set(batch)) > 1 for batch in batches)


def test_the_model_is_loaded_when_it_is_asked_for_and_then_it_is_what_is_read(plain_folder: Path) -> None:
    host = Host.load(plain_folder)
    row = np.arange(40, dtype=np.int32)
    before = host.keys([row], TAPS)[0]
    assert isinstance(host.model, LlamaForCausalLM)
    assert host.model is host.model
    assert host.tokenizer.is_fast
    assert not is_lean(host)
    np.testing.assert_array_equal(host.keys([row], TAPS)[0], before)
    with torch.no_grad():
        host.model.model.layers[0].self_attn.k_proj.weight.zero_()
    assert not host.keys([row], TAPS)[0][:, 0].any()


def test_a_plain_host_generates(plain_folder: Path) -> None:
    generator = Generator(Host.load(plain_folder))
    pieces = [*generator.generate(generator.encode("The", special_tokens=False), Sampling(max_new_tokens=3))]
    assert pieces[-1].n_tokens <= 3


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"hidden_act": "gelu"}),
        ("config.json", {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
        ("config.json", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}),
        ("config.json", {"some_setting": 1}),
        ("config.json", {"num_hidden_layers": 5}),
        ("config.json", {"intermediate_size": 96}),
        ("config.json", {"model_type": "qwen2"}),
        ("tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer"}),
        ("tokenizer_config.json", {"add_prefix_space": True}),
    ],
)
def test_what_is_not_known_to_be_plain_is_left_to_transformers(
    plain_folder: Path, tmp_path: Path, file: str, changes: dict[str, Any]
) -> None:
    assert read_lean(plain_folder, torch.float32) is not None
    assert read_lean(copy_with(plain_folder, tmp_path / "other", file, **changes), torch.float32) is None


def test_a_setting_that_is_not_plain_counts(plain_folder: Path, tmp_path: Path) -> None:
    bent = Host.load(copy_with(plain_folder, tmp_path / "bent", "config.json", hidden_act="relu"))
    row = np.arange(40, dtype=np.int32)
    assert not is_lean(bent)
    assert not np.array_equal(bent.keys([row], TAPS)[0], Host.load(plain_folder).keys([row], TAPS)[0])


def test_damaged_weights_are_left_to_transformers(plain_folder: Path, tmp_path: Path) -> None:
    other = copy_with(plain_folder, tmp_path / "other", "config.json")
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert read_lean(other, torch.float32) is None


def test_a_declared_family_is_read_as_declared(plain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = Family("layers", query="self_attn.q_proj", key="self_attn.k_proj", value="self_attn.v_proj")
    monkeypatch.setitem(families.FAMILIES, "llama", declared)
    host = Host.load(plain_folder)
    assert isinstance(host.model, LlamaForCausalLM)
    assert host._whole is not None


@pytest.mark.long
def test_reading_a_plain_host_loads_no_transformers(plain_folder: Path) -> None:
    code = (
        "import sys; from s3_retriever.host import Host, Tap; import numpy as np; "
        "host = Host.load(sys.argv[1]); host.keys([host.encode('The fox.').ids], [Tap(2, 0)]); "
        "print(*({'transformers', 'torch._dynamo', 'sympy'} & set(sys.modules)))"
    )
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, str(plain_folder)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""


def test_the_default_host_is_plain(host: Host) -> None:
    fresh = Host.load()
    checked = Host(model=host.model, tokenizer=host.tokenizer, name=host.name)
    assert is_lean(fresh)
    row = fresh.encode("The harbour master's report of 1987 says that 14 ships lost their anchors.").ids
    taps, heads = [Tap(5, 0), Tap(9, 1)], [QueryHead(8, 1)]
    for left, right in zip(
        fresh.project([row], taps=taps, heads=heads)[0],
        checked.project([row], taps=taps, heads=heads)[0],
        strict=True,
    ):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_what_transformers_5_saved_rotates_as_it_says_or_is_refused(
    plain_folder: Path, tmp_path: Path, activation: str
) -> None:
    rope = {"rope_theta": 100_000.0, "rope_type": "default"}
    copied = copy_with(
        plain_folder, tmp_path / "saved", "config.json", rope_parameters=rope, hidden_act=activation
    )
    settings = json.loads((copied / "config.json").read_text())
    settings.pop("rope_theta", None)
    (copied / "config.json").write_text(json.dumps(settings))
    row = [np.arange(9, dtype=np.int32)]
    if activation == "silu":  # read without transformers
        expected = Host.load(plain_folder).keys(row, TAPS)[0]
        np.testing.assert_array_equal(Host.load(copied).keys(row, TAPS)[0], expected)
    elif transformers.__version__.startswith("4."):
        with pytest.raises(UnsupportedHostError, match="saved by transformers 5"):
            Host.load(copied)
    else:
        assert Host.load(copied).model.config.rope_parameters["rope_theta"] == 100_000.0
