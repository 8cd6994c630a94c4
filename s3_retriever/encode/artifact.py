"""The artifact: everything learned for one host, and its form on disk.

A folder holds ``artifact.json`` (what a person wants to read, and the sha256 of both files) and
``artifact.safetensors``. SAE matrices are stored as int8 with one float16 scale per feature. That is a
quarter of their size in float32 and adds less than 0.001 to the fvu. An artifact that is loaded and saved
again gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import PATH, check, check_settings, each, instance
from s3_retriever.disk import hash_values
from s3_retriever.encode.fingerprint import Fingerprint
from s3_retriever.encode.folder_format import FolderFormat, Tensors, pack_tensors
from s3_retriever.encode.sae import Codes, Floats, Quality, TopKSAE, center_and_normalize
from s3_retriever.errors import ArtifactError
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.locks import cached_property

if TYPE_CHECKING:
    from s3_retriever.host.model import Host

"""How an artifact lies on disk."""


@dataclass(frozen=True, eq=False)
class KeyCodec:
    """How the keys of one tap become features.

    Attributes:
        tap: The key head.
        mean: Mean key, float32 (d,).
        sae: Trained on keys centred by ``mean`` and normalised.
        quality: Of the SAE, on keys that it was not trained on.
    """

    tap: Tap
    mean: Floats
    sae: TopKSAE
    quality: Quality

    def encode(self, keys: npt.ArrayLike) -> Codes:
        """Encode raw keys (n, d) so that their reconstructions are unit vectors."""
        return self.sae.encode_unit(center_and_normalize(keys, self.mean))


@dataclass(frozen=True, eq=False)
class QueryMap:
    """How one query head asks a tap.

    Attributes:
        head: The query head.
        tap: The tap it asks.
        mean: Mean query over typical questions, float32 (d,).
        map: float32 (d, d). ``(query - mean) @ map`` is compared with the tap's unit keys. Calibration
            learns it; the inverse temperature of the softmax is part of it.
    """

    head: QueryHead
    tap: Tap
    mean: Floats
    map: Floats

    def apply(self, queries: Floats) -> Floats:
        """Centre and map queries of the head, float32 (n, d)."""
        mapped: Floats = np.matmul(queries - self.mean, self.map, dtype=np.float32)
        return mapped


@dataclass(frozen=True, eq=False, kw_only=True)
class LearnedForHost:
    """What an artifact and a calibration have in common: which heads of a host are read, and how they ask.

    Attributes:
        name: Such as "fast".
        host: The host's identity, JSON-able: its shape facts, name and revision.
        queries: One per query head; each asks one of the taps.
        fingerprint: Of the host.
        scoring: Constants of the scoring, JSON-able.
        provenance: How it was made (command, seed, data), JSON-able.
        key_means: Mean key of each tap, float32 (d,).

    Raises:
        ArtifactError: There is no tap, a query head asks another tap, or shapes do not fit.
        InvalidInputError: A value is of another type.
    """

    folder_format: ClassVar[FolderFormat]

    name: str
    host: Mapping[str, Any]
    queries: tuple[QueryMap, ...]
    fingerprint: Fingerprint
    scoring: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    key_means: Mapping[Tap, Floats] = field(init=False)

    def __post_init__(self) -> None:
        mapping = instance(Mapping, "a mapping")
        check_settings(
            self,
            host=mapping,
            queries=each(instance(QueryMap, "a QueryMap"), least=0),
            fingerprint=instance(Fingerprint, "a Fingerprint"),
            scoring=mapping,
            provenance=mapping,
        )
        what = self.folder_format.what
        if not self.taps:
            msg = f"{what} needs at least one tap, and got none"
            raise ArtifactError(msg)
        for query in self.queries:
            if query.tap not in self.key_means:
                kind = self.folder_format.kind
                msg = f"query head {query.head} asks tap {query.tap}, which the {kind} does not have"
                raise ArtifactError(msg)
        dim = self.key_means[self.taps[0]].size
        means = [*self.key_means.values(), *(query.mean for query in self.queries)]
        if (
            any(mean.shape != (dim,) for mean in means)
            or any(query.map.shape != (dim, dim) for query in self.queries)
            or self.fingerprint.keys.shape[1:] != (len(self.taps), dim)
        ):
            msg = f"means, maps and fingerprint of {what} must fit {len(self.taps)} taps of dimension {dim}"
            raise ArtifactError(msg)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The taps, in the order of ``key_means``."""
        return tuple(self.key_means)

    @property
    def query_heads(self) -> tuple[QueryHead, ...]:
        """The query heads, in the order of ``queries``."""
        return tuple(query.head for query in self.queries)

    def check_host(self, host: Host) -> None:
        """Refuse a host that this was not learned for.

        Copies of the host in another precision pass; another model of the same shape does not.

        Raises:
            ArtifactError: Names both hosts and what differs.
        """
        self.fingerprint.check(f"{self.folder_format.kind} {self.name!r}", self.host, self.key_means, host)

    def save(self, folder: str | Path) -> None:
        """Write the folder. It appears complete or not at all, and replaces an older one of its kind.

        Raises:
            InvalidInputError: The folder holds something else, or is a file.
            OSError: It cannot be written.
        """
        self.folder_format.write(folder, self._header(), self._tensors())

    def _header(self) -> dict[str, Any]:
        raise NotImplementedError

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fingerprint, and the queries' means, float32 (H, d), and maps, float16 (H, d, d)."""
        dim = self.fingerprint.keys.shape[-1]
        return {
            "probe": self.fingerprint.keys,
            "query_means": np.array([query.mean for query in self.queries], np.float32).reshape(-1, dim),
            "query_maps": np.array([query.map for query in self.queries], np.float16).reshape(-1, dim, dim),
        }

    def common_header(self, taps: Sequence[Mapping[str, Any]], **more: object) -> dict[str, Any]:
        """Return the JSON header with these entries for the taps and ``more`` fields before the last."""
        return {
            "name": self.name,
            "host": dict(self.host),
            "taps": list(taps),
            "query_heads": [{**asdict(query.head), "tap": asdict(query.tap)} for query in self.queries],
            "probe": self.fingerprint.text,
            "scoring": dict(self.scoring),
            **more,
            "provenance": dict(self.provenance),
        }

    def common_fields(self) -> dict[str, Any]:
        """Return the arguments of the constructor that both kinds take."""
        return {one.name: getattr(self, one.name) for one in fields(LearnedForHost) if one.init}

    @staticmethod
    def _read_common(header: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
        """Return the arguments of the constructor that both kinds take, from a folder."""
        places = zip(header["query_heads"], tensors["query_means"], tensors["query_maps"], strict=True)
        queries = tuple(
            QueryMap(QueryHead(at["layer"], at["head"]), Tap(**at["tap"]), mean, map_.astype(np.float32))
            for at, mean, map_ in places
        )
        same = {name: header[name] for name in ("name", "host", "scoring", "provenance")}
        return {**same, "queries": queries, "fingerprint": Fingerprint(tensors["probe"], header["probe"])}


@dataclass(frozen=True, eq=False, kw_only=True)
class Artifact(LearnedForHost):
    """Everything learned for a host: heads, how they ask, and an SAE per tap.

    Attributes:
        codecs: One per tap. They hold the key means.

    Raises:
        ArtifactError: As :class:`LearnedForHost`; or a tap is given twice.
    """

    folder_format: ClassVar[FolderFormat] = FolderFormat("artifact", 2)

    codecs: tuple[KeyCodec, ...]

    def __post_init__(self) -> None:
        check_settings(self, codecs=each(instance(KeyCodec, "a KeyCodec"), least=0))
        means = {codec.tap: codec.mean for codec in self.codecs}
        if len(means) < len(self.codecs):
            taps = ", ".join(str(codec.tap) for codec in self.codecs)
            msg = f"an artifact needs distinct taps, not [{taps}]"
            raise ArtifactError(msg)
        object.__setattr__(self, "key_means", means)
        super().__post_init__()
        for codec in self.codecs:
            if codec.sae.dim != codec.mean.size:
                msg = f"the SAE of tap {codec.tap} has dimension {codec.sae.dim}, its keys {codec.mean.size}"
                raise ArtifactError(msg)

    def encode(self, keys: Floats) -> list[Codes]:
        """Encode raw keys (n, T, d) tap by tap; see :meth:`KeyCodec.encode`."""
        return [codec.encode(own) for codec, own in zip(self.codecs, keys.swapaxes(0, 1), strict=True)]

    @cached_property
    def digest(self) -> str:
        """A name for what the artifact computes: 16 hexadecimal digits, the same before and after storing.

        It covers all that scores depend on.
        """
        taps = [[str(codec.tap), codec.sae.k] for codec in self.codecs]
        queries = [[str(query.head), str(query.tap)] for query in self.queries]
        constants = json.dumps([taps, queries, dict(self.scoring)], sort_keys=True)
        return hash_values(constants, pack_tensors(self._tensors()))[:16]

    def quantized(self) -> Artifact:
        """Return the artifact with its matrices rounded as on disk, so that both give the same scores."""
        return self._from_parts(self._header(), self._tensors())

    @classmethod
    def load(cls, source: str | Path) -> Artifact:
        """Load an artifact: a shipped one by name, or one in a folder.

        Args:
            source: "fast"; "host/fast" where several hosts have one; or a folder. A ``str`` that names a
                shipped artifact means that one: write "./fast" for a folder called "fast".

        Raises:
            ArtifactError: There is no such artifact.
            ArtifactFormatError: A file of it is missing, damaged, or of another version; the message names
                the file.

        Example:
            >>> [str(codec.tap) for codec in Artifact.load("fast").codecs]
            ['5.0', '8.0', '9.0', '9.1']
        """
        return cls.folder_format.read(_find(source), cls._from_parts)

    def _header(self) -> dict[str, Any]:
        return self.common_header([{**asdict(c.tap), "k": c.sae.k, **asdict(c.quality)} for c in self.codecs])

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        tensors = super()._tensors()
        for codec in self.codecs:
            sae = codec.sae
            encoder, scale = _quantize(np.ascontiguousarray(sae.W_enc.T))
            decoder, _ = _quantize(sae.W_dec)  # rows have unit norm: they need no scale
            tensors |= {
                f"{codec.tap}/mean": codec.mean,
                f"{codec.tap}/encoder": encoder,
                f"{codec.tap}/encoder_scale": scale,
                f"{codec.tap}/encoder_bias": sae.b_enc.astype(np.float16),
                f"{codec.tap}/decoder": decoder,
                f"{codec.tap}/decoder_bias": sae.b_dec,
            }
            if sae.root is not None:
                # It is symmetric and only a metric: its upper triangle in float16 is enough.
                tensors[f"{codec.tap}/root"] = sae.root[np.triu_indices(sae.dim)].astype(np.float16)
        return tensors

    @classmethod
    def _from_parts(cls, header: dict[str, Any], tensors: Tensors) -> Artifact:
        codecs = []
        for entry in header["taps"]:
            tap = Tap(entry["layer"], entry["head"])
            sae = TopKSAE(
                (tensors[f"{tap}/encoder"] * tensors[f"{tap}/encoder_scale"].astype(np.float32)[:, None]).T,
                tensors[f"{tap}/encoder_bias"].astype(np.float32),
                center_and_normalize(tensors[f"{tap}/decoder"], np.float32(0)),
                tensors[f"{tap}/decoder_bias"],
                entry["k"],
                _symmetric(tensors[f"{tap}/root"]) if f"{tap}/root" in tensors else None,
            )
            quality = Quality(entry["fvu"], entry["l0"], entry["dead_fraction"])
            codecs.append(KeyCodec(tap, tensors[f"{tap}/mean"], sae, quality))
        return cls(codecs=tuple(codecs), **cls._read_common(header, tensors))


def _symmetric(triangle: npt.NDArray[np.float16]) -> Floats:
    """Return the symmetric matrix, float32 (d, d), with this upper triangle, d·(d + 1)/2 numbers by rows."""
    dim = math.isqrt(2 * len(triangle))
    matrix: Floats = np.zeros((dim, dim), np.float32)
    matrix[np.triu_indices(dim)] = triangle
    return matrix + np.triu(matrix, 1).T


def shipped() -> list[str]:
    """Return the names of the artifacts inside the package, as "host/name", sorted."""
    headers = _shipped_root().glob(f"*/*/{Artifact.folder_format.header}")
    return sorted(f"{path.parent.parent.name}/{path.parent.name}" for path in headers)


def _shipped_root() -> Path:
    return Path(str(files("s3_retriever").joinpath("artifacts")))


def _find(source: str | Path) -> Path:
    """Return the folder of an artifact."""
    check("an artifact", source, PATH)
    if isinstance(source, str):
        matches = [name for name in shipped() if source in (name, name.rpartition("/")[2])]
        if len(matches) > 1:
            msg = f"several hosts have an artifact {source!r}: name one of {', '.join(matches)}"
            raise ArtifactError(msg)
        if matches:
            return _shipped_root() / matches[0]
    folder = Path(source)
    if not folder.is_dir():
        msg = f"no artifact {str(source)!r}: neither a folder nor one of the shipped {', '.join(shipped())}"
        raise ArtifactError(msg)
    return folder


def _quantize(rows: Floats) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float16]]:
    """Return int8 codes (n, d) and float16 scales (n,) so that rows are about codes * scale.

    The largest value of a row becomes 127. Products of scales and codes are exact in float32, so quantising
    them again gives the same codes and scales.
    """
    half = (np.abs(rows).max(axis=1) / np.float32(127)).astype(np.float16)
    scale = half.astype(np.float32)
    quotient = np.divide(rows, scale[:, None], out=np.zeros_like(rows), where=scale[:, None] > 0)
    return np.rint(quotient).clip(-127, 127).astype(np.int8), half
