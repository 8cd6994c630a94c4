"""SAEs in the layouts of SAELens and sparsify; the libraries themselves are asked by ``make interchange``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from s3_retriever.encode import Artifact, Codes, Fingerprint, KeyCodec, Quality, TopKSAE
from s3_retriever.errors import ArtifactError, InvalidInputError, StorageError
from s3_retriever.host.taps import Tap
from s3_retriever.training.saelens import (
    TapStatistics,
    export_saelens,
    import_sae,
    import_saelens,
    import_sparsify,
    sae_digest,
    with_sae,
)

Floats = npt.NDArray[np.float32]
HOST = {"name": "tiny", "head_dim": 6}
ARRAYS = ("W_enc", "b_enc", "W_dec", "b_dec")


def make_sae(seed: int, d: int = 6, m: int = 20, k: int = 3) -> TopKSAE:
    random = np.random.default_rng(seed)
    decoder = random.standard_normal((m, d))
    decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
    biases = 0.1 * random.standard_normal(m), 0.3 * random.standard_normal(d)
    return TopKSAE(random.standard_normal((d, m)), biases[0], decoder, biases[1], k)


def make_artifact(saes: dict[Tap, TopKSAE]) -> Artifact:
    dim = next(iter(saes.values())).dim
    random = np.random.default_rng(0)
    codecs = [
        KeyCodec(tap, random.standard_normal(dim).astype(np.float32), sae, Quality(0.25, 2.5, 0.125))
        for tap, sae in saes.items()
    ]
    probe = Fingerprint(random.standard_normal((9, len(saes), dim)).astype(np.float16))
    return Artifact(name="made", host=HOST, codecs=tuple(codecs), queries=(), fingerprint=probe).quantized()


ARTIFACT = make_artifact({Tap(2, 1): make_sae(1), Tap(8, 0): make_sae(2)})


def dense(codes: Codes, m: int) -> Floats:
    out = np.zeros((len(codes.features), m), np.float32)
    rows = np.arange(len(out))[:, None]
    np.add.at(out, (rows, codes.features), codes.weights)
    return out


def encode_by_the_files(folder: Path, x: Floats) -> Floats:
    """What SAELens computes from a folder of its layout, in NumPy."""
    config = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
    weights = load_file(folder / "sae_weights.safetensors")
    if config["apply_b_dec_to_input"]:
        x = x - weights["b_dec"]
    activations = x @ weights["W_enc"] + weights["b_enc"]
    if config["rescale_acts_by_decoder_norm"]:
        activations = activations * np.linalg.norm(weights["W_dec"], axis=1)
    kth = -np.sort(-activations, axis=1)[:, config["k"] - 1 : config["k"]]
    return np.where((activations >= kth) & (activations > 0), activations, 0).astype(np.float32)


def vectors(dim: int = 6) -> Floats:
    return np.random.default_rng(5).standard_normal((200, dim)).astype(np.float32)


@pytest.fixture
def saelens(tmp_path: Path) -> Path:
    """A folder in the layout of SAELens, with statistics."""
    export_saelens(ARTIFACT, tmp_path / "saes")
    return tmp_path / "saes" / "8.0"


@pytest.fixture
def sparsify(tmp_path: Path) -> Path:
    folder = tmp_path / "layers.8"
    folder.mkdir()
    sae = make_sae(3)
    weights = {"encoder.weight": sae.W_enc.T.copy(), "encoder.bias": sae.b_enc}
    save_file({**weights, "W_dec": sae.W_dec, "b_dec": sae.b_dec}, folder / "sae.safetensors")
    config = {"activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": 20}
    config |= {"k": 3, "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": 6}
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def change(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file; None removes one."""
    changed = json.loads(path.read_text(encoding="utf-8")) | fields
    kept = {name: value for name, value in changed.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def change_weights(path: Path, **arrays: npt.NDArray[Any]) -> None:
    save_file({**load_file(path), **arrays}, path)


def test_an_exported_folder_obeys_the_layout(saelens: Path) -> None:
    sae = ARTIFACT.codecs[1].sae
    assert sorted(path.name for path in saelens.parent.iterdir()) == ["2.1", "8.0"]
    assert sorted(path.name for path in saelens.iterdir()) == [
        "cfg.json",
        "s3_retriever.json",
        "sae_weights.safetensors",
    ]
    weights = load_file(saelens / "sae_weights.safetensors")  # nothing else: SAELens refuses more
    assert {name: (array.shape, array.dtype) for name, array in weights.items()} == {
        "W_enc": ((6, 20), np.float32),
        "b_enc": ((20,), np.float32),
        "W_dec": ((20, 6), np.float32),
        "b_dec": ((6,), np.float32),
    }
    config = json.loads((saelens / "cfg.json").read_text(encoding="utf-8"))
    assert config["architecture"] == "topk"
    assert (config["d_in"], config["d_sae"], config["k"]) == (6, 20, 3)
    assert int(config["metadata"]["sae_lens_version"].split(".")[0]) >= 6
    np.testing.assert_allclose(
        encode_by_the_files(saelens, vectors()), dense(sae.encode(vectors()), 20), atol=1e-5
    )


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(
    d=st.integers(1, 9),
    m=st.integers(1, 40),
    k=st.integers(1, 5),
    seed=st.integers(0, 1000),
    tap=st.builds(Tap, st.integers(0, 99), st.integers(0, 99)),
)
def test_a_round_trip_changes_no_bit(d: int, m: int, k: int, seed: int, tap: Tap) -> None:
    artifact = make_artifact({tap: make_sae(seed, d, m, min(k, m))})
    (codec,) = artifact.codecs
    with TemporaryDirectory() as folder:
        export_saelens(artifact, Path(folder) / "saes")
        own = Path(folder) / "saes" / str(tap)
        sae, statistics = import_saelens(own), TapStatistics.read(own / "s3_retriever.json")
    assert sae.k == codec.sae.k
    assert all(np.array_equal(getattr(sae, name), getattr(codec.sae, name)) for name in ARRAYS)
    again = with_sae(artifact, sae, statistics)
    assert again.digest == artifact.digest
    assert again.codecs[0].quality == codec.quality


@pytest.mark.parametrize("subtracts", [True, False])
@pytest.mark.parametrize("rescales", [True, False])
def test_settings_of_saelens_are_folded_into_the_arrays(
    saelens: Path, subtracts: bool, rescales: bool
) -> None:
    change(saelens / "cfg.json", apply_b_dec_to_input=subtracts, rescale_acts_by_decoder_norm=rescales)
    scale = np.random.default_rng(0).uniform(0.5, 2, (20, 1)).astype(np.float32)
    change_weights(
        saelens / "sae_weights.safetensors",
        W_dec=ARTIFACT.codecs[1].sae.W_dec * scale,
        b_dec=make_sae(4).b_dec,
    )
    sae, x = import_saelens(saelens), vectors()
    activations = encode_by_the_files(saelens, x)
    np.testing.assert_allclose(dense(sae.encode(x), 20), activations, atol=1e-5)
    weights = load_file(saelens / "sae_weights.safetensors")
    if rescales:
        activations = activations / np.linalg.norm(weights["W_dec"], axis=1)
    decoded = activations @ weights["W_dec"] + weights["b_dec"]
    np.testing.assert_allclose(sae.decode(sae.encode(x)), decoded, atol=1e-5)


def test_sparsify_folders_are_read(sparsify: Path) -> None:
    sae, expected = import_sae(sparsify), make_sae(3)
    assert sae.k == 3
    assert all(np.array_equal(getattr(sae, name), getattr(expected, name)) for name in ARRAYS)


@pytest.mark.parametrize("num_latents", [0, None])
def test_the_size_of_a_sparsify_sae_may_follow_from_its_dimension(
    sparsify: Path, num_latents: int | None
) -> None:
    change(sparsify / "cfg.json", num_latents=num_latents, expansion_factor=3)
    with pytest.raises(StorageError, match=r"encoder.weight has shape \(20, 6\).* it must be \(18, 6\)"):
        import_sparsify(sparsify)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_all_float_types_are_read(saelens: Path, dtype: torch.dtype) -> None:
    path = saelens / "sae_weights.safetensors"
    rounded = {name: torch.from_numpy(array).to(dtype) for name, array in load_file(path).items()}
    save_torch(rounded, path)
    sae = import_saelens(saelens)
    assert all(np.array_equal(getattr(sae, name), rounded[name].float().numpy()) for name in ARRAYS)
    # Rows of the decoder have norm 1 only nearly now; an artifact takes them.
    assert with_sae(ARTIFACT, sae, statistics_of(saelens)).codecs[1].sae.k == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "jumprelu"}, "architecture must be one of 'topk', not 'jumprelu'"),
        ({"architecture": None}, "architecture must be .*, not None"),
        (
            {"normalize_activations": "layer_norm"},
            "normalize_activations must be one of 'none', not 'layer_norm'",
        ),
        ({"reshape_activations": "hook_z"}, "reshape_activations must be one of 'none', not 'hook_z'"),
        ({"metadata": {"sae_lens_version": "5.9.1"}}, "sae_lens_version is '5.9.1', not 6.0.0 or newer"),
        ({"metadata": None}, "sae_lens_version is None"),
        ({"k": 0}, "k must be a whole number, 1 or more, not 0"),
        ({"k": 2.5}, "k must be a whole number, 1 or more, not 2.5"),
        ({"k": 21}, r"sae_weights.safetensors: k must be a whole number from 1 to 20, not 21"),
        ({"d_sae": True}, "d_sae must be a whole number"),
        ({"d_in": 7}, r"W_enc has shape \(6, 20\); by cfg.json it must be \(7, 20\)"),
        ({"apply_b_dec_to_input": "yes"}, "apply_b_dec_to_input must be true or false, not 'yes'"),
    ],
)
def test_what_saelens_says_and_ours_cannot_be_is_named(
    saelens: Path, fields: dict[str, Any], message: str
) -> None:
    change(saelens / "cfg.json", **fields)
    with pytest.raises(StorageError, match=message) as caught:
        import_saelens(saelens)
    assert str(saelens) in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation": "groupmax"}, "activation must be one of 'topk', not 'groupmax'"),
        ({"skip_connection": True}, "skip_connection must be one of False, not True"),
        ({"transcode": True}, "transcode must be one of False, not True"),
        ({"signed": True}, "signed must be one of False, not True"),
        ({"d_in": None}, "d_in must be a whole number, 1 or more, not None"),
        ({"num_latents": -1}, "num_latents must be a whole number"),
        ({"k": "3"}, "k must be a whole number, 1 or more, not '3'"),
    ],
)
def test_what_sparsify_says_and_ours_cannot_be_is_named(
    sparsify: Path, fields: dict[str, Any], message: str
) -> None:
    change(sparsify / "cfg.json", **fields)
    with pytest.raises(StorageError, match=message) as caught:
        import_sparsify(sparsify)
    assert str(sparsify) in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"threshold": np.zeros(20, np.float32)}, "must hold W_dec, W_enc, b_dec, b_enc, not .*threshold"),
        ({"b_enc": np.zeros((20, 1), np.float32)}, r"b_enc has shape \(20, 1\).*\(20,\)"),
        ({"b_enc": np.zeros(20, np.int32)}, "b_enc is of type I32, not one of F64"),
        ({"b_enc": np.full(20, np.nan, np.float32)}, "b_enc holds values that are not finite"),
        ({"b_enc": np.full(20, 1e300)}, "b_enc holds values that are not finite"),
    ],
)
def test_bad_tensors_are_named(saelens: Path, arrays: dict[str, Any], message: str) -> None:
    path = saelens / "sae_weights.safetensors"
    change_weights(path, **arrays)
    with pytest.raises(StorageError, match=message) as caught:
        import_saelens(saelens)
    assert str(path) in str(caught.value)


