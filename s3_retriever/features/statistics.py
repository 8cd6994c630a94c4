"""What an SAE on its own does not say: which keys it is for, and how they were prepared.

Our SAEs see keys centred by their mean and scaled to unit norm. Libraries that train SAEs keep no such
facts, and SAELens refuses tensors it does not know, so they are kept in a JSON file beside the SAE.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.sae import Floats, Quality, TopKSAE
from s3_retriever.files import parse_object, string_field
from s3_retriever.host.taps import Tap

_FORMAT = "s3-retriever tap statistics"
_VERSION = 1


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
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, which is refused
            mean = np.asarray(self.mean, np.float32)
        if mean.ndim != 1 or not mean.size or not np.isfinite(mean).all():
            msg = f"the mean key of tap {self.tap} must be a vector of finite numbers, not {mean!r:.60}"
            raise InvalidInputError(msg)
        object.__setattr__(self, "mean", mean)

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`read` reads; the mean comes back bit for bit."""
        fields: dict[str, Any] = {
            "format": _FORMAT,
            "version": _VERSION,
            "tap": asdict(self.tap),
            "host": dict(self.host),
            "mean": self.mean.tolist(),
        }
        if self.quality is not None:
            fields |= {"quality": asdict(self.quality), "sae_sha256": self.sae_sha256}
        return fields

    @classmethod
    def read(cls, path: str | Path) -> TapStatistics:
        """Read a JSON file; ``quality`` and ``sae_sha256`` may be left out.

        Raises:
            InvalidInputError: The file is missing, of another version, or a value in it is malformed; names
                the file and the value.
        """
        path = Path(path)
        try:
            raw = path.read_bytes()
        except FileNotFoundError as error:
            msg = (
                f"there is no {path}, so it is unknown which key head the SAE is for and how its input was "
                "centred; give the file of an exported tap (on the command line with --statistics)"
            )
            raise InvalidInputError(msg) from error
        fields = parse_object(raw, str(path))
        if fields.get("format") != _FORMAT or fields.get("version") != _VERSION:
            msg = f"{path} does not hold {_FORMAT} of version {_VERSION}"
            raise InvalidInputError(msg)
        tap = _numbers(fields, "tap", ("layer", "head"), path)
        if not all(type(number) is int and number >= 0 for number in tap):
            msg = f"{path}: 'tap' must hold whole numbers, 0 or more, not {fields['tap']!r:.60}"
            raise InvalidInputError(msg)
        host, mean = fields.get("host"), fields.get("mean")
        if not isinstance(host, dict):
            msg = f"{path}: 'host' must be the host's identity, as in an artifact, not {host!r:.60}"
            raise InvalidInputError(msg)
        if not isinstance(mean, list) or not all(map(_is_finite, mean)):
            msg = f"{path}: 'mean' must be a list of finite numbers, not {mean!r:.60}"
            raise InvalidInputError(msg)
        quality, digest = None, ""
        if "quality" in fields:
            names = ("fvu", "l0", "dead_fraction")
            quality = Quality(*map(float, _numbers(fields, "quality", names, path)))
            digest = string_field(fields, "sae_sha256", str(path))
        try:
            return cls(Tap(*tap), np.array(mean, np.float64), host, quality, digest)
        except InvalidInputError as error:
            msg = f"{path}: {error}"
            raise InvalidInputError(msg) from error


def sae_digest(sae: TopKSAE) -> str:
    """Return a name for what an SAE computes, 64 hexadecimal digits."""
    digest = hashlib.sha256(f"{sae.W_dec.shape} {sae.k}".encode())
    for array in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _numbers(fields: Mapping[str, Any], name: str, parts: tuple[str, ...], path: Path) -> list[Any]:
    """Return the finite numbers of an object with exactly these parts."""
    value = fields.get(name)
    if not isinstance(value, dict) or value.keys() != set(parts) or not all(map(_is_finite, value.values())):
        msg = f"{path}: {name!r} must be numbers for {', '.join(parts)}, not {value!r:.60}"
        raise InvalidInputError(msg)
    return [value[part] for part in parts]


def _is_finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float
        return False
