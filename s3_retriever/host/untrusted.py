"""What a model's folder may hold: weights in safetensors, and nothing that makes this machine run code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.json_form import parse_json

OFFLINE: dict[str, bool] = {"local_files_only": True, "trust_remote_code": False}
"""How ``transformers`` loads anything: from this machine, without code from the folder and without asking."""

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_KERNELS = ("attn_implementation", "experts_implementation")  # where a hub name may stand


def refuse_code(folder: Path) -> None:
    """Refuse a model that cannot be loaded without running what came with it.

    Raises:
        UnsupportedHostError: Its weights are pickled, and may run code when they are read; or its files name
            kernels on the hub, or weights elsewhere. Names the file and the way out.
    """
    safe = any(folder.glob("*.safetensors"))
    pickled = [] if safe else sorted(path for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        _refuse(
            pickled[0],
            "is a pickle, which may run code when it is read; convert the model to safetensors, for example "
            "with save_pretrained where you trust it",
        )
    if (adapter := folder / "adapter_config.json").is_file():
        _refuse(adapter, "names weights elsewhere; merge the adapter into its model and save that")
    index = folder / "model.safetensors.index.json"
    for _, value in _entries(dict(_entries(_read(index))).get("weight_map")):
        if not _is_beside(str(value)):
            _refuse(
                index, f"names {value!r:.100}, which is no safetensors file beside it; save the model again"
            )
    config = folder / "config.json"
    for key, value in _entries(_read(config)):
        if key.endswith(_KERNELS) and "/" in str(value):
            _refuse(config, f"asks for kernels of others by {key} {value!r:.100}; remove that entry")
    modules = folder / "modules.json"
    for key, value in _entries(_read(modules)):
        if key == "type" and not str(value).startswith("sentence_transformers."):
            _refuse(modules, f"names code of its own, {value!r:.100}, which is never run")


def _is_beside(name: str) -> bool:
    return name.endswith(".safetensors") and Path(name).name == name


def _refuse(path: Path, reason: str) -> None:
    msg = f"{path} {reason}"
    raise UnsupportedHostError(msg)


def _read(path: Path) -> Any:
    """Return what a JSON file holds; nothing where it cannot be read, which loading the model will say."""
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of the objects in a value of JSON, with what it has."""
    if isinstance(value, list):
        for one in value:
            yield from _entries(one)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
