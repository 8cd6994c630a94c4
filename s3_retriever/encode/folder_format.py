"""The folder that an artifact or a calibration is stored in: a JSON header and a file of tensors.

The header has the SHA-256 of the tensors and, last, that of all its other fields. Version 1 lacked the
latter: what it says is taken as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save

from s3_retriever.disk import (
    hash_json,
    hash_values,
    new_folder,
    read_whole,
    refuse_foreign,
    write_file,
    write_json,
)
from s3_retriever.errors import ArtifactFormatError
from s3_retriever.json_form import parse_json

Tensors = Mapping[str, npt.NDArray[Any]]
_T = TypeVar("_T")

_OF_WRONG_VALUES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def pack_tensors(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the safetensors file of some arrays, in whatever order they lie in memory.

    safetensors 0.8.0 writes the memory of an array that is not in C order as if it were
    (https://github.com/safetensors/safetensors/issues/825).
    """
    ordered = {name: np.asarray(values, order="C") for name, values in tensors.items()}
    packed: bytes = save(ordered, None if metadata is None else dict(metadata))
    return packed


@dataclass(frozen=True)
class FolderFormat:
    """One kind of folder. It holds ``{kind}.json`` for people and ``{kind}.safetensors``.

    Attributes:
        kind: Such as "artifact".
        version: Of the format that is written; all from 1 on are read.
    """

    kind: str
    version: int

    @property
    def what(self) -> str:
        """The kind with its article, for messages."""
        return f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"

    @property
    def header(self) -> str:
        """Name of the JSON file."""
        return f"{self.kind}.json"

    @property
    def tensors(self) -> str:
        """Name of the file of tensors."""
        return f"{self.kind}.safetensors"

    def holds(self, folder: Path) -> bool:
        """Whether a folder is one of this kind."""
        return (folder / self.header).is_file()

    def check_target(self, folder: Path) -> None:
        """Refuse a folder that :meth:`write` would not replace.

        Raises:
            InvalidInputError: The folder holds something else, or is a file.
        """
        ours = (self.header, self.tensors)  # the second alone, where the first was lost
        refuse_foreign(folder, self.what, ours.__contains__, marker=self.header)

    def write(self, folder: str | Path, header: Mapping[str, Any], tensors: Tensors) -> None:
        """Write a folder. It appears complete or not at all, and replaces an older one of its kind.

        Raises:
            InvalidInputError: The folder holds something else, or is a file.
            DiskFullError: There is no room.
        """
        self.check_target(Path(folder))
        with new_folder(Path(folder), follow=True) as new:
            data = pack_tensors(tensors)
            write_file(new / self.tensors, data, fresh=True)
            described = {"format": self._format, "version": self.version, **header}
            described["tensors_sha256"] = hash_values(data)
            described = json.loads(json.dumps(described))  # as it will be read: keys are texts
            write_json(new / self.header, {**described, "sha256": hash_json(described)}, fresh=True)

    def read(self, folder: Path, build: Callable[[dict[str, Any], Tensors], _T]) -> _T:
        """Read a folder and build what it holds.

        Args:
            folder: What :meth:`write` wrote.
            build: Takes the header and the tensors.

        Raises:
            ArtifactFormatError: A file is missing, damaged, or of another version; the message names it.
        """
        return read_whole(folder, lambda: self._read(folder, build))

    def _read(self, folder: Path, build: Callable[[dict[str, Any], Tensors], _T]) -> _T:
        header_path, tensor_path = folder / self.header, folder / self.tensors
        header = self._read_header(header_path)
        try:
            data = tensor_path.read_bytes()
        except OSError as error:
            msg = f"{tensor_path} cannot be read: {error}"
            raise ArtifactFormatError(msg) from error
        if hash_values(data) != header.get("tensors_sha256"):
            msg = f"{tensor_path} is truncated or altered: its sha256 is not the one in {self.header}; "
            raise ArtifactFormatError(msg + "copy it again")
        try:
            tensors = load_tensors(data)
            for name, values in tensors.items():
                if values.dtype.kind == "f" and not np.isfinite(values).all():
                    msg = f"{tensor_path} has a number in {name!r} that is not finite; copy it again"
                    raise ArtifactFormatError(msg)
            return build(header, tensors)
        except ArtifactFormatError:
            raise
        except (
            SafetensorError,
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            msg = f"{header_path} is damaged: {type(error).__name__}: {error}"
            raise ArtifactFormatError(msg) from error

    def _read_header(self, path: Path) -> dict[str, Any]:
        try:
            header = parse_json(path.read_bytes())
        except (OSError, ValueError) as error:
            msg = f"{path} cannot be read as the JSON of {self.what}: {error}"
            raise ArtifactFormatError(msg) from error
        if not isinstance(header, dict) or header.get("format") != self._format:
            msg = f"{path} does not describe {self.what} of s3_retriever"
            raise ArtifactFormatError(msg)
        if header.get("version") not in range(1, self.version + 1):
            msg = (
                f"{path} has format version {header.get('version')!r}; this release reads "
                f"up to {self.version}: make the {self.kind} again, or install the release that wrote it"
            )
            raise ArtifactFormatError(msg)
        found = header.get("sha256")
        rest = {name: value for name, value in header.items() if name != "sha256"}
        if found != hash_json(rest) and (found is not None or header["version"] > 1):
            msg = f"{path} was altered (its SHA-256 differs); copy it again, or make the {self.kind} again"
            raise ArtifactFormatError(msg)
        return header

    @property
    def _format(self) -> str:
        return f"s3-retriever {self.kind}"
