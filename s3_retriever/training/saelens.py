"""Top-k SAEs in the folder layouts of SAELens (from 6.0) and of EleutherAI's sparsify.

Both keep ``cfg.json`` beside one safetensors file; neither library is needed. A setting that our SAE cannot
express is refused by name. Our SAEs see keys centred by their mean and scaled to unit norm. These libraries
keep no such facts, and SAELens refuses tensors it does not know, so a JSON file of ours stands beside the SAE
(:class:`TapStatistics`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from s3_retriever.checks import Rule, check, choice, each, instance, number, whole
from s3_retriever.disk import hash_values, new_folder, refuse_foreign, write_file, write_json
from s3_retriever.encode.artifact import Artifact, KeyCodec
from s3_retriever.encode.fingerprint import different_shape
from s3_retriever.encode.folder_format import pack_tensors
from s3_retriever.encode.sae import Floats, Quality, TopKSAE, center_and_normalize
from s3_retriever.errors import ArtifactError, ArtifactFormatError, InvalidInputError
from s3_retriever.host.taps import Tap
from s3_retriever.sources.jsonl import parse_object, string_field

CONFIG_FILE = "cfg.json"
STATISTICS_FILE = "s3_retriever.json"

_SAELENS_WEIGHTS = "sae_weights.safetensors"
_SPARSIFY_WEIGHTS = "sae.safetensors"
# The first major release of SAELens with this layout; it converts what older ones wrote.
_SAELENS_MAJOR = 6
# bfloat16 is the upper half of a float32.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
# Norms of decoder rows in 16 bits may be off by this much; an artifact scales them to 1.
_NORM_TOLERANCE = 0.01
_STATISTICS = {"format": "s3-retriever tap statistics", "version": 1}


@contextlib.contextmanager
def _of_storage(prefix: str = "") -> Iterator[None]:
    """Turn an error about something that was read into one of storage, with ``prefix`` before its message."""
    try:
        yield
    except InvalidInputError as error:
        msg = f"{prefix}{error}"
        raise ArtifactFormatError(msg) from error


def _object(rule: Rule, *names: str) -> Rule:
    """Allow objects with exactly these names, of whose values each is allowed by ``rule``."""

    def of_all(value: object) -> str:
        fits = isinstance(value, dict) and value.keys() == set(names) and not any(map(rule, value.values()))
        return "" if fits else f"an object with {', '.join(names)}, each {rule(None)}"

    return of_all


_STATISTICS_RULES = {
    "tap": _object(whole(), "layer", "head"),
    "host": instance(dict, "the host's identity, as in an artifact"),
    "mean": each(number(), least=0),
    "quality": _object(number(), "fvu", "l0", "dead_fraction"),
}


@dataclass(frozen=True, eq=False)
class TapStatistics:
    """The input of an SAE: (key - mean) / |key - mean| for the keys of one tap.

    Attributes:
        tap: The key head.
        mean: Mean key, float32 (d,).
        host: The host's identity, as in an artifact.
        quality: Of an SAE for this tap, on held-out keys, if measured.
        sae_sha256: :func:`sae_digest` of the SAE that ``quality`` is about.

    Raises:
        InvalidInputError: ``mean`` is no vector, or holds values that are not finite.
    """

    tap: Tap
    mean: Floats
    host: Mapping[str, Any] = field(default_factory=dict)
    quality: Quality | None = None
    sae_sha256: str = ""

    def __post_init__(self) -> None:
        mean = np.asarray(self.mean, np.float32)
        if mean.ndim != 1 or not mean.size or not np.isfinite(mean).all():
            msg = f"the mean key of tap {self.tap} must be a vector of finite numbers, not {mean!r:.60}"
            raise InvalidInputError(msg)
        object.__setattr__(self, "mean", mean)

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`read` reads; the mean comes back bit for bit."""
        fields: dict[str, Any] = {
            **_STATISTICS,
            "tap": asdict(self.tap),
            "host": dict(self.host),
            "mean": self.mean.tolist(),
        }
        if self.quality is not None:
            fields |= {"quality": asdict(self.quality), "sae_sha256": self.sae_sha256}
        return fields

    @classmethod
    @_of_storage()
    def read(cls, path: str | Path) -> TapStatistics:
        """Read a JSON file; ``quality`` and ``sae_sha256`` may be left out.

        Raises:
            ArtifactFormatError: The file is missing, of another version, or a value in it is malformed;
                names the file and the value.
        """
        path = Path(path)
        if not path.exists():
            msg = (
                f"there is no {path}, so it is unknown which key head the SAE is for and how its input was "
                "centred; give the file of an exported tap (on the command line with --statistics)"
            )
            raise ArtifactFormatError(msg)
        fields = parse_object(path.read_bytes(), str(path))
        for name, value in _STATISTICS.items():
            check(f"{path}: {name!r}", fields.get(name), choice([value]))
        for name, rule in _STATISTICS_RULES.items():
            if name != "quality" or name in fields:
                check(f"{path}: {name!r}", fields.get(name), rule)
        quality, digest = None, ""
        if "quality" in fields:
            quality = Quality(**fields["quality"])
            digest = string_field(fields, "sae_sha256", str(path))
        with _of_storage(f"{path}: "):
            with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is refused
                mean = np.array(fields["mean"], np.float64).astype(np.float32)
            return cls(Tap(**fields["tap"]), mean, fields["host"], quality, digest)


