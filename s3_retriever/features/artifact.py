"""The artifact: everything learned for one host, and its form on disk.

A folder holds ``artifact.json`` (what a person wants to read, and the sha256 of the other file) and
``artifact.safetensors``. SAE matrices are stored as int8 with one float16 scale per feature, which is a
quarter of their size in float32 and adds less than 0.001 to the fvu; what is loaded is saved again bit for
bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import ArtifactError
from s3_retriever.features import querycodec
from s3_retriever.features.probe import Probe
from s3_retriever.features.querycodec import QueryCodec
from s3_retriever.features.sae import Codes, Floats, Quality, TopKSAE, center_and_normalize
from s3_retriever.features.stored import Form, Tensors, digest
from s3_retriever.host.taps import QueryHead, Tap

FORM = Form("artifact", "an", 1)
"""How an artifact lies on disk."""


@dataclass(frozen=True, eq=False)
class TapCodec:
    """How the keys of one tap become features.

    Attributes:
        tap: The key head.
        mean: Mean key, float32 (d,).
        sae: Trained on keys centred by ``mean`` and normalised.
        quality: Of the SAE, on held-out keys.
    """

    tap: Tap
    mean: Floats
    sae: TopKSAE
    quality: Quality

    def encode(self, keys: npt.ArrayLike) -> Codes:
        """Encode raw keys (n, d) so that their reconstructions are unit vectors."""
        return self.sae.encode_unit(center_and_normalize(keys, self.mean))


@dataclass(frozen=True, eq=False)
class Artifact:
    """Everything learned for a host.

    Attributes:
        name: Such as "fast".
        host: The host's identity, JSON-able: its shape facts, name and revision.
        codecs: One per tap.
        queries: One per query head; each asks one of the taps.
        probe: Fingerprint of the host.
        scoring: Constants of the scoring, JSON-able.
        provenance: How the artifact was made (command, seed, data), JSON-able.

    Raises:
        ArtifactError: No tap, a tap given twice, a query head without its tap, or shapes that do not fit.
    """

    name: str
    host: Mapping[str, Any]
    codecs: tuple[TapCodec, ...]
    queries: tuple[QueryCodec, ...]
    probe: Probe
    scoring: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.taps or len(set(self.taps)) < len(self.taps):
            msg = f"an artifact needs distinct taps, not [{', '.join(map(str, self.taps))}]"
            raise ArtifactError(msg)
        dims = {codec.tap: codec.sae.dim for codec in self.codecs}
        for query in self.queries:
            if query.tap not in dims:
                msg = f"query head {query.head} asks tap {query.tap}, which the artifact does not have"
                raise ArtifactError(msg)
        means = [(part.tap, part.mean) for part in self.codecs] + [
            (part.tap, part.mean) for part in self.queries
        ]
        if any(mean.shape != (dims[tap],) for tap, mean in means) or any(
            query.map.shape != 2 * (dims[query.tap],) for query in self.queries
        ):
            msg = f"every mean and map must have the dimension of its tap's SAE: {sorted(set(dims.values()))}"
            raise ArtifactError(msg)
        if self.probe.keys.shape[1:] != (len(self.taps), *set(dims.values())):
            msg = f"probe keys must be (n, taps, d) for {len(self.taps)} taps, not {self.probe.keys.shape}"
            raise ArtifactError(msg)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The taps, in the order of the codecs."""
        return tuple(codec.tap for codec in self.codecs)

    @property
    def query_heads(self) -> tuple[QueryHead, ...]:
        """The query heads, in the order of ``queries``."""
        return tuple(query.head for query in self.queries)

    @property
    def digest(self) -> str:
        """A name for what the artifact computes: 16 hexadecimal digits, the same before and after storing."""
        return digest([list(map(str, self.taps)), dict(self.scoring)], self._tensors())

    def as_stored(self) -> Artifact:
        """Return the artifact with its matrices rounded as on disk, so that both give the same scores."""
        return self._from_parts(self._header(), self._tensors())

    def check_host(self, identity: Mapping[str, Any], probe_keys: npt.ArrayLike) -> None:
        """Refuse a host that is not the one this artifact was made for.

        Copies of the host in another precision pass; another model of the same shape does not.

        Args:
            identity: The host's identity.
            probe_keys: The host's raw keys of :attr:`taps` for ``probe.text``, (n, T, d).

        Raises:
            ArtifactError: Names both hosts and what differs.
        """
        means = np.stack([codec.mean for codec in self.codecs])
        self.probe.check(f"artifact {self.name!r}", means, self.host, identity, probe_keys)

    def save(self, folder: str | Path) -> None:
        """Write the artifact; the folder appears complete or not at all, and replaces an older artifact.

        Raises:
            ArtifactError: The folder holds something that is not an artifact.
        """
        FORM.write(folder, self._header(), self._tensors())

    def _header(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": dict(self.host),
            "taps": [{**asdict(c.tap), "k": c.sae.k, **asdict(c.quality)} for c in self.codecs],
            "query_heads": querycodec.to_header(self.queries),
            "probe": self.probe.text,
            "scoring": dict(self.scoring),
            "provenance": dict(self.provenance),
        }

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        tensors: dict[str, npt.NDArray[Any]] = {
            "probe": self.probe.keys,
            **querycodec.to_tensors(self.queries, self.codecs[0].sae.dim),
        }
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
                # Symmetric, and only a metric: half of it in half the precision will do.
                tensors[f"{codec.tap}/root"] = sae.root[np.triu_indices(sae.dim)].astype(np.float16)
        return tensors

    @classmethod
    def load(cls, source: str | Path) -> Artifact:
        """Load a shipped artifact by name ("fast", or "host/fast" where several hosts have one) or a folder.

        A ``str`` that names a shipped artifact means that one; write "./fast" for a folder called "fast".

        Raises:
            ArtifactError: There is no such artifact, or a file of it is missing, damaged, or of another
                version; the message names the file.
        """
        return FORM.read(_find(source), cls._from_parts)

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
            codecs.append(TapCodec(tap, tensors[f"{tap}/mean"], sae, quality))
        return cls(
            name=header["name"],
            host=header["host"],
            codecs=tuple(codecs),
            queries=querycodec.from_parts(header, tensors),
            probe=Probe(tensors["probe"], header["probe"]),
            scoring=header["scoring"],
            provenance=header["provenance"],
        )


