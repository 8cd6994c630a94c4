"""Whether a host is the one that something was learned for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.errors import ArtifactError
from s3_retriever.features.sae import Floats, center_and_normalize

PROBE_TEXT = (
    "The harbour master's report of 1987 says that 14 ships, among them a ferry from Oslo, lost their "
    "anchors in the storm; repairs cost €2.3 million. See section 4.1: `def repair(ship, *, cost=None)`."
)

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
class Probe:
    """The host's fingerprint: its keys for a fixed text.

    Attributes:
        keys: Raw keys of the taps, float16 (n, T, d).
        text: The text.
    """

    keys: npt.NDArray[np.float16]
    text: str = PROBE_TEXT

    def check(
        self,
        what: str,
        means: Floats,
        made_for: Mapping[str, Any],
        identity: Mapping[str, Any],
        keys: npt.ArrayLike,
    ) -> None:
        """Refuse another host; copies in another precision pass, another model of the same shape does not.

        Args:
            what: What was learned, for the message.
            means: Mean key of each tap, float32 (T, d).
            made_for: Identity of the host it was learned for.
            identity: Identity of the host at hand ...
            keys: ... and its raw keys of the taps for :attr:`text`, (n, T, d).

        Raises:
            ArtifactError: Names both hosts and what differs.
        """
        reason = self._mismatch(means, made_for, identity, np.asarray(keys, dtype=np.float32))
        if reason:
            msg = (
                f"{what} belongs to host {made_for.get('name')!r}, not to {identity.get('name')!r}: "
                f"{reason}; make one for this host"
            )
            raise ArtifactError(msg)

    def _mismatch(
        self, means: Floats, made_for: Mapping[str, Any], identity: Mapping[str, Any], keys: Floats
    ) -> str:
        """Say what differs, or return an empty string."""
        different = different_shape(made_for, identity)
        if different:
            return different
        if keys.shape != self.keys.shape:
            return f"its keys for the probe have shape {keys.shape}, not {self.keys.shape}"
        cosines = center_and_normalize(keys, means) * center_and_normalize(self.keys, means)
        similarity = float(cosines.sum(axis=-1).mean())
        if similarity > _LEAST_SIMILARITY:
            return ""
        return f"its keys for the probe have similarity {similarity:.2f}, not above {_LEAST_SIMILARITY}"


def different_shape(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say in which fact two hosts' identities have different shapes, or return an empty string."""
    for fact in _SHAPE_FACTS:
        if here.get(fact) != there.get(fact):
            return f"{fact} is {there.get(fact)!r} there and {here.get(fact)!r} here"
    return ""
