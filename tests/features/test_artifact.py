"""The artifact on disk, and its refusal of a host it was not made for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s3_retriever.errors import ArtifactError
from s3_retriever.features import (
    Artifact,
    Probe,
    Quality,
    QueryCodec,
    TapCodec,
    TopKSAE,
    artifact,
    center_and_normalize,
    shipped,
)
from s3_retriever.host.taps import QueryHead, Tap

DIM, FEATURES = 64, 128
IDENTITY = {
    "name": "tiny",
    "model_type": "llama",
    "hidden_size": 576,
    "n_layers": 30,
    "n_query_heads": 9,
    "n_key_heads": 3,
    "head_dim": DIM,
    "vocab_size": 49152,
    "revision": "abc",
}
TAPS = (Tap(2, 1), Tap(8, 0))


def make_artifact() -> Artifact:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    def codec(tap: Tap) -> TapCodec:
        decoder = center_and_normalize(normal(FEATURES, DIM), 0)
        sae = TopKSAE(
            decoder.T + 0.02 * normal(DIM, FEATURES), 0.1 * normal(FEATURES), decoder, np.zeros(DIM), 7
        )
        return TapCodec(tap, 3 * normal(DIM), sae, Quality(0.15, 6.9, 0.01))

    return Artifact(
        name="fast",
        host=IDENTITY,
        codecs=tuple(map(codec, TAPS)),
        queries=tuple(QueryCodec(QueryHead(8, h), Tap(8, 0), normal(DIM), normal(DIM, DIM)) for h in (0, 1)),
        probe=Probe((5 * normal(20, 2, DIM)).astype(np.float16)),
        scoring={"tau": 3.0, "scales": [1, 4, 12], "note": "é"},
        provenance={"seed": 0},
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "made" / "fast"
    make_artifact().save(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_loaded_is_saved_bit_for_bit(saved: Path, tmp_path: Path) -> None:
    Artifact.load(saved).save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(saved)
    assert sorted(contents(saved)) == ["artifact.json", "artifact.safetensors"]
    assert sorted(path.name for path in saved.parent.iterdir()) == ["fast"]  # nothing temporary is left


def test_load_returns_what_was_made(saved: Path) -> None:
    made, loaded = make_artifact(), Artifact.load(str(saved))
    assert (loaded.name, loaded.host, loaded.taps) == ("fast", IDENTITY, TAPS)
    assert loaded.query_heads == (QueryHead(8, 0), QueryHead(8, 1))
    assert (loaded.scoring, loaded.provenance) == (made.scoring, made.provenance)
    assert loaded.probe.text == made.probe.text
    np.testing.assert_array_equal(loaded.probe.keys, made.probe.keys)
    for before, after in zip(made.codecs, loaded.codecs, strict=True):
        assert (after.tap, after.quality, after.sae.k) == (before.tap, before.quality, 7)
        np.testing.assert_array_equal(after.mean, before.mean)
        np.testing.assert_allclose(np.linalg.norm(after.sae.W_dec, axis=1), 1, atol=1e-6)
    for before, after in zip(made.queries, loaded.queries, strict=True):
        assert after.tap == before.tap
        np.testing.assert_array_equal(after.mean, before.mean)
        np.testing.assert_array_equal(after.map, before.map.astype(np.float16))


def test_the_metric_of_an_sae_is_kept(tmp_path: Path) -> None:
    artifact = make_artifact()
    half = np.random.default_rng(0).uniform(0, 0.1, (DIM, DIM)).astype(np.float16).astype(np.float32)
    root = np.diag(np.linspace(0.5, 2, DIM).astype(np.float16).astype(np.float32)) + np.triu(half, 1)
    root += np.triu(root, 1).T
    codecs = tuple(replace(codec, sae=replace(codec.sae, root=root)) for codec in artifact.codecs)
    replace(artifact, codecs=codecs).save(tmp_path / "metric")
    loaded = Artifact.load(tmp_path / "metric")
    for codec in loaded.codecs:
        np.testing.assert_array_equal(codec.sae.root, root)
    assert loaded.digest != artifact.digest


def test_int8_storage_costs_next_to_nothing(saved: Path) -> None:
    keys = np.random.default_rng(1).standard_normal((500, DIM)).astype(np.float32)
    for before, after in zip(make_artifact().codecs, Artifact.load(saved).codecs, strict=True):
        x = center_and_normalize(keys, before.mean)
        assert after.sae.measure(x).fvu == pytest.approx(before.sae.measure(x).fvu, rel=0.002)
    maps = 2 * 2 * DIM * DIM  # float16
    assert (saved / "artifact.safetensors").stat().st_size < maps + 1.4 * 2 * len(TAPS) * DIM * FEATURES


def test_saving_replaces_an_artifact_but_nothing_else(saved: Path, tmp_path: Path) -> None:
    replace(make_artifact(), name="newer").save(saved)
    assert Artifact.load(saved).name == "newer"
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match="exists and is not an artifact"):
        make_artifact().save(tmp_path)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_damaged_tensors_are_refused_by_name(saved: Path, damage: str) -> None:
    path = saved / "artifact.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data if damage == "altered" else data[:-5])
    with pytest.raises(ArtifactError, match=r"artifact\.safetensors"):
        Artifact.load(saved)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "format version 2; this release reads 1"),
        ("format", "something else", "does not describe an artifact"),
        ("taps", [{"layer": 1, "head": 0, "k": 1}], "damaged: KeyError"),
        ("query_heads", [], "damaged: ValueError"),
        ("query_heads", None, "damaged: TypeError"),
    ],
)
def test_altered_headers_are_refused_by_name(saved: Path, key: str, value: object, message: str) -> None:
    path = saved / "artifact.json"
    header = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**header, key: value}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=rf"artifact\.json.*{message}"):
        Artifact.load(saved)


def test_truncated_json_is_refused_by_name(saved: Path) -> None:
    path = saved / "artifact.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"artifact\.json cannot be read"):
        Artifact.load(saved)


def test_the_host_itself_and_imprecise_copies_pass() -> None:
    made = make_artifact()
    keys = made.probe.keys.astype(np.float32)
    made.check_host({**IDENTITY, "name": "copy", "revision": "other"}, keys)
    noise = np.random.default_rng(2).standard_normal(keys.shape) * 0.1 * keys.std()
    made.check_host(IDENTITY, keys + noise)


def test_another_host_is_refused_by_name() -> None:
    made = make_artifact()
    keys = made.probe.keys.astype(np.float32)
    with pytest.raises(ArtifactError, match="host 'tiny', not to 'big': n_layers is 30 there and 32 here"):
        made.check_host({**IDENTITY, "name": "big", "n_layers": 32}, keys)
    stranger = np.random.default_rng(3).standard_normal(keys.shape) + 10  # same shape, other weights
    with pytest.raises(ArtifactError, match=r"host 'tiny', not to 'twin': .* similarity"):
        made.check_host({**IDENTITY, "name": "twin"}, stranger)
    with pytest.raises(ArtifactError, match=r"shape \(19, 2, 64\), not \(20, 2, 64\)"):
        made.check_host(IDENTITY, keys[1:])


def test_an_inconsistent_artifact_cannot_be_made() -> None:
    made = make_artifact()
    with pytest.raises(ArtifactError, match="distinct taps"):
        replace(made, codecs=())
    with pytest.raises(ArtifactError, match=r"asks tap 8\.0, which the artifact does not have"):
        replace(made, codecs=made.codecs[:1])
    with pytest.raises(ArtifactError, match=r"probe keys must be \(n, taps, d\) for 2 taps"):
        replace(made, probe=Probe(made.probe.keys[:, :1]))
    with pytest.raises(ArtifactError, match="every mean and map must have the dimension"):
        replace(made, queries=(replace(made.queries[0], mean=np.zeros(3, np.float32)),))


def test_shipped_artifacts_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "_shipped_root", lambda: tmp_path)
    with pytest.raises(ArtifactError, match="no artifact 'fast'"):
        Artifact.load("fast")
    make_artifact().save(tmp_path / "one" / "fast")
    assert Artifact.load("fast").taps == TAPS
    make_artifact().save(tmp_path / "two" / "fast")
    assert shipped() == ["one/fast", "two/fast"]
    assert Artifact.load("two/fast").taps == TAPS
    with pytest.raises(ArtifactError, match="name one of one/fast, two/fast"):
        Artifact.load("fast")
