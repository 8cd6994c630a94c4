"""Hosts quantised by bitsandbytes and torchao, on a CPU; run as a program, it compares the default host.

The two libraries take 150 MB that nothing else here needs, so ``make hosts-test`` runs this file in an
environment of its own, and ``make test`` does not collect it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TorchAoConfig,
)

from s3_retriever import RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.host import Generator, Host, QueryHead, Sampling, Tap, resolve_host

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
WAYS: dict[str, Callable[[], Any]] = {
    "bitsandbytes, 8 bit": lambda: BitsAndBytesConfig(load_in_8bit=True),
    "bitsandbytes, 4 bit (nf4)": lambda: BitsAndBytesConfig(**NF4),
    "bitsandbytes, 4 bit (nf4, scales quantised too)": lambda: BitsAndBytesConfig(
        **NF4, bnb_4bit_use_double_quant=True
    ),
    "bitsandbytes, 4 bit (fp4)": lambda: BitsAndBytesConfig(**{**NF4, "bnb_4bit_quant_type": "fp4"}),
    "torchao, int8 weights": lambda: TorchAoConfig(Int8WeightOnlyConfig()),
    "torchao, int8 weights and activations": lambda: TorchAoConfig(Int8DynamicActivationInt8WeightConfig()),
}
TAPS = [Tap(1, 0), Tap(3, 1)]


def rows(n: int = 8) -> list[npt.NDArray[np.int32]]:
    random = np.random.default_rng(0)
    return [random.integers(1, 390, 64).astype(np.int32) for _ in range(n)]


def quantised(folder: Path, way: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=WAYS[way](), dtype=torch.bfloat16, device_map="cpu"
    )


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> Path:
    """The tiny model in sizes that blocks of 64 weights divide: others fail in bitsandbytes."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(**{**tiny_model.config.to_dict(), "intermediate_size": 128})
    ).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=WAYS)
def host(request: pytest.FixtureRequest, folder: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> Host:
    return Host.load((quantised(folder, request.param), tiny_tokenizer))


def test_keys_are_those_of_the_quantised_model(host: Host, folder: Path) -> None:
    """Loading compared them with what attention got; they are near those of the plain model."""
    assert host.attention_layers == [0, 1, 2, 3]
    assert str(host.places.heads[0].keys) == "2 x 16 of layers.0.self_attn.k_proj"
    (read,), (plain,) = (one.keys(rows(1), [Tap(0, 0)]) for one in (host, Host.load(folder)))
    cosines = (read * plain).sum(-1) / np.linalg.norm(read, axis=-1) / np.linalg.norm(plain, axis=-1)
    assert 0.97 < cosines.mean() < 0.999999


def test_a_row_gives_the_same_whatever_shares_its_batch(host: Host) -> None:
    for row, together in zip(rows(), host.keys(rows(), TAPS), strict=True):
        np.testing.assert_array_equal(host.keys([row], TAPS)[0], together)


def test_columns_of_outliers_would_mix_rows(folder: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    """LLM.int8 computes a column exactly where any row of the batch has an outlier."""
    model = quantised(folder, "bitsandbytes, 8 bit")
    batch = torch.tensor(np.stack(rows()))
    with torch.no_grad():
        together = model.model(batch).last_hidden_state
        alone = [model.model(row[None]).last_hidden_state[0] for row in batch]
    assert not torch.equal(together, torch.stack(alone))


def test_documents_are_indexed_and_found_and_text_is_generated(
    host: Host, random_artifact: Callable[[Host, list[tuple[QueryHead, Tap]]], Artifact]
) -> None:
    artifact = random_artifact(host, [(QueryHead(0, 0), Tap(0, 0)), (QueryHead(3, 3), Tap(3, 1))] * 2)
    scan = ScanConfig(chunk_tokens=64, overlap_tokens=16, batch_tokens=128)
    retriever = S3Retriever(host=host, artifact=artifact, config=RetrieverConfig(scan=scan))
    text = "Spring tides follow the new and the full moon. " * 12
    retriever.add([{"id": "tides", "text": text}])
    span = retriever.retrieve("When is the tide highest?", token_budget=40, mode="s3")[0]
    assert text[span.start : span.end] == span.text
    generator = Generator(host)
    prompt = generator.encode("The quick", special_tokens=False)
    assert list(generator.generate(prompt, Sampling(max_new_tokens=3)))[-1].n_tokens == 3


@pytest.mark.parametrize("way", ["bitsandbytes, 8 bit", "bitsandbytes, 4 bit (nf4)"])
def test_a_quantised_model_is_saved_and_loaded_by_its_folder(
    way: str, folder: Path, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = quantised(folder, way)
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    host = Host.load(tmp_path)
    expected = Host.load((model, tiny_tokenizer))
    np.testing.assert_array_equal(host.keys(rows(1), TAPS)[0], expected.keys(rows(1), TAPS)[0])


def test_a_model_quantised_in_place_is_read(folder: Path, tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    quantize_(model, Int8WeightOnlyConfig())
    host = Host.load((model, tiny_tokenizer))
    expected = Host.load((quantised(folder, "torchao, int8 weights"), tiny_tokenizer))
    np.testing.assert_array_equal(host.keys(rows(1), TAPS)[0], expected.keys(rows(1), TAPS)[0])


def main() -> None:
    """Compare the default host quantised with itself: keys of its shipped artifact's taps, cost."""
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    folder = resolve_host().folder
    artifact = Artifact.load("fast")
    taps, tokenizer = list(artifact.key_means), AutoTokenizer.from_pretrained(folder)
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    plain = Host.load()
    batch = [plain.encode(text).ids[at : at + 128] for at in (0, 128)]
    means = np.stack([artifact.key_means[tap] for tap in taps])
    wanted, usual = None, 0.0
    for way in ("not quantised", *WAYS):
        host = plain if way == "not quantised" else Host.load((quantised(folder, way), tokenizer))
        began = time.process_time()
        keys = np.concatenate(host.keys(batch, taps)) - means
        seconds = time.process_time() - began
        unit = keys / np.linalg.norm(keys, axis=-1, keepdims=True)
        if wanted is None:
            wanted, usual = unit, seconds
        alike = float((unit * wanted).sum(-1).mean())
        artifact.check_host(host)
        sys.stdout.write(f"{way}: cosine of its keys {alike:.3f}, CPU time x {seconds / usual:.1f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
