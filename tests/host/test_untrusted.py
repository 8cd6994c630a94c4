"""Files may name a model and models may bring code; neither decides what is fetched or run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import Host, HostNotFoundError, UnsupportedHostError
from s3_retriever.host import weights
from s3_retriever.host.untrusted import refuse_code

CODE = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, bool]]:
    """What the hub's library is asked for, and whether on this machine only; it has nothing."""
    calls: list[tuple[str, bool]] = []

    def snapshot_download(name: str, *, local_files_only: bool, **_: Any) -> str:
        calls.append((name, local_files_only))
        raise OSError(name)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return calls


def copied(folder: Path, source: Path, **config: Any) -> Path:
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    change(folder / "config.json", config)
    return folder


def change(path: Path, values: dict[str, Any]) -> None:
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**old, **values}), encoding="utf-8")


def test_a_name_in_a_file_asks_nobody(asked: list[tuple[str, bool]]) -> None:
    with pytest.raises(
        HostNotFoundError, match=r"x wants host 'some/body', .*--host.* S3_RETRIEVER_HOSTS=some/body"
    ):
        Host.recorded("some/body", "the index x")
    assert asked == [("some/body", True)]


def test_the_user_may_allow_a_name(asked: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(weights.ALLOWED_HOSTS, "an/other, some/body")
    with pytest.raises(HostNotFoundError, match="the hub did not give it"):
        Host.recorded("some/body", "the index x")
    assert asked == [("some/body", True), ("some/body", False)]


@pytest.mark.parametrize("name", ["folder", "./folder", "../..", "https://a.b/c", "", None, 5, ["a/b"]])
def test_a_name_in_a_file_is_no_folder(asked: list[tuple[str, bool]], tiny_folder: Path, name: Any) -> None:
    copied(Path("folder"), tiny_folder)
    with pytest.raises(HostNotFoundError, match="the index x wants host"):
        Host.recorded(name, "the index x")
    assert all(local for _, local in asked)
    assert Host.load("./folder").name == "folder"  # given by the user, it is one


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_that_comes_with_a_model_is_not_run(
    tiny_folder: Path, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # who asks hears yes
    marker = tmp_path / "ran"
    folder = copied(tmp_path / "own-model", tiny_folder)
    (folder / "own.py").write_text(CODE.format(marker=str(marker)), encoding="utf-8")
    names = {
        "config.json": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"},
        "tokenizer_config.json": {"AutoTokenizer": [None, "own.OwnTokenizer"]},
    }
    change(folder / file, {"auto_map": names[file], "model_type": "own", "tokenizer_class": "OwnTokenizer"})
    with pytest.raises(UnsupportedHostError, match=r"'own-model' .* code of its own, which is never run"):
        Host.load(folder)
    assert not marker.exists()


def test_pickled_weights_are_refused(tiny_model: LlamaForCausalLM, tiny_folder: Path, tmp_path: Path) -> None:
    folder = copied(tmp_path / "old", tiny_folder)
    (folder / "model.safetensors").unlink()
    torch.save(tiny_model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(UnsupportedHostError, match=r"pytorch_model\.bin is a pickle, .* convert"):
        Host.load(folder)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"attn_implementation": "some/kernel"}, "asks for kernels"),
        ("config.json", {"text_config": {"_attn_implementation": {"": "some/kernel"}}}, "asks for kernels"),
        ("model.safetensors.index.json", {"weight_map": {"a": "weights.bin"}}, "'weights.bin'"),
        ("model.safetensors.index.json", {"weight_map": {"a": "../b.safetensors"}}, "beside it"),
        ("adapter_config.json", {"base_model_name_or_path": "/etc"}, "names weights elsewhere"),
        ("modules.json", {"type": "own.Module"}, "names code of its own"),
    ],
)
def test_files_of_a_model_point_nowhere_else(
    tiny_folder: Path, tmp_path: Path, file: str, values: dict[str, Any], message: str
) -> None:
    folder = copied(tmp_path / "model", tiny_folder)
    refuse_code(folder)
    change(folder / file, values)
    with pytest.raises(UnsupportedHostError, match=message):
        Host.load(folder)


def test_a_tokenizer_in_memory_is_the_users_affair(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    assert Host.load((tiny_model, tiny_tokenizer)).n_layers == 4