def test_a_zero_row_of_the_decoder_cannot_be_rescaled(saelens: Path) -> None:
    change(saelens / "cfg.json", rescale_acts_by_decoder_norm=True)
    rows = ARTIFACT.codecs[1].sae.W_dec.copy()
    rows[7] = 0
    change_weights(saelens / "sae_weights.safetensors", W_dec=rows)
    with pytest.raises(StorageError, match="row 7 of W_dec is zero"):
        import_saelens(saelens)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cfg.json", b"{", "not JSON"),
        ("cfg.json", b"[]", "expected a JSON object, not list"),
        ("cfg.json", b'"\xff"', "not UTF-8"),
        ("sae_weights.safetensors", b"\x80\x04pickle", "cannot be read as safetensors"),
        ("sae_weights.safetensors", b"", "cannot be read as safetensors"),
    ],
)
def test_damaged_files_are_named(saelens: Path, name: str, content: bytes, message: str) -> None:
    (saelens / name).write_bytes(content)
    with pytest.raises(StorageError, match=message) as caught:
        import_sae(saelens)
    assert str(saelens / name) in str(caught.value)


def test_a_folder_without_an_sae_is_refused(tmp_path: Path, saelens: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"neither sae_weights.safetensors .* nor sae.safetensors"):
        import_sae(tmp_path)
    (saelens / "cfg.json").unlink()
    with pytest.raises(FileNotFoundError):
        import_sae(saelens)


