"""Hosts that stand in for another one while something is measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from s3_retriever.host.model import Host
from s3_retriever.host.taps import QueryHead


class BorrowedHost(Host):
    """A host over the model and tokenizer of another one."""

    def __init__(self, host: Host) -> None:
        vars(self).update(vars(host))


class AskedOnceHost(BorrowedHost):
    """Passes each question once: recall is measured in many modes, which need the same queries."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._known: dict[bytes, npt.NDArray[np.float32]] = {}

    def queries(self, ids: npt.NDArray[np.int32], heads: Sequence[QueryHead]) -> npt.NDArray[np.float32]:
        """Return the queries of the heads, remembered where the same tokens were asked before."""
        key = ids.tobytes() + repr(heads).encode()
        if key not in self._known:
            self._known[key] = super().queries(ids, heads)
        return self._known[key]