def sae_digest(sae: TopKSAE) -> str:
    """Return a name for what an SAE computes, 64 hexadecimal digits."""
    return hash_values(str(sae.k), sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec)


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
    refuse_foreign(folder, "an export", lambda _: False)
    with new_folder(folder, follow=True) as new:
        for codec in artifact.codecs:
            own = new / str(codec.tap)
            own.mkdir(parents=True)
            statistics = TapStatistics(
                codec.tap, codec.mean, artifact.host, codec.quality, sae_digest(codec.sae)
            )
            weights = {name: getattr(codec.sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
            write_file(own / _SAELENS_WEIGHTS, pack_tensors(weights), fresh=True)
            write_json(own / CONFIG_FILE, _saelens_config(codec, artifact.host), fresh=True)
            write_json(own / STATISTICS_FILE, statistics.to_json(), fresh=True)


@_of_storage()
def import_saelens(folder: str | Path) -> TopKSAE:
    """Read a Top-k SAE that SAELens wrote.

    ``apply_b_dec_to_input`` and ``rescale_acts_by_decoder_norm`` are folded into the arrays, so that
    ``encode`` and ``decode`` give what SAELens gives.

    Args:
        folder: Holds ``cfg.json`` and ``sae_weights.safetensors``.

    Raises:
        ArtifactFormatError: Another architecture, a setting that cannot be expressed, or a damaged file;
            names the file and the value.
        OSError: A file cannot be read.
    """
    place = Path(folder) / CONFIG_FILE
    required = {"architecture": "topk", "normalize_activations": "none", "reshape_activations": "none"}
    config = _read_config(place, required)
    metadata = config.get("metadata")
    version = metadata.get("sae_lens_version") if isinstance(metadata, dict) else None
    major = str(version).partition(".")[0]
    if not (major.isdecimal() and int(major) >= _SAELENS_MAJOR):
        msg = (
            f"{place}: metadata.sae_lens_version is {version!r:.60}, not {_SAELENS_MAJOR}.0.0 or newer; "
            "load the SAE with a newer SAELens and save it again"
        )
        raise InvalidInputError(msg)
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


@_of_storage()
def import_sparsify(folder: str | Path) -> TopKSAE:
    """Read an SAE that EleutherAI's sparsify wrote.

    Args:
        folder: Holds ``cfg.json`` and ``sae.safetensors``.

    Raises:
        ArtifactFormatError: A transcoder, a skip connection, another activation than "topk", or a damaged
            file; names the file and the value.
        OSError: A file cannot be read.
    """
    place = Path(folder) / CONFIG_FILE
    # "signed" is a setting of old releases: activations without ReLU.
    required = {"activation": "topk", "skip_connection": False, "transcode": False, "signed": False}
    config = _read_config(place, required, defaults=required)
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
        ArtifactFormatError: It has neither, or as :func:`import_saelens` and :func:`import_sparsify`.
        OSError: A file cannot be read.
    """
    folder = Path(folder)
    if (folder / _SAELENS_WEIGHTS).is_file():
        return import_saelens(folder)
    if (folder / _SPARSIFY_WEIGHTS).is_file():
        return import_sparsify(folder)
    msg = f"{folder} holds no SAE: neither {_SAELENS_WEIGHTS} (SAELens) nor {_SPARSIFY_WEIGHTS} (sparsify)"
    raise ArtifactFormatError(msg)


def with_sae(artifact: Artifact, sae: TopKSAE, statistics: TapStatistics) -> Artifact:
    """Return the artifact with another SAE, and another mean, in the tap that the statistics name.

    The quality is that of the statistics if they are of this very SAE, else :func:`probe_quality`. The few
    tokens of the latter leave most features unused. Query maps stay, since they are learned on dense keys:
    only another mean needs a new calibration.

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
    dims = {"SAE": sae.dim, "mean": statistics.mean.size, "keys": artifact.fingerprint.keys.shape[2]}
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
    codec = KeyCodec(tap, statistics.mean, sae, quality)
    codecs = tuple(codec if old.tap == tap else old for old in artifact.codecs)
    return replace(artifact, codecs=codecs).quantized()


def probe_quality(artifact: Artifact, tap: Tap, mean: Floats, sae: TopKSAE) -> Quality:
    """Measure an SAE on a tap's keys for the paragraph of text that is the artifact's fingerprint."""
    return sae.measure(center_and_normalize(artifact.fingerprint.keys[:, artifact.taps.index(tap)], mean))


def _saelens_config(codec: KeyCodec, host: Mapping[str, Any]) -> dict[str, Any]:
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


def _read_config(
    path: Path, required: Mapping[str, object], *, defaults: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """Read a configuration, and refuse one with another value for a required setting."""
    config = {**(defaults or {}), **parse_object(path.read_bytes(), str(path))}
    for name, value in required.items():
        check(f"{path}: {name}", config.get(name), choice([value]))
    return config


def _size(config: Mapping[str, Any], name: str, place: Path) -> int:
    check(f"{place}: {name}", config.get(name), whole(1))
    return int(config[name])


def _flag(config: Mapping[str, Any], name: str, default: bool, place: Path) -> bool:
    value = config.get(name, default)
    check(f"{place}: {name}", value, instance(bool, "true or false"))
    return bool(value)


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
    with _of_storage(f"{path}: "):
        return TopKSAE(arrays["W_enc"], arrays["b_enc"], arrays["W_dec"], arrays["b_dec"], k)
