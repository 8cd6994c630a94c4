"""Top-k SAEs in the folder layouts of SAELens (from 6.0) and of EleutherAI's sparsify.

Both keep ``cfg.json`` beside one safetensors file. What our SAE cannot express is refused by its name in
that file; neither library is needed. A folder says nothing about the vectors its SAE was trained on: that is
in a file of ours beside it, see :mod:`s3_retriever.features.statistics`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as save_tensors

from s3_retriever.errors import ArtifactError, InvalidInputError
from s3_retriever.features.artifact import Artifact, TapCodec
from s3_retriever.features.probe import different_shape
from s3_retriever.features.sae import Floats, Quality, TopKSAE, center_and_normalize
from s3_retriever.features.statistics import TapStatistics, sae_digest
from s3_retriever.files import new_folder, parse_object
from s3_retriever.host.taps import Tap

CONFIG_FILE = "cfg.json"
STATISTICS_FILE = "s3_retriever.json"

_SAELENS_WEIGHTS = "sae_weights.safetensors"
_SPARSIFY_WEIGHTS = "sae.safetensors"
# The first major release of SAELens with this layout; it converts what older ones wrote.
_SAELENS_MAJOR = 6
# bfloat16 is the upper half of a float32.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# Decoder rows in 16 bits may be off by this much; an artifact scales them to norm 1.
_NORM_TOLERANCE = 0.01


def export_saelens(artifact: Artifact, folder: str | Path) -> None:
    """Write each tap's SAE as a folder that ``SAE.load_from_disk`` of SAELens reads.

    The folders are named after the taps, such as "8.0"; each also holds ``s3_retriever.json``
    (:class:`TapStatistics`). SAELens then encodes as ``TopKSAE.encode`` does; its input must be centred by
    the mean in that file and scaled to unit norm.

    Args:
        artifact: The artifact.
        folder: Folder to make; it appears complete or not at all.

    Raises:
        InvalidInputError: ``folder`` exists and is not empty.
        OSError: It cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        msg = f"{folder} exists and is not an empty folder; choose another one"
        raise InvalidInputError(msg)
    with new_folder(folder) as new:
        for codec in artifact.codecs:
            own = new / str(codec.tap)
            own.mkdir(parents=True)
            statistics = TapStatistics(
                codec.tap, codec.mean, artifact.host, codec.quality, sae_digest(codec.sae)
            )
            weights = {name: getattr(codec.sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
            (own / _SAELENS_WEIGHTS).write_bytes(save_tensors(weights))
            _write_json(own / CONFIG_FILE, _saelens_config(codec, artifact.host))
            _write_json(own / STATISTICS_FILE, statistics.to_json())


def import_saelens(folder: str | Path) -> TopKSAE:
    """Read a Top-k SAE that SAELens wrote.

    ``apply_b_dec_to_input`` and ``rescale_acts_by_decoder_norm`` are folded into the arrays, so that
    ``encode`` and ``decode`` give what SAELens gives.

    Args:
        folder: Holds ``cfg.json`` and ``sae_weights.safetensors``.

    Raises:
        InvalidInputError: Another architecture, a setting that cannot be expressed, or a damaged file;
            names the file and the value.
        OSError: A file cannot be read.
    """
    place = Path(folder) / CONFIG_FILE
    config = _read_config(place)
    metadata = config.get("metadata")
    version = metadata.get("sae_lens_version") if isinstance(metadata, dict) else None
    major = str(version).partition(".")[0]
    if not (major.isdecimal() and int(major) >= _SAELENS_MAJOR):
        msg = (
            f"{place}: metadata.sae_lens_version is {version!r:.60}, not {_SAELENS_MAJOR}.0.0 or newer; "
            "load the SAE with a newer SAELens and save it again"
        )
        raise InvalidInputError(msg)
    _require(config, place, architecture="topk", normalize_activations="none", reshape_activations="none")
    d, m = _size(config, "d_in", place), _size(config, "d_sae", place)
    path = Path(folder) / _SAELENS_WEIGHTS
    arrays = _read_tensors(path, {"W_enc": (d, m), "b_enc": (m,), "W_dec": (m, d), "b_dec": (d,)})
    if _flag(config, "rescale_acts_by_decoder_norm", False, place):
        norms = np.linalg.norm(arrays["W_dec"], axis=1)
        if not norms.all():
            msg = f"{path}: row {int(norms.argmin())} of W_dec is zero, so activations have no scale; drop it"
            raise InvalidInputError(msg)
        arrays["W_enc"] *= norms
        arrays["b_enc"] *= norms
        arrays["W_dec"] /= norms[:, None]
    if not _flag(config, "apply_b_dec_to_input", True, place):
        arrays["b_enc"] += arrays["b_dec"] @ arrays["W_enc"]
    return _build(arrays, _size(config, "k", place), path)


def import_sparsify(folder: str | Path) -> TopKSAE:
    """Read an SAE that EleutherAI's sparsify wrote.

    Args:
        folder: Holds ``cfg.json`` and ``sae.safetensors``.

    Raises:
        InvalidInputError: A transcoder, a skip connection, another activation than "topk", or a damaged
            file; names the file and the value.
        OSError: A file cannot be read.
    """
    place = Path(folder) / CONFIG_FILE
    config = _read_config(place)
    # "signed" is a setting of old releases: activations without ReLU.
    settings = {"activation": "topk", "skip_connection": False, "transcode": False, "signed": False}
    _require(settings | config, place, **settings)
    d = _size(config, "d_in", place)
    m = _size(config, "num_latents", place) if config.get("num_latents") else 0
    m = m or d * _size(config, "expansion_factor", place)
    path = Path(folder) / _SPARSIFY_WEIGHTS
    shapes = {"encoder.weight": (m, d), "encoder.bias": (m,), "W_dec": (m, d), "b_dec": (d,)}
    arrays = _read_tensors(path, shapes)
    arrays["W_enc"], arrays["b_enc"] = arrays.pop("encoder.weight").T, arrays.pop("encoder.bias")
    return _build(arrays, _size(config, "k", place), path)


def import_sae(folder: str | Path) -> TopKSAE:
    """Read an SAE of either layout, whichever the folder has.

    Raises:
        InvalidInputError: It has neither, or as :func:`import_saelens` and :func:`import_sparsify`.
        OSError: A file cannot be read.
    """
    folder = Path(folder)
    if (folder / _SAELENS_WEIGHTS).is_file():
        return import_saelens(folder)
    if (folder / _SPARSIFY_WEIGHTS).is_file():
        return import_sparsify(folder)
    msg = f"{folder} holds no SAE: neither {_SAELENS_WEIGHTS} (SAELens) nor {_SPARSIFY_WEIGHTS} (sparsify)"
    raise InvalidInputError(msg)


def with_sae(artifact: Artifact, sae: TopKSAE, statistics: TapStatistics) -> Artifact:
    """Return the artifact with another SAE, and another mean, in the tap that the statistics name.

    The quality is that of the statistics if they are of this very SAE, else :func:`probe_quality`, whose few
    tokens leave most features without use. Maps from queries to keys stay: they are learned on dense keys,
    so only another mean asks for a new calibration.

    Raises:
        ArtifactError: The artifact has no such tap, or belongs to a host of another shape.
        InvalidInputError: The SAE has another dimension than the keys, or decoder rows that are not of
            unit norm, which an artifact cannot store.
    """
    tap = statistics.tap
    if tap not in artifact.taps:
        msg = (
            f"artifact {artifact.name!r} has no tap {tap}, only {', '.join(map(str, artifact.taps))}; "
            "train one that has it"
        )
        raise ArtifactError(msg)
    different = different_shape(artifact.host, statistics.host)
    if different:
        msg = (
            f"the SAE of tap {tap} belongs to host {statistics.host.get('name')!r}, artifact "
            f"{artifact.name!r} to {artifact.host.get('name')!r}: {different}"
        )
        raise ArtifactError(msg)
    dims = {"SAE": sae.dim, "mean": statistics.mean.size, "keys": artifact.probe.keys.shape[2]}
    if len(set(dims.values())) > 1:
        sizes = ", ".join(f"the {name} {size}" for name, size in dims.items())
        msg = f"dimensions of tap {tap} differ ({sizes}); an SAE must be trained on one key head"
        raise InvalidInputError(msg)
    norms = np.linalg.norm(sae.W_dec, axis=1)
    row = int(np.abs(norms - 1).argmax())
    if abs(norms[row] - 1) > _NORM_TOLERANCE:
        msg = (
            f"row {row} of the decoder for tap {tap} has norm {norms[row]:.3g}, not 1, which an artifact "
            "cannot store; train with a normalised decoder"
        )
        raise InvalidInputError(msg)
    quality = statistics.quality if statistics.sae_sha256 == sae_digest(sae) else None
    quality = quality or probe_quality(artifact, tap, statistics.mean, sae)
    codec = TapCodec(tap, statistics.mean, sae, quality)
    codecs = tuple(codec if old.tap == tap else old for old in artifact.codecs)
    return replace(artifact, codecs=codecs).as_stored()


def probe_quality(artifact: Artifact, tap: Tap, mean: Floats, sae: TopKSAE) -> Quality:
    """Measure an SAE on the keys that the artifact's probe, a paragraph of text, has at a tap."""
    return sae.measure(center_and_normalize(artifact.probe.keys[:, artifact.taps.index(tap)], mean))


def _saelens_config(codec: TapCodec, host: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "architecture": "topk",
        "d_in": codec.sae.dim,
        "d_sae": codec.sae.n_features,
        "k": codec.sae.k,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        # No hook_name: SAELens would feed the SAE keys as they are, neither centred nor normalised.
        "metadata": {
            "sae_lens_version": f"{_SAELENS_MAJOR}.0.0",
            "sae_lens_training_version": None,
            "model_name": host.get("name"),
            "s3_retriever_tap": str(codec.tap),
        },
    }


def _write_json(path: Path, fields: Mapping[str, Any]) -> None:
    text = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _read_config(path: Path) -> dict[str, Any]:
    return parse_object(path.read_bytes(), str(path))


def _require(config: Mapping[str, Any], place: Path, **settings: object) -> None:
    """Refuse a configuration with another value, or none, for a setting."""
    for name, value in settings.items():
        if config.get(name) != value:
            msg = f"{place}: {name} is {config.get(name)!r:.60}; only {value!r} can be read"
            raise InvalidInputError(msg)


def _size(config: Mapping[str, Any], name: str, place: Path) -> int:
    value = config.get(name)
    if type(value) is not int or value < 1:
        msg = f"{place}: {name} must be a whole number, 1 or more, not {value!r:.60}"
        raise InvalidInputError(msg)
    return value


def _flag(config: Mapping[str, Any], name: str, default: bool, place: Path) -> bool:
    value = config.get(name, default)
    if not isinstance(value, bool):
        msg = f"{place}: {name} must be true or false, not {value!r:.60}"
        raise InvalidInputError(msg)
    return value


def _read_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Floats]:
    """Read exactly these tensors as float32."""
    try:
        tensors = dict(deserialize(path.read_bytes()))  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        msg = f"{path} cannot be read as safetensors: {error}; copy it again"
        raise InvalidInputError(msg) from error
    if tensors.keys() != shapes.keys():
        msg = f"{path} must hold {', '.join(sorted(shapes))}, not {', '.join(sorted(tensors)) or 'nothing'}"
        raise InvalidInputError(msg)
    return {name: _as_float32(tensors[name], shape, f"{path}: {name}") for name, shape in shapes.items()}


def _as_float32(tensor: Mapping[str, Any], shape: tuple[int, ...], place: str) -> Floats:
    if tuple(tensor["shape"]) != shape:
        msg = f"{place} has shape {tuple(tensor['shape'])}; by {CONFIG_FILE} it must be {shape}"
        raise InvalidInputError(msg)
    dtype = tensor["dtype"]
    if dtype not in _DTYPES:
        msg = f"{place} is of type {dtype}, not one of {', '.join(_DTYPES)}; convert it"
        raise InvalidInputError(msg)
    values = np.frombuffer(tensor["data"], _DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is refused
        return values.astype(np.float32)


def _build(arrays: Mapping[str, Floats], k: int, path: Path) -> TopKSAE:
    try:
        return TopKSAE(arrays["W_enc"], arrays["b_enc"], arrays["W_dec"], arrays["b_dec"], k)
    except InvalidInputError as error:
        msg = f"{path}: {error}"
        raise InvalidInputError(msg) from error
