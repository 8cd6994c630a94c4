"""How what was learned for a host lies on disk: a folder with a JSON header and a file of tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from s3_retriever.errors import ArtifactError
from s3_retriever.files import new_folder

Tensors = Mapping[str, npt.NDArray[Any]]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Form:
    """One kind of folder: ``{kind}.json``, which a person wants to read, and ``{kind}.safetensors``.

    Attributes:
        kind: Such as "artifact"; with its article in messages.
        article: "a" or "an".
        version: Of the format.
    """

    kind: str
    article: str
    version: int

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
            ArtifactError: The folder holds something else.
        """
        if folder.exists() and not self.holds(folder):
            msg = f"{folder} exists and is not {self.article} {self.kind} (no {self.header}); "
            raise ArtifactError(msg + "choose another folder")

    def write(self, folder: str | Path, header: Mapping[str, Any], tensors: Tensors) -> None:
        """Write a folder, which appears complete or not at all, and replaces an older one of its kind.

        Raises:
            ArtifactError: The folder holds something else.
        """
        self.check_target(Path(folder))
        with new_folder(Path(folder)) as new:
            new.mkdir()
            data = save_tensors(dict(tensors))
            (new / self.tensors).write_bytes(data)
            entries = {
                "format": self._format,
                "version": self.version,
                **header,
                "tensors_sha256": hashlib.sha256(data).hexdigest(),
            }
            text = json.dumps(entries, indent=1, ensure_ascii=False, allow_nan=False)
            (new / self.header).write_text(text + "\n", encoding="utf-8")

    def read(self, folder: Path, build: Callable[[dict[str, Any], Tensors], _T]) -> _T:
        """Read a folder and build what it holds.

        Args:
            folder: What :meth:`write` wrote.
            build: Takes the header and the tensors.

        Raises:
            ArtifactError: A file is missing, damaged, or of another version; the message names it.
        """
        header_path, tensor_path = folder / self.header, folder / self.tensors
        header = self._read_header(header_path)
        try:
            data = tensor_path.read_bytes()
        except OSError as error:
            msg = f"{tensor_path} cannot be read: {error}"
            raise ArtifactError(msg) from error
        if hashlib.sha256(data).hexdigest() != header.get("tensors_sha256"):
            msg = f"{tensor_path} is truncated or altered: its sha256 is not the one in {self.header}; "
            raise ArtifactError(msg + "copy it again")
        try:
            return build(header, load_tensors(data))
        except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"{header_path} is damaged: {type(error).__name__}: {error}"
            raise ArtifactError(msg) from error

    def _read_header(self, path: Path) -> dict[str, Any]:
        try:
            header = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            msg = f"{path} cannot be read as {self.article} {self.kind}'s JSON: {error}"
            raise ArtifactError(msg) from error
        if not isinstance(header, dict) or header.get("format") != self._format:
            msg = f"{path} does not describe {self.article} {self.kind} of s3_retriever"
            raise ArtifactError(msg)
        if header.get("version") != self.version:
            msg = (
                f"{path} has format version {header.get('version')!r}; this release reads "
                f"{self.version}: make the {self.kind} again, or install the release that wrote it"
            )
            raise ArtifactError(msg)
        return header

    @property
    def _format(self) -> str:
        return f"s3-retriever {self.kind}"


def digest(constants: Any, tensors: Tensors) -> str:
    """Return 16 hexadecimal digits that name constants, JSON-able, and tensors."""
    text = json.dumps(constants, sort_keys=True).encode()
    return hashlib.sha256(text + save_tensors(dict(tensors))).hexdigest()[:16]
