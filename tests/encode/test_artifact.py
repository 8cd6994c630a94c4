"""The artifact on disk, and its refusal of a host it was not made for."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever import S3Retriever
from s3_retriever.encode import (
    Artifact,
    Fingerprint,
    KeyCodec,
    Quality,
    QueryMap,
    TopKSAE,
    artifact,
    center_and_normalize,
    shipped,
)
from s3_retriever.errors import ArtifactError, ArtifactFormatError, InvalidInputError, S3RetrieverError
from s3_retriever.host import Host
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

    def codec(tap: Tap) -> KeyCodec:
        decoder = center_and_normalize(normal(FEATURES, DIM), 0)
        sae = TopKSAE(
            decoder.T + 0.02 * normal(DIM, FEATURES), 0.1 * normal(FEATURES), decoder, np.zeros(DIM), 7
        )
        return KeyCodec(tap, 3 * normal(DIM), sae, Quality(0.15, 6.9, 0.01))

    return Artifact(
        name="fast",
        host=IDENTITY,
        codecs=tuple(map(codec, TAPS)),
        queries=tuple(QueryMap(QueryHead(8, h), Tap(8, 0), normal(DIM), normal(DIM, DIM)) for h in (0, 1)),
        fingerprint=Fingerprint((5 * normal(20, 2, DIM)).astype(np.float16)),
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
    assert loaded.fingerprint.text == made.fingerprint.text
    np.testing.assert_array_equal(loaded.fingerprint.keys, made.fingerprint.keys)
    for before, after in zip(made.codecs, loaded.codecs, strict=True):
        assert (after.tap, after.quality, after.sae.k) == (before.tap, before.quality, 7)
        np.testing.assert_array_equal(after.mean, before.mean)
        np.testing.assert_allclose(np.linalg.norm(after.sae.W_dec, axis=1), 1, atol=1e-6)
    for before, after in zip(made.queries, loaded.queries, strict=True):
        assert after.tap == before.tap
        np.testing.assert_array_equal(after.mean, before.mean)
        np.testing.assert_array_equal(after.map, before.map.astype(np.float16))


def strided(array: np.ndarray) -> np.ndarray:
    """Return an equal array whose values do not lie side by side in memory."""
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    return np.asfortranarray(wide)[..., 0]


def test_how_arrays_lie_in_memory_does_not_matter(tmp_path: Path) -> None:
    """safetensors 0.8.0 writes the memory as it lies, so that other values come back."""
    plain = make_artifact()
    spread = replace(
        plain,
        codecs=tuple(replace(codec, mean=strided(codec.mean)) for codec in plain.codecs),
        queries=tuple(replace(q, mean=strided(q.mean), map=strided(q.map)) for q in plain.queries),
        fingerprint=Fingerprint(strided(plain.fingerprint.keys)),
    )
    assert not spread.fingerprint.keys.flags.c_contiguous
    assert spread.digest == plain.digest
    plain.save(tmp_path / "plain")
    spread.save(tmp_path / "spread")
    assert contents(tmp_path / "plain") == contents(tmp_path / "spread")


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
    with pytest.raises(InvalidInputError, match="is no part of an artifact"):
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


def rewrite(saved: Path, key: str, value: object, *, sealed: bool = True) -> None:
    """Change one field of a header; as the version before did, unless it is sealed."""
    path = saved / "artifact.json"
    header = json.loads(path.read_text(encoding="utf-8"))
    if not sealed:
        header = {**header, "version": 1}
        del header["sha256"]
    path.write_text(json.dumps({**header, key: value}), encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 3, "format version 3; this release reads up to 2"),
        ("version", 0, "format version 0; this release reads up to 2"),
        ("format", "something else", "does not describe an artifact"),
        ("taps", [{"layer": 1, "head": 0, "k": 1}], "damaged: KeyError"),
        ("query_heads", [], "damaged: ValueError"),
        ("query_heads", None, "damaged: TypeError"),
    ],
)
def test_altered_headers_are_refused_by_name(saved: Path, key: str, value: object, message: str) -> None:
    rewrite(saved, key, value, sealed=False)
    with pytest.raises(ArtifactError, match=rf"artifact\.json.*{message}"):
        Artifact.load(saved)


def test_one_changed_digit_is_refused_by_name(saved: Path) -> None:
    """Whatever it says: whether scores depend on it, nobody has to know."""
    path = saved / "artifact.json"
    original = path.read_text(encoding="utf-8")
    digits = [i for i, character in enumerate(original) if character.isdigit()]
    for at in digits[:: len(digits) // 60]:
        changed = str((int(original[at]) + 1) % 10)
        path.write_text(f"{original[:at]}{changed}{original[at + 1 :]}", encoding="utf-8")
        with pytest.raises(ArtifactFormatError, match=r"artifact\.(json|safetensors)"):
            Artifact.load(saved)
    header = json.loads(original)
    path.write_text(json.dumps({key: header[key] for key in header if key != "sha256"}), encoding="utf-8")
    with pytest.raises(ArtifactFormatError, match=r"artifact\.json was altered"):
        Artifact.load(saved)  # a header of today has the field
    path.write_text(json.dumps({**header, "version": 1}), encoding="utf-8")
    with pytest.raises(ArtifactFormatError, match=r"artifact\.json was altered"):
        Artifact.load(saved)  # where it is, it holds
    path.write_text(json.dumps(dict(reversed(header.items()))), encoding="utf-8")
    assert Artifact.load(saved).digest == make_artifact().quantized().digest


def test_artifacts_of_the_version_before_are_read_and_sealed_when_saved(saved: Path, tmp_path: Path) -> None:
    digest = Artifact.load(saved).digest
    rewrite(saved, "name", "old", sealed=False)
    old = Artifact.load(saved)
    assert (old.name, old.digest) == ("old", digest)
    old.save(tmp_path / "new")
    rewrite(tmp_path / "new", "name", "other")
    with pytest.raises(ArtifactFormatError, match="was altered"):
        Artifact.load(tmp_path / "new")


def test_the_digest_covers_all_that_scores_depend_on() -> None:
    made = make_artifact()
    codec, query = made.codecs[0], made.queries[0]
    others = [
        replace(made, codecs=(replace(codec, sae=replace(codec.sae, k=5)), made.codecs[1])),
        replace(made, queries=(replace(query, head=QueryHead(8, 2)), made.queries[1])),
        replace(made, queries=(replace(query, tap=Tap(2, 1)), made.queries[1])),
        replace(made, scoring={**made.scoring, "tau": 3.5}),
        replace(made, codecs=(replace(codec, mean=codec.mean + 1), made.codecs[1])),
    ]
    assert len({made.digest, *(one.digest for one in others)}) == 1 + len(others)
    assert replace(made, name="other", provenance={}).digest == made.digest


def test_truncated_json_is_refused_by_name(saved: Path) -> None:
    path = saved / "artifact.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"artifact\.json cannot be read"):
        Artifact.load(saved)


def test_the_host_itself_and_copies_in_another_precision_pass(
    tiny_host: Host, tiny_artifact: Artifact, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    tiny_artifact.check_host(tiny_host)
    half = copy.deepcopy(tiny_host.model).to(torch.bfloat16)
    tiny_artifact.check_host(Host(model=half, tokenizer=tiny_tokenizer, name="copy"))


def test_another_host_is_refused_by_name(
    tiny_host: Host,
    tiny_artifact: Artifact,
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
) -> None:
    config = copy.deepcopy(tiny_model.config)
    config.num_hidden_layers = 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        shallow, twin = (LlamaForCausalLM(one) for one in (config, tiny_model.config))
    with pytest.raises(ArtifactError, match="host 'tiny', not to 'big': n_layers is 4 there and 3 here"):
        tiny_artifact.check_host(Host(model=shallow, tokenizer=tiny_tokenizer, name="big"))
    with pytest.raises(ArtifactError, match=r"host 'tiny', not to 'twin': .* similarity"):
        tiny_artifact.check_host(Host(model=twin, tokenizer=tiny_tokenizer, name="twin"))
    cut = replace(
        tiny_artifact, fingerprint=replace(tiny_artifact.fingerprint, keys=tiny_artifact.fingerprint.keys[1:])
    )
    with pytest.raises(ArtifactError, match=r"shape \((\d+), 2, 16\), not \((?!\1)\d+, 2, 16\)"):
        cut.check_host(tiny_host)


def test_shipped_artifacts_are_what_they_were() -> None:
    """An index remembers the digest of its artifact: another one would refuse indexes of earlier releases."""
    assert {name: Artifact.load(name).digest for name in ("tiny", "fast", "best")} == {
        "tiny": "9c6e52199f18f259",
        "fast": "08f6269cd3732ebf",
        "best": "c53d96c6e3809fd2",
    }


def test_an_inconsistent_artifact_cannot_be_made() -> None:
    made = make_artifact()
    with pytest.raises(ArtifactError, match="an artifact needs at least one tap"):
        replace(made, codecs=())
    with pytest.raises(ArtifactError, match=r"distinct taps, not \[2\.1, 2\.1\]"):
        replace(made, codecs=made.codecs[:1] * 2)
    with pytest.raises(ArtifactError, match=r"asks tap 8\.0, which the artifact does not have"):
        replace(made, codecs=made.codecs[:1])
    with pytest.raises(ArtifactError, match="fingerprint of an artifact must fit 2 taps of dimension 64"):
        replace(made, fingerprint=Fingerprint(made.fingerprint.keys[:, :1]))
    with pytest.raises(ArtifactError, match="means, maps and fingerprint of an artifact must fit"):
        replace(made, queries=(replace(made.queries[0], mean=np.zeros(3, np.float32)),))
    small = TopKSAE(np.eye(3), np.zeros(3), np.eye(3), np.zeros(3), 1)
    with pytest.raises(ArtifactError, match=r"the SAE of tap 2\.1 has dimension 3, its keys 64"):
        replace(made, codecs=(replace(made.codecs[0], sae=small), made.codecs[1]))


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


def _fields(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value within a header, at any depth."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*at, key)
        yield from _fields(value[key], (*at, key))


@pytest.mark.long
def test_a_header_with_any_one_value_altered_serves_or_is_refused(
    tiny_host: Host, tiny_artifact: Artifact, tmp_path: Path
) -> None:
    """In a header without a hash of its own, as the version before wrote."""
    tiny_artifact.save(tmp_path / "a")
    path = tmp_path / "a" / "artifact.json"
    rewrite(tmp_path / "a", "name", "tiny", sealed=False)
    original = path.read_bytes()
    refused = 0
    for at in _fields(json.loads(original)):
        for value in (None, -1, "x", [], float("inf")):
            header = json.loads(original)
            place = reduce(getitem, at[:-1], header)
            place[at[-1]] = value
            path.write_text(json.dumps(header), encoding="utf-8")
            try:
                retriever = S3Retriever(host=tiny_host, artifact=Artifact.load(tmp_path / "a"))
                retriever.add(["the oil"])
                retriever.retrieve("oil")
            except S3RetrieverError:
                refused += 1
    assert refused > 100
