"""A calibration: which heads of a host to read and how they ask; all that is learned but the SAEs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import ArtifactError
from s3_retriever.features import querycodec
from s3_retriever.features.artifact import Artifact, TapCodec
from s3_retriever.features.probe import Probe
from s3_retriever.features.querycodec import QueryCodec
from s3_retriever.features.sae import Floats
from s3_retriever.features.stored import Form, Tensors
from s3_retriever.host.taps import QueryHead, Tap

FORM = Form("calibration", "a", 1)
"""How a calibration lies on disk."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What was learned on dense keys; SAEs for its taps make it an artifact (:meth:`with_saes`).

    Attributes:
        name: Of the calibration.
        host: The host's identity, JSON-able.
        taps: Key heads, T, each once.
        key_means: Mean key of each tap, float32 (T, d).
        queries: One per query head; each asks one of the taps.
        probe: Fingerprint of the host.
        scoring: Constants of the scoring, JSON-able.
        report: What was measured, JSON-able.
        provenance: How it was made, JSON-able.

    Raises:
        ArtifactError: No tap, a tap given twice, a query head without its tap, or shapes that do not fit.
    """

    name: str
    host: Mapping[str, Any]
    taps: tuple[Tap, ...]
    key_means: Floats
    queries: tuple[QueryCodec, ...]
    probe: Probe
    scoring: Mapping[str, Any]
    report: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taps, dim = set(self.taps), self.key_means.shape[-1]
        if not taps or len(taps) < len(self.taps) or any(query.tap not in taps for query in self.queries):
            shown = ", ".join(map(str, self.taps))
            msg = f"a calibration needs distinct taps, and those that its heads ask, not [{shown}]"
            raise ArtifactError(msg)
        shapes = {(query.mean.shape, query.map.shape) for query in self.queries}
        if (
            self.key_means.shape != (len(self.taps), dim)
            or shapes - {((dim,), (dim, dim))}
            or self.probe.keys.shape[1:] != (len(self.taps), dim)
        ):
            msg = f"means, maps and probe of a calibration must fit {len(self.taps)} taps of dimension {dim}"
            raise ArtifactError(msg)

    @classmethod
    def of(cls, artifact: Artifact) -> Calibration:
        """Return what an artifact holds beside its SAEs, to train others on it."""
        return cls(
            name=artifact.name,
            host=artifact.host,
            taps=artifact.taps,
            key_means=np.stack([codec.mean for codec in artifact.codecs]),
            queries=artifact.queries,
            probe=artifact.probe,
            scoring=artifact.scoring,
            provenance=artifact.provenance,
        )

    @property
    def query_heads(self) -> tuple[QueryHead, ...]:
        """The query heads, in the order of ``queries``."""
        return tuple(query.head for query in self.queries)

    def check_host(self, identity: Mapping[str, Any], probe_keys: npt.ArrayLike) -> None:
        """Refuse a host that is not the one this calibration was made for, as an artifact does.

        Raises:
            ArtifactError: Names both hosts and what differs.
        """
        self.probe.check(f"calibration {self.name!r}", self.key_means, self.host, identity, probe_keys)

    def with_saes(
        self, name: str, codecs: tuple[TapCodec, ...], provenance: Mapping[str, Any] | None = None
    ) -> Artifact:
        """Return the artifact of this calibration and an SAE per tap.

        Args:
            name: Of the artifact.
            codecs: One per tap, centred by :attr:`key_means`.
            provenance: Added to the calibration's.
        """
        artifact = Artifact(
            name=name,
            host=self.host,
            codecs=codecs,
            queries=self.queries,
            probe=self.probe,
            scoring=self.scoring,
            provenance={**self.provenance, **(provenance or {})},
        )
        return artifact.as_stored()

    def save(self, folder: str | Path) -> None:
        """Write the calibration; the folder appears complete or not at all, and replaces an older one.

        Raises:
            ArtifactError: The folder holds something that is not a calibration.
        """
        FORM.write(folder, self._header(), self._tensors())

    @classmethod
    def load(cls, folder: str | Path) -> Calibration:
        """Load what :meth:`save` wrote.

        Raises:
            ArtifactError: A file is missing, damaged, or of another version; the message names the file.
        """
        if not FORM.holds(Path(folder)):
            msg = f"{folder} is no calibration (no {FORM.header}); make one with 's3-retriever calibrate'"
            raise ArtifactError(msg)
        return FORM.read(Path(folder), cls._from_parts)

    def _header(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "host": dict(self.host),
            "taps": [asdict(tap) for tap in self.taps],
            "query_heads": querycodec.to_header(self.queries),
            "probe": self.probe.text,
            "scoring": dict(self.scoring),
            "report": dict(self.report),
            "provenance": dict(self.provenance),
        }

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "probe": self.probe.keys,
            "key_means": self.key_means.astype(np.float32),
            **querycodec.to_tensors(self.queries, self.key_means.shape[-1]),
        }

    @classmethod
    def _from_parts(cls, header: dict[str, Any], tensors: Tensors) -> Calibration:
        return cls(
            name=header["name"],
            host=header["host"],
            taps=tuple(Tap(**entry) for entry in header["taps"]),
            key_means=tensors["key_means"],
            queries=querycodec.from_parts(header, tensors),
            probe=Probe(tensors["probe"], header["probe"]),
            scoring=header["scoring"],
            report=header["report"],
            provenance=header["provenance"],
        )
