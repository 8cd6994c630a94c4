"""Segments that no manifest needs any longer, removed after a time of grace."""

from __future__ import annotations

import time

from s3_retriever.checks import check, number
from s3_retriever.index.storage import SEGMENTS
from s3_retriever.saved import INDEX
from s3_retriever.store.commit import UNREACHABLE, read_content
from s3_retriever.store.place import Place

GRACE = 24 * 3600.0
"""Seconds for which a segment stays after nobody names it, or before anybody does: who reads an older
manifest, or runs a job that has not committed yet, still needs it."""


def collect_garbage(place: Place, *, grace: float = GRACE) -> list[str]:
    """Remove segments that the manifest does not name; return their names.

    Args:
        place: The index.
        grace: Seconds since the manifest ceased to name one; since it was written, where none ever named it.
            Longer than any job and any search takes.

    Raises:
        InvalidInputError: The time is negative.
        IndexFormatError: The manifest is damaged.
    """
    check("grace", grace, number(0))
    before = place.segments()  # first: what a commit names meanwhile was written before
    content, _ = read_content(place)
    if content is None:
        content = {"segments": ()}
    named = {entry["name"] for entry in content["segments"]}
    since = content.get(UNREACHABLE, {})
    now = time.time()
    gone = []
    for name, written in sorted(before.items()):
        if name not in named and now - since.get(name, written) > grace:
            place.remove(f"{INDEX}/{SEGMENTS}/{name}")
            gone.append(name)
    return gone