def _symmetric(triangle: npt.NDArray[np.float16]) -> Floats:
    """Return the symmetric matrix, float32 (d, d), with this upper triangle, d·(d + 1)/2 numbers by rows."""
    dim = math.isqrt(2 * len(triangle))
    matrix: Floats = np.zeros((dim, dim), np.float32)
    matrix[np.triu_indices(dim)] = triangle
    return matrix + np.triu(matrix, 1).T


def shipped() -> list[str]:
    """Return the names of the artifacts inside the package, as "host/name", sorted."""
    return sorted(
        f"{path.parent.parent.name}/{path.parent.name}" for path in _shipped_root().glob(f"*/*/{FORM.header}")
    )


def _shipped_root() -> Path:
    return Path(str(files("s3_retriever").joinpath("artifacts")))


def _find(source: str | Path) -> Path:
    """Return the folder of an artifact."""
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
    """Return int8 codes (n, d) and float16 scales (n,): rows ~ codes * scale, exactly if so made before.

    The largest value of a row becomes 127. Products of such a scale with codes are exact in float32, so that
    quantising them again gives the same codes and scale.
    """
    half = (np.abs(rows).max(axis=1) / np.float32(127)).astype(np.float16)
    scale = half.astype(np.float32)
    quotient = np.divide(rows, scale[:, None], out=np.zeros_like(rows), where=scale[:, None] > 0)
    return np.rint(quotient).clip(-127, 127).astype(np.int8), half
