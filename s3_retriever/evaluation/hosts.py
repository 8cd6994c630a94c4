"""Hosts that stand in for another one while something is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from s3_retriever.host.model import Host, Projection
from s3_retriever.host.taps import QueryHead


class BorrowedHost(Host):
    """A host over the model and tokenizer of another one."""

    def __init__(self, host: Host) -> None:
        super().__init__(model=host.model, tokenizer=host.tokenizer, name=host.name, revision=host.revision)


class AskedOnceHost(BorrowedHost):
    """Passes each question through the model once: the modes compared need the same queries."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._known: dict[bytes, Projection] = {}

    def project(
        self, batch: Sequence[npt.NDArray[np.int32]], *, heads: Sequence[QueryHead] = (), **others: Any
    ) -> list[Projection]:
        """Read projections; queries are remembered where the same tokens were asked before."""
        if others:
            return super().project(batch, heads=heads, **others)
        keys = [ids.tobytes() + repr(heads).encode() for ids in batch]
        new = {key: ids for key, ids in zip(keys, batch, strict=True) if key not in self._known}
        self._known.update(zip(new, super().project([*new.values()], heads=heads), strict=True))
        return [self._known[key] for key in keys]
