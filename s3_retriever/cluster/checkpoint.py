"""Ray Data's checkpoint of a job: what a killed run left of it, and its end."""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector


def drop_torn(checkpoint: Any) -> None:
    """Delete the files that a killed run was writing; their rows are scanned again.

    Ray 2.60 writes them in place, and no run begins while one of them cannot be read
    (``findings/ray-checkpoint-torn-file.sh``).

    Args:
        checkpoint: A ``ray.data.checkpoint.CheckpointConfig``.
    """
    files = checkpoint.filesystem
    deep = checkpoint.checkpoint_path_partition_filter is not None  # as Ray reads them
    for one in files.get_file_info(FileSelector(_path_in(checkpoint), allow_not_found=True, recursive=deep)):
        if one.is_file and one.extension == "parquet":
            try:
                pq.read_metadata(one.path, filesystem=files)  # written last
            except pa.ArrowInvalid:
                files.delete_file(one.path)


def delete(checkpoint: Any) -> None:
    """Delete a checkpoint, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        checkpoint.filesystem.delete_dir(_path_in(checkpoint))


def _path_in(checkpoint: Any) -> str:
    """Return the path of a checkpoint as its filesystem knows it."""
    return str(checkpoint.checkpoint_path).partition("://")[2] or str(checkpoint.checkpoint_path)