def test_an_export_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine", encoding="utf-8")
    for target in (tmp_path / "taken", tmp_path / "taken" / "file"):
        with pytest.raises(InvalidInputError, match=r"is no part of an export|is a file"):
            export_saelens(ARTIFACT, target)
    assert [path.name for path in tmp_path.rglob("*")] == ["taken", "file"]
    (tmp_path / "empty").mkdir()
    export_saelens(ARTIFACT, tmp_path / "empty")
    assert (tmp_path / "empty" / "8.0" / "cfg.json").is_file()


def statistics_of(folder: Path) -> TapStatistics:
    return TapStatistics.read(folder / "s3_retriever.json")


def test_another_sae_takes_the_place_of_a_tap(saelens: Path) -> None:
    statistics = statistics_of(saelens)
    assert statistics.quality == ARTIFACT.codecs[1].quality
    assert statistics.sae_sha256 == sae_digest(ARTIFACT.codecs[1].sae)
    other = make_sae(7, m=33, k=2)
    changed = with_sae(ARTIFACT, other, statistics)
    assert changed.codecs[0].quality == ARTIFACT.codecs[0].quality
    assert changed.codecs[1].sae.n_features == 33
    assert np.array_equal(changed.codecs[1].mean, ARTIFACT.codecs[1].mean)
    # What was measured was another SAE; this one is measured on the fingerprint.
    assert changed.codecs[1].quality != statistics.quality
    assert changed.codecs[1].quality.l0 <= 2
    assert changed.digest != ARTIFACT.digest


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s: replace(s, tap=Tap(8, 1)), ArtifactError, "has no tap 8.1, only 2.1, 8.0"),
        (
            lambda s: replace(s, host={**HOST, "name": "big", "head_dim": 7}),
            ArtifactError,
            "host 'big', artifact 'made' to 'tiny': head_dim is 6 there and 7 here",
        ),
        (lambda s: replace(s, mean=np.zeros(5)), InvalidInputError, "the SAE 6, the mean 5, the keys 6"),
    ],
)
def test_statistics_must_fit_the_artifact(
    saelens: Path, make: Callable[[TapStatistics], TapStatistics], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        with_sae(ARTIFACT, import_saelens(saelens), make(statistics_of(saelens)))


def test_an_sae_must_fit_the_artifact(saelens: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"the SAE 18, .* must be trained on one key head"):
        with_sae(ARTIFACT, make_sae(0, d=18), statistics_of(saelens))
    rows = make_sae(0).W_dec.copy()
    rows[4] *= 3
    with pytest.raises(InvalidInputError, match=r"row 4 of the decoder for tap 8\.0 has norm 3, not 1"):
        with_sae(ARTIFACT, replace(make_sae(0), W_dec=rows), statistics_of(saelens))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "other"}, "'format' must be one of 's3-retriever tap statistics', not 'other'"),
        ({"version": 2}, "'version' must be one of 1, not 2"),
        (
            {"tap": [8, 0]},
            r"'tap' must be an object with layer, head, each a whole number, 0 or more, not \[8, 0\]",
        ),
        ({"tap": {"layer": -1, "head": 0}}, "'tap' must be .* each a whole number, 0 or more"),
        ({"tap": {"layer": 1.5, "head": 0}}, "'tap' must be .* each a whole number, 0 or more"),
        ({"host": None}, "'host' must be the host's identity"),
        ({"mean": None}, "'mean' must be a list, not None"),
        ({"mean": [1, "2"]}, "'mean' must be a list, each a number"),
        ({"mean": [float("nan")]}, "'mean' must be a list, each a number"),
        ({"mean": [10**400]}, "'mean' must be a list, each a number"),
        ({"mean": [1e300]}, "mean key of tap 8.0 must be a vector of finite numbers"),
        ({"mean": []}, "mean key of tap 8.0 must be a vector of finite numbers"),
        (
            {"quality": {"fvu": 0.1}},
            "'quality' must be an object with fvu, l0, dead_fraction, each a number",
        ),
        ({"sae_sha256": 3}, "'sae_sha256' must be a string"),
    ],
)
def test_malformed_statistics_are_named(saelens: Path, fields: dict[str, Any], message: str) -> None:
    path = saelens / "s3_retriever.json"
    change(path, **fields)
    with pytest.raises(StorageError, match=message) as caught:
        TapStatistics.read(path)
    assert str(path) in str(caught.value)


def test_statistics_may_be_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    fields = {"format": "s3-retriever tap statistics", "version": 1, "tap": {"layer": 8, "head": 0}}
    path.write_text(json.dumps({**fields, "host": HOST, "mean": [0, 1, 2, 3, 4, 5.5]}), encoding="utf-8")
    statistics = TapStatistics.read(path)
    assert statistics.quality is None
    assert statistics.mean.tolist() == [0, 1, 2, 3, 4, 5.5]
    with pytest.raises(StorageError, match=r"there is no .*absent.json, so it is unknown which key head"):
        TapStatistics.read(tmp_path / "absent.json")
