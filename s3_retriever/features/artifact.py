"""The artifact: everything learned for one host, and its form on disk.

A folder holds ``artifact.json`` (what a person wants to read, and the sha256 of the other file) and
``artifact.safetensors``. SAE matrices are stored as int8 with one float16 scale per feature, which is a
quarter of their size in float32 and adds less than 0.001 to the fvu; what is loaded is saved again bit for
bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from s3_retriever.errors import ArtifactError
from s3_retriever.features.sae import Codes, Floats, Quality, TopKSAE, center_and_normalize
from s3_retriever.files import new_folder
from s3_retriever.host.taps import QueryHead, Tap

FORMAT_VERSION = 1
PROBE_TEXT = (
    "The harbour master's report of 1987 says that 14 ships, among them a ferry from Oslo, lost their "
    "anchors in the storm; repairs cost €2.3 million. See section 4.1: `def repair(ship, *, cost=None)`."
)

_JSON = "artifact.json"
_TENSORS = "artifact.safetensors"
_FORMAT = "s3-retriever artifact"
# What must agree before the probe is worth running; the host's name and revision may differ.
_SHAPE_FACTS = (
    "model_type",
    "hidden_size",
    "n_layers",
    "n_query_heads",
    "n_key_heads",
    "head_dim",
    "vocab_size",
)
_LEAST_SIMILARITY = 0.9


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
class QueryCodec:
    """One query head that asks a tap.

    Attributes:
        head: The query head.
        tap: The tap it asks.
        mean: Mean query over typical questions, float32 (d,).
        map: float32 (d, d): ``(query - mean) @ map`` is compared with the tap's unit keys. Learned by
            calibration; the inverse temperature of the softmax is part of it.
    """

    head: QueryHead
    tap: Tap
    mean: Floats
    map: Floats


@dataclass(frozen=True, eq=False)
class Probe:
    """The host's fingerprint: its keys for a fixed text.

    Attributes:
        keys: Raw keys of the artifact's taps, float16 (n, T, d).
        text: The text.
    """

    keys: npt.NDArray[np.float16]
    text: str = PROBE_TEXT


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
        constants = json.dumps([list(map(str, self.taps)), dict(self.scoring)], sort_keys=True).encode()
        return hashlib.sha256(constants + save_tensors(self._tensors())).hexdigest()[:16]

    def as_stored(self) -> Artifact:
        """Return the artifact with its matrices rounded as on disk, so that both give the same scores."""
        tensors = self._tensors()
        return self._from_parts(self._header(b""), tensors)

    def check_host(self, identity: Mapping[str, Any], probe_keys: npt.ArrayLike) -> None:
        """Refuse a host that is not the one this artifact was made for.

        Copies of the host in another precision pass; another model of the same shape does not.

        Args:
            identity: The host's identity.
            probe_keys: The host's raw keys of :attr:`taps` for ``probe.text``, (n, T, d).

        Raises:
            ArtifactError: Names both hosts and what differs.
        """
        reason = self._mismatch(identity, np.asarray(probe_keys, dtype=np.float32))
        if reason:
            msg = (
                f"artifact {self.name!r} belongs to host {self.host.get('name')!r}, not to "
                f"{identity.get('name')!r}: {reason}; train one for this host"
            )
            raise ArtifactError(msg)

    def _mismatch(self, identity: Mapping[str, Any], keys: Floats) -> str:
        """Say what differs, or return an empty string."""
        different = different_shape(self.host, identity)
        if different:
            return different
        if keys.shape != self.probe.keys.shape:
            return f"its keys for the probe have shape {keys.shape}, not {self.probe.keys.shape}"
        means = np.stack([codec.mean for codec in self.codecs])
        cosines = center_and_normalize(keys, means) * center_and_normalize(self.probe.keys, means)
        similarity = float(cosines.sum(axis=-1).mean())
        if similarity > _LEAST_SIMILARITY:
            return ""
        return f"its keys for the probe have similarity {similarity:.2f}, not above {_LEAST_SIMILARITY}"

    def save(self, folder: str | Path) -> None:
        """Write the artifact; the folder appears complete or not at all, and replaces an older artifact.

        Raises:
            ArtifactError: The folder holds something that is not an artifact.
        """
        folder = Path(folder)
        check_target(folder)
        with new_folder(folder) as new:
            new.mkdir()
            tensors = save_tensors(self._tensors())
            (new / _TENSORS).write_bytes(tensors)
            text = json.dumps(self._header(tensors), indent=1, ensure_ascii=False, allow_nan=False)
            (new / _JSON).write_text(text + "\n", encoding="utf-8")

    def _header(self, tensors: bytes) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "version": FORMAT_VERSION,
            "name": self.name,
            "host": dict(self.host),
            "taps": [{**asdict(c.tap), "k": c.sae.k, **asdict(c.quality)} for c in self.codecs],
            "query_heads": [{**asdict(q.head), "tap": asdict(q.tap)} for q in self.queries],
            "probe": self.probe.text,
            "scoring": dict(self.scoring),
            "provenance": dict(self.provenance),
            "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
        }

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        dim = self.codecs[0].sae.dim
        tensors: dict[str, npt.NDArray[Any]] = {
            "probe": self.probe.keys,
            "query_means": np.array([query.mean for query in self.queries], np.float32).reshape(-1, dim),
            "query_maps": np.array([query.map for query in self.queries], np.float16).reshape(-1, dim, dim),
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
        return tensors

    @classmethod
    def load(cls, source: str | Path) -> Artifact:
        """Load a shipped artifact by name ("fast", or "host/fast" where several hosts have one) or a folder.

        A ``str`` that names a shipped artifact means that one; write "./fast" for a folder called "fast".

        Raises:
            ArtifactError: There is no such artifact, or a file of it is missing, damaged, or of another
                version; the message names the file.
        """
        folder = _find(source)
        header_path, tensor_path = folder / _JSON, folder / _TENSORS
        try:
            header = json.loads(header_path.read_bytes())
        except (OSError, ValueError) as error:
            msg = f"{header_path} cannot be read as an artifact's JSON: {error}"
            raise ArtifactError(msg) from error
        if not isinstance(header, dict) or header.get("format") != _FORMAT:
            msg = f"{header_path} does not describe an artifact of s3_retriever"
            raise ArtifactError(msg)
        if header.get("version") != FORMAT_VERSION:
            msg = (
                f"{header_path} has format version {header.get('version')!r}; this release reads "
                f"{FORMAT_VERSION}: train the artifact again, or install the release that wrote it"
            )
            raise ArtifactError(msg)
        try:
            data = tensor_path.read_bytes()
        except OSError as error:
            msg = f"{tensor_path} cannot be read: {error}"
            raise ArtifactError(msg) from error
        if hashlib.sha256(data).hexdigest() != header.get("tensors_sha256"):
            msg = (
                f"{tensor_path} is truncated or altered: its sha256 is not the one in {_JSON}; copy it again"
            )
            raise ArtifactError(msg)
        try:
            return cls._from_parts(header, load_tensors(data))
        except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"{header_path} is damaged: {type(error).__name__}: {error}"
            raise ArtifactError(msg) from error

    @classmethod
    def _from_parts(cls, header: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> Artifact:
        codecs = []
        for entry in header["taps"]:
            tap = Tap(entry["layer"], entry["head"])
            sae = TopKSAE(
                (tensors[f"{tap}/encoder"] * tensors[f"{tap}/encoder_scale"].astype(np.float32)[:, None]).T,
                tensors[f"{tap}/encoder_bias"].astype(np.float32),
                center_and_normalize(tensors[f"{tap}/decoder"], np.float32(0)),
                tensors[f"{tap}/decoder_bias"],
                entry["k"],
            )
            quality = Quality(entry["fvu"], entry["l0"], entry["dead_fraction"])
            codecs.append(TapCodec(tap, tensors[f"{tap}/mean"], sae, quality))
        return cls(
            name=header["name"],
            host=header["host"],
            codecs=tuple(codecs),
            queries=tuple(
                QueryCodec(
                    QueryHead(entry["layer"], entry["head"]),
                    Tap(**entry["tap"]),
                    mean,
                    map_.astype(np.float32),
                )
                for entry, mean, map_ in zip(
                    header["query_heads"], tensors["query_means"], tensors["query_maps"], strict=True
                )
            ),
            probe=Probe(tensors["probe"], header["probe"]),
            scoring=header["scoring"],
            provenance=header["provenance"],
        )


def different_shape(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say in which fact two hosts' identities have different shapes, or return an empty string."""
    for fact in _SHAPE_FACTS:
        if here.get(fact) != there.get(fact):
            return f"{fact} is {there.get(fact)!r} there and {here.get(fact)!r} here"
    return ""


def check_target(folder: Path) -> None:
    """Refuse a folder that :meth:`Artifact.save` would not replace.

    Raises:
        ArtifactError: The folder holds something that is not an artifact.
    """
    if folder.exists() and not (folder / _JSON).is_file():
        msg = f"{folder} exists and is not an artifact (no {_JSON}); choose another folder"
        raise ArtifactError(msg)


def shipped() -> list[str]:
    """Return the names of the artifacts inside the package, as "host/name", sorted."""
    return sorted(
        f"{path.parent.parent.name}/{path.parent.name}" for path in _shipped_root().glob(f"*/*/{_JSON}")
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
