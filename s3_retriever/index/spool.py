"""Arrays that wait in temporary files until they are complete."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from s3_retriever.durable import writing

_IN_MEMORY = 1 << 20  # bytes of an array that need no temporary file


class Spool:
    """An array that spills to a temporary file once it is large.

    Args:
        dtype: Of the array.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed by take()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, values: npt.NDArray[Any]) -> None:
        """Append values (n,).

        Raises:
            DiskFullError: There is no room; names the folder for temporary files, which ``TMPDIR`` sets.
        """
        with writing(Path(tempfile.gettempdir()), values.size * self._dtype.itemsize):
            self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._length += len(values)

    def take(self) -> npt.NDArray[Any]:
        """Return all values, read-only; no more can be appended."""
        with self._file as file:
            with writing(Path(tempfile.gettempdir())):
                file.seek(0)  # which writes what is buffered
            return np.frombuffer(file.read(), self._dtype)
