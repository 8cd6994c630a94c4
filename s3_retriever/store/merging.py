"""Segments merged while others read and change the index: written beside it, then swapped in."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from s3_retriever.errors import IndexChangedError
from s3_retriever.index.builder import merge
from s3_retriever.store.commit import UNREACHABLE, Written, read_content
from s3_retriever.store.opening import segment_folder
from s3_retriever.store.parts import Piece, layout_in, open_pieces
from s3_retriever.store.place import Place, changed

Entry = Mapping[str, Any]

_ATTEMPTS = 5  # commits of others that ours follows at most


def plan_merges(segments: Sequence[Entry], most: int) -> list[list[Entry]]:
    """Return runs of segments to merge, so that each one left is at least twice as large as the one after it.

    That is the rule of :mod:`s3_retriever.index.tiers`, for many segments at once and up to a size.

    Args:
        segments: What the manifest says of each.
        most: Bytes that a merged segment has at most.

    Examples:
        >>> sizes = [8, 1, 1, 1]
        >>> found = plan_merges([{"files": {"f": {"bytes": size}}} for size in sizes], 100)
        >>> [[entry["files"]["f"]["bytes"] for entry in run] for run in found]
        [[1, 1]]
    """
    runs: list[list[Entry]] = []
    sizes: list[int] = []
    for entry in segments:
        run, size = [entry], sum(int(file["bytes"]) for file in entry["files"].values())
        while sizes and sizes[-1] < 2 * size and sizes[-1] + size <= most:
            run, size = [*runs.pop(), *run], sizes.pop() + size
        runs.append(run)
        sizes.append(size)
    return [run for run in runs if len(run) > 1]


def write_merged(place: Place, content: Mapping[str, Any], run: Sequence[Entry]) -> Written:
    """Write one segment with the live documents of several beside the index.

    Raises:
        IndexFormatError: A segment is damaged or not there.
    """
    names = frozenset(str(entry["name"]) for entry in run)
    layout = layout_in(content)
    pieces = [Piece(entry, 0, 1 << 62) for entry in run]
    snapshot = open_pieces(lambda entry: segment_folder(place, entry, names), layout, pieces)
    merged = merge(layout, [(part.segment, part.alive) for part in snapshot.parts])
    return Written(merged.name, place.put_segment(merged), merged.ids)


def swap_in(place: Place, merged: Sequence[tuple[Sequence[Entry], Written]]) -> int:
    """Let the manifest name merged segments in place of others; return how many were swapped in.

    A run of which a document was deleted meanwhile, or a segment removed, stays as it is.

    Args:
        place: The index.
        merged: Runs, and the segments that take their places.

    Raises:
        IndexChangedError: Others were faster each time.
    """
    for _ in range(_ATTEMPTS):
        content, token = read_content(place)
        if content is None:
            return 0
        entries, swapped = list(content["segments"]), 0
        for run, one in merged:
            at = next((i for i in range(len(entries)) if entries[i : i + len(run)] == list(run)), None)
            if at is not None:
                new = [{"name": one.name, "files": dict(one.files), "deleted": []}] if one.ids else []
                entries[at : at + len(run)] = new
                swapped += 1
        if not swapped:
            return 0
        named, now = {entry["name"] for entry in entries}, time.time()
        gone = {entry["name"]: now for entry in content["segments"] if entry["name"] not in named}
        unreachable = {**content.get(UNREACHABLE, {}), **gone}
        kept = {name: since for name, since in unreachable.items() if name not in named}
        try:
            place.swap({**content, "segments": entries, UNREACHABLE: kept}, token)
        except IndexChangedError:
            continue
        return swapped
    raise changed(place.name)
