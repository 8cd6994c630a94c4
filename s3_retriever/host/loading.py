"""From a host's files to its model and tokenizer in memory."""

from __future__ import annotations

import importlib
from concurrent.futures import Future, wait
from typing import Any

import torch

from s3_retriever.errors import HostNotFoundError, UnsupportedHostError
from s3_retriever.host.families import check_decoder
from s3_retriever.host.untrusted import OFFLINE, refuse_code
from s3_retriever.host.weights import HostFiles, quiet_transformers

_SOON = 0.1  # seconds; what is done by then, or has failed, need not wait for an import


def import_meanwhile(doing: Future[Any]) -> None:
    """Import ``transformers``, which takes seconds, while another thread does something that takes long.

    In the calling thread: while it is imported, no other thread can import from it.
    """
    if wait([doing], timeout=_SOON).not_done:
        importlib.import_module("transformers.models.auto")


def load_model(files: HostFiles) -> tuple[Any, Any]:
    """Load a host's model and tokenizer; no code that came with them is run.

    Raises:
        HostNotFoundError: They cannot be read.
        UnsupportedHostError: They cannot serve as a host, or not without code or pickles of their own.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # slow

    refuse_code(files.folder)
    try:
        config = AutoConfig.from_pretrained(files.folder, **OFFLINE)
        check_decoder(config)  # refuses before the weights are read
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **OFFLINE)
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(
                files.folder, **OFFLINE, use_safetensors=True, dtype=cpu_dtype()
            )
    except UnsupportedHostError:
        raise
    except (OSError, ValueError, ImportError) as error:
        if "trust_remote_code" in str(error):
            msg = (
                f"host {files.name!r} in {files.folder} needs code of its own, which is never run; take a "
                "model of a family that transformers has, or load it yourself and give (model, tokenizer)"
            )
            raise UnsupportedHostError(msg) from error
        reason = str(error).strip().partition("\n")[0]
        msg = f"cannot load host {files.name!r} from {files.folder}: {reason}"
        raise HostNotFoundError(msg) from error
    return model, tokenizer


def cpu_dtype() -> torch.dtype:
    """Return bfloat16 where this CPU computes in it (AVX512-BF16 or AMX), else float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    # Older torch lacks them: bool() is False.
    native = any(getattr(torch.cpu, check, bool)() for check in checks)
    return torch.bfloat16 if native else torch.float32
