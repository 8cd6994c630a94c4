"""Merges of an index's segments as tasks of Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from s3_retriever.cluster.causes import cause_of
from s3_retriever.store import place_of
from s3_retriever.store.commit import Written, read_content
from s3_retriever.store.merging import Entry, plan_merges, swap_in, write_merged

_MERGING = 0.1  # CPUs that Ray counts; a merge reads and writes, and must not wait for actors


def merge_segments(path: str, most: int) -> int:
    """Merge segments of an index on the cluster; return how many merged ones it names now.

    Args:
        path: A folder that all machines see, or a URL.
        most: Bytes that a merged segment has at most.

    Raises:
        IndexFormatError: A segment is damaged.
        IndexChangedError: Others changed the index, again and again.
    """
    place = place_of(path)
    content, _ = read_content(place)
    runs = plan_merges(content["segments"], most) if content is not None else []
    if content is None or not runs:
        return 0
    task = ray.remote(num_cpus=_MERGING, max_retries=3)(_merged)
    head = {"layout": content["layout"]}
    try:
        written = ray.get([task.remote(place.name, head, run) for run in runs])
    except ray.exceptions.RayError as error:
        raise cause_of(error) or error from error
    return swap_in(place, list(zip(runs, written, strict=True)))


def _merged(path: str, content: Mapping[str, Any], run: Sequence[Entry]) -> Written:
    return write_merged(place_of(path), content, run)
