"""Fingerprints: tell whether a host is the one that something was learned for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import check_settings
from s3_retriever.encode.sae import Floats, center_and_normalize
from s3_retriever.errors import ArtifactError
from s3_retriever.host.taps import Tap

if TYPE_CHECKING:
    from s3_retriever.host.model import Host

PROBE_TEXT = (
    "The harbour master's report of 1987 says that 14 ships, among them a ferry from Oslo, lost their "
    "anchors in the storm; repairs cost €2.3 million. See section 4.1: `def repair(ship, *, cost=None)`."
)

# What must agree before the text is worth a pass; the host's name and revision may differ.
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
class Fingerprint:
    """A host's keys for a fixed text.

    Attributes:
        keys: Raw keys of the taps, float16 (n, T, d).
        text: The text.

    Raises:
        InvalidInputError: The text is no ``str``.
    """

    keys: npt.NDArray[np.float16]
    text: str = PROBE_TEXT

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def read(cls, host: Host, taps: Sequence[Tap], text: str = PROBE_TEXT) -> Fingerprint:
        """Take the fingerprint of a host.

        Raises:
            InvalidInputError: A tap is not in the host.
        """
        return cls(host.keys([host.encode(text).ids], taps)[0].astype(np.float16), text)

    def check(self, what: str, made_for: Mapping[str, Any], means: Mapping[Tap, Floats], host: Host) -> None:
        """Refuse another host. A copy in another precision passes; another model of the same shape does not.

        Args:
            what: What was learned, for the message.
            made_for: Identity of the host that it was learned for.
            means: Mean key of each tap, float32 (d,).
            host: The host at hand.

        Raises:
            ArtifactError: Names both hosts and what differs.
        """
        reason = different_shape(made_for, host.identity) or self._different_keys(means, host)
        if reason:
            msg = (
                f"{what} belongs to host {made_for.get('name')!r}, not to {host.name!r}: "
                f"{reason}; make one for this host"
            )
            raise ArtifactError(msg)

    def _different_keys(self, means: Mapping[Tap, Floats], host: Host) -> str:
        """Say how the host's keys for the text differ, or return an empty string."""
        keys, centres = Fingerprint.read(host, tuple(means), self.text).keys, np.stack(list(means.values()))
        if keys.shape != self.keys.shape:
            return f"its keys for the fixed text have shape {keys.shape}, not {self.keys.shape}"
        cosines = center_and_normalize(keys, centres) * center_and_normalize(self.keys, centres)
        similarity = float(cosines.sum(axis=-1).mean())
        if similarity > _LEAST_SIMILARITY:
            return ""
        return f"its keys for the fixed text have similarity {similarity:.2f}, not above {_LEAST_SIMILARITY}"


def different_shape(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Say in which fact the shapes of two hosts differ, given their identities, or return an empty string."""
    for fact in _SHAPE_FACTS:
        if here.get(fact) != there.get(fact):
            return f"{fact} is {there.get(fact)!r} there and {here.get(fact)!r} here"
    return ""
