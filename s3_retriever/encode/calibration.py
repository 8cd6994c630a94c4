"""A calibration: which heads of a host to read and how they ask, without the SAEs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from s3_retriever.encode.artifact import Artifact, KeyCodec, LearnedForHost
from s3_retriever.encode.folder_format import FolderFormat, Tensors
from s3_retriever.encode.sae import Floats
from s3_retriever.errors import ArtifactError
from s3_retriever.host.taps import Tap

"""How a calibration lies on disk."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibration(LearnedForHost):
    """What was learned on dense keys; SAEs for its taps make it an artifact (:meth:`with_saes`).

    Attributes:
        key_means: Mean key of each tap, float32 (d,).
        report: What was measured, JSON-able.
    """

    folder_format: ClassVar[FolderFormat] = FolderFormat("calibration", 2)

    key_means: Mapping[Tap, Floats]
    report: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, artifact: Artifact) -> Calibration:
        """Return what an artifact holds beside its SAEs, to train others on it."""
        return cls(key_means=artifact.key_means, **artifact.common_fields())

    def with_saes(
        self, name: str, codecs: tuple[KeyCodec, ...], provenance: Mapping[str, Any] | None = None
    ) -> Artifact:
        """Return the artifact of this calibration and an SAE per tap.

        Args:
            name: Of the artifact.
            codecs: One per tap, centred by :attr:`key_means`.
            provenance: Added to the calibration's.
        """
        merged = {**self.provenance, **(provenance or {})}
        own = {**self.common_fields(), "name": name, "provenance": merged}
        return Artifact(codecs=codecs, **own).quantized()

    @classmethod
    def load(cls, folder: str | Path) -> Calibration:
        """Load what :meth:`save` wrote.

        Raises:
            ArtifactError: The folder holds no calibration.
            ArtifactFormatError: A file is missing, damaged, or of another version; the message names it.
        """
        header = cls.folder_format.header
        if not cls.folder_format.holds(Path(folder)):
            msg = f"{folder} is no calibration (no {header}); make one with 's3-retriever calibrate'"
            raise ArtifactError(msg)
        return cls.folder_format.read(Path(folder), cls._from_parts)

    def _header(self) -> dict[str, Any]:
        return self.common_header([asdict(tap) for tap in self.taps], report=dict(self.report))

    def _tensors(self) -> dict[str, npt.NDArray[Any]]:
        means = np.stack(list(self.key_means.values())).astype(np.float32)
        return {**super()._tensors(), "key_means": means}

    @classmethod
    def _from_parts(cls, header: dict[str, Any], tensors: Tensors) -> Calibration:
        taps = [Tap(**entry) for entry in header["taps"]]
        return cls(
            key_means=dict(zip(taps, tensors["key_means"], strict=True)),
            report=header["report"],
            **cls._read_common(header, tensors),
        )
