"""Models as people have them: mapped to devices, quantised, adapted, compiled, of older versions.

Most changes need no care, since what is read is found and checked on the model as it is. Here is the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host.products import has_amx


def refuse_treated(name: str, model: nn.Module) -> None:
    """Refuse a model of which nothing can be read as it is.

    Args:
        name: The host's, for messages.
        model: As the caller has it.

    Raises:
        UnsupportedHostError: It has no weights, was compiled in place, or an adapter puts something before
            each text.
    """
    for path, module in model.named_modules():
        # torch does not look at hooks that come after it compiled a module.
        if getattr(module, "_compiled_call_impl", None) is not None:
            where = path or type(module).__name__
            msg = (
                f"host {name!r} is compiled in place ({where}), so that nothing can be read of it: pass the "
                "model as it was before compile(), or what torch.compile(model) returns"
            )
            raise UnsupportedHostError(msg)
    missing = next((path for path, weight in model.named_parameters() if weight.is_meta), None)
    if missing is not None and not is_offloaded(model):
        msg = (
            f"host {name!r} has no weights: {missing} is on the meta device; load it with "
            "from_pretrained, or fill its weights before"
        )
        raise UnsupportedHostError(msg)
    for adapter in getattr(model, "peft_config", {}).values():
        if getattr(adapter, "is_prompt_learning", False):
            kind = str(getattr(adapter.peft_type, "value", adapter.peft_type))
            msg = (
                f"host {name!r} has an adapter, {kind}, that puts tokens or keys of its own before each "
                "text, which are not part of it: pass the model without it, or one with LoRA"
            )
            raise UnsupportedHostError(msg)


def input_device(model: Any) -> torch.device:
    """Return the device on which a model takes its tokens."""
    embeddings = model.get_input_embeddings()
    device: torch.device = embeddings.weight.device
    if device.type != "meta":
        return device
    # The weights wait elsewhere, and come to this device when they are needed.
    there = (getattr(hook, "execution_device", None) for hook in _hooks(embeddings))
    return next((torch.device(one) for one in there if one is not None), device)


def without_cache(model: nn.Module) -> dict[str, bool]:
    """Return the arguments by which a model keeps no cache; some know none."""
    parameters = inspect.signature(type(model).forward).parameters
    has_cache = "use_cache" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return {"use_cache": False} if has_cache else {}


def is_offloaded(model: nn.Module) -> bool:
    """Whether some weights wait elsewhere and are put into the modules while these run.

    Then passes cannot run side by side: one would take the weights away that another computes with.
    """
    return any(getattr(hook, "offload", False) for module in model.modules() for hook in _hooks(module))


def mixes_rows(model: nn.Module) -> bool:
    """Whether what a row gives depends on the rows that share its batch.

    LLM.int8 of bitsandbytes computes a column in float16 where any row has an outlier there, and torch's own
    dynamic quantisation takes one scale for all rows. For bfloat16 on a CPU with AMX, oneDNN takes another
    kernel for another number of rows.
    """
    if has_amx() and any(one.dtype == torch.bfloat16 and one.is_cpu for one in model.parameters()):
        return True
    return any(
        getattr(getattr(module, "state", None), "threshold", 0) > 0
        if type(module).__name__ == "Linear8bitLt"
        else type(module).__module__.startswith("torch.ao.nn.quantized.dynamic")
        for module in model.modules()
    )


def projects(module: nn.Module) -> bool:
    """Whether a module, or one within it, has a matrix, and so is more than a norm.

    Quantised ones may keep it among their buffers, as packed integers, or out of sight.
    """
    weights = any(weight.ndim > 1 for weight in module.parameters())
    packed = any(buffer.ndim > 1 and not buffer.is_floating_point() for buffer in module.buffers())
    return weights or packed or any("Linear" in type(one).__name__ for one in module.modules())


def _hooks(module: nn.Module) -> Iterator[Any]:
    """Yield the hooks by which accelerate moves weights and inputs of a module."""
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        yield from getattr(hook, "hooks", (hook,))
