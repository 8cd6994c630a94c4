"""What was learned of a query head, and its form on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from s3_retriever.features.sae import Floats
from s3_retriever.features.stored import Tensors
from s3_retriever.host.taps import QueryHead, Tap


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


def to_header(queries: Sequence[QueryCodec]) -> list[dict[str, Any]]:
    """Return the places of query heads, JSON-able."""
    return [{**asdict(query.head), "tap": asdict(query.tap)} for query in queries]


def to_tensors(queries: Sequence[QueryCodec], dim: int) -> dict[str, Any]:
    """Return means, float32 (H, d), and maps, float16 (H, d, d)."""
    return {
        "query_means": np.array([query.mean for query in queries], np.float32).reshape(-1, dim),
        "query_maps": np.array([query.map for query in queries], np.float16).reshape(-1, dim, dim),
    }


def from_parts(header: Mapping[str, Any], tensors: Tensors) -> tuple[QueryCodec, ...]:
    """Read what :func:`to_header`, under "query_heads", and :func:`to_tensors` gave."""
    parts = zip(header["query_heads"], tensors["query_means"], tensors["query_maps"], strict=True)
    return tuple(
        QueryCodec(
            QueryHead(entry["layer"], entry["head"]), Tap(**entry["tap"]), mean, map_.astype(np.float32)
        )
        for entry, mean, map_ in parts
    )
