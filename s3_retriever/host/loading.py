"""From a host's files to its model and tokenizer in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from s3_retriever.errors import HostNotFoundError, UnsupportedHostError
from s3_retriever.host.families import FAMILIES, check_decoder
from s3_retriever.host.lean import Lean, read_lean
from s3_retriever.host.untrusted import OFFLINE, refuse_code
from s3_retriever.host.weights import HostFiles, quiet_transformers


def load_lean(files: HostFiles) -> Lean | None:
    """Load a host without ``transformers``; None where it takes that, or a family was declared.

    Raises:
        UnsupportedHostError: Something in the folder would run code.
    """
    refuse_code(files.folder)
    return None if FAMILIES else read_lean(files.folder, cpu_dtype())


def load_model(files: HostFiles) -> tuple[Any, Any]:
    """Load a host's model and tokenizer; no code that came with them is run.

    Raises:
        HostNotFoundError: They cannot be read.
        UnsupportedHostError: They cannot serve as a host, or not without code or pickles of their own.
    """
    from transformers import AutoConfig, AutoModelForCausalLM  # slow

    refuse_code(files.folder)
    try:
        config = AutoConfig.from_pretrained(files.folder, **OFFLINE)
        check_decoder(config)  # refuses before the weights are read
        _check_quantisation(files, config)
        _check_rotation(files, config)
        tokenizer = _load_tokenizer(files.folder)
        with quiet_transformers():
            model, report = AutoModelForCausalLM.from_pretrained(
                files.folder, **OFFLINE, use_safetensors=True, dtype=cpu_dtype(), output_loading_info=True
            )
    except UnsupportedHostError:
        raise
    except Exception as error:  # what is raised depends on the family, the quantisation and the version
        if "trust_remote_code" in str(error):
            msg = (
                f"host {files.name!r} in {files.folder} needs code of its own, which is never run; take a "
                "model of a family that transformers has, or load it yourself and give (model, tokenizer)"
            )
            raise UnsupportedHostError(msg) from error
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        msg = f"cannot load host {files.name!r} from {files.folder}: {reason}"
        raise HostNotFoundError(msg) from error
    _check_complete(files, model, report["missing_keys"])
    return model, tokenizer


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        return AutoTokenizer.from_pretrained(folder, **OFFLINE)
    except ValueError as error:
        # What version 5 of transformers calls the fast tokenizers that older ones have by another name.
        if "TokenizersBackend" not in str(error):
            raise
        return PreTrainedTokenizerFast.from_pretrained(folder, **OFFLINE)


def _check_quantisation(files: HostFiles, config: Any) -> None:
    """Refuse weights quantised in a way unknown to ``transformers``, which takes them as they are."""
    settings = getattr(config, "quantization_config", None)
    if not settings:
        return
    from transformers.quantizers.auto import AutoHfQuantizer  # slow

    if not AutoHfQuantizer.supports_quant_method(settings):
        msg = (
            f"host {files.name!r} in {files.folder} is quantised by {settings.get('quant_method')!r:.100}, "
            "which this version of transformers does not know; update it, or take other weights"
        )
        raise UnsupportedHostError(msg)


def _check_rotation(files: HostFiles, config: Any) -> None:
    """Refuse a host saved by version 5 of ``transformers`` whose rotations version 4 would not understand.

    It reads settings by their older names only, and takes its defaults without a word.
    """
    import transformers

    saved = getattr(config, "rope_parameters", None)
    if not transformers.__version__.startswith("4.") or not isinstance(saved, dict):
        return
    base = getattr(config, "rope_theta", None)
    is_plain = saved.get("rope_type", "default") == "default" or getattr(config, "rope_scaling", None)
    if saved.get("rope_theta", base) != base or not is_plain:
        msg = (
            f"host {files.name!r} in {files.folder} was saved by transformers 5, and "
            f"{transformers.__version__} would rotate by {base!r} instead of {saved!r:.200}; update "
            "transformers, or remove the folder if it is the default host's, which is then made again"
        )
        raise UnsupportedHostError(msg)


def _check_complete(files: HostFiles, model: Any, missing: Iterable[str]) -> None:
    """Refuse weights of which some are missing: ``transformers`` makes up random ones and only warns.

    Those of the language-model head may be: what is read comes before it.
    """
    head = model.get_output_embeddings()
    heads = {name for name, module in model.named_modules() if module is head}
    lost = sorted(name for name in missing if name.rpartition(".")[0] not in heads)
    if lost:
        msg = (
            f"the weights of host {files.name!r} in {files.folder} lack {len(lost)} of its model's, such as "
            f"{lost[0]!r}; get the folder again, or the one that its config.json belongs to"
        )
        raise UnsupportedHostError(msg)


def cpu_dtype() -> torch.dtype:
    """Return bfloat16 where this CPU computes in it (AVX512-BF16 or AMX), else float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    # Older torch lacks them: bool() is False.
    native = any(getattr(torch.cpu, check, bool)() for check in checks)
    return torch.bfloat16 if native else torch.float32
