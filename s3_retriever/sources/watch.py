"""Waits for files to change, by watchfiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from s3_retriever.checks import check_library, pip_install
from s3_retriever.errors import InvalidInputError

_STEP = 500  # milliseconds without a change after which the first round begins


def rounds(paths: Sequence[str], *, without: Sequence[Path] = ()) -> Iterator[None]:
    """Yield when the watch has begun, and then whenever something below the paths has changed.

    What changes while the caller works gives the next round.

    Args:
        paths: Folders and files that are there.
        without: Folders whose changes do not count.

    Raises:
        MissingDependencyError: watchfiles is not installed.
        InvalidInputError: A path is not there.
    """
    check_library("watched folders", "watchfiles", "watchfiles", pip_install("watch"))
    import watchfiles

    for one in paths:
        if not Path(one).exists():
            msg = f"{one} is not there to be watched; give folders and files"
            raise InvalidInputError(msg)
    folders = [Path(one).resolve() for one in paths]
    hidden = [one.resolve() for one in without]

    def counts(_: object, name: str) -> bool:
        path = Path(name)
        if any(path.is_relative_to(one) for one in hidden):
            return False
        inner = [path.relative_to(one).parts for one in folders if path.is_relative_to(one)]
        return any(not part.startswith(".") for parts in inner for part in parts[-1:]) or path in folders

    begun = False
    for changed in watchfiles.watch(
        *folders, watch_filter=counts, rust_timeout=_STEP, yield_on_timeout=True, raise_interrupt=True
    ):
        if changed or not begun:
            begun = True
            yield
