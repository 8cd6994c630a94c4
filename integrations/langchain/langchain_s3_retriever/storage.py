"""A retriever on disk: the core's index in one folder, the adapter's settings in a file beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from langchain_s3_retriever.filters import from_json, to_json
from s3_retriever import IndexFormatError, InvalidInputError, SpanConfig
from s3_retriever import S3Retriever as CoreRetriever
from s3_retriever.integration import (
    check_sealed,
    hash_json,
    new_file,
    only_writer,
    parse_json,
    refuse_links,
)

VERSION = 2
"""Of the settings file. Version 1 had no hash of them; it is read."""

_CORE, _SETTINGS = "core", "langchain.json"


def save(folder: Path, core: CoreRetriever, settings: Mapping[str, Any]) -> None:
    """Write a core retriever and the settings of its adapter; see :meth:`SpanRetriever.save_local`.

    Raises:
        InvalidInputError: The folder is a file or holds something else, or a setting is not of JSON.
        IndexBusyError: Somebody else is saving to the folder.
    """
    where, spans = settings["filter"], settings["spans"]
    try:
        stored = json.loads(
            json.dumps(
                {
                    **settings,
                    "filter": None if where is None else to_json(where),
                    "spans": None if spans is None else asdict(spans),
                }
            )
        )
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"the retriever's tags, metadata and filter must be of JSON's types to be saved ({error})"
        raise InvalidInputError(msg) from error
    sealed = {"version": VERSION, "sha256": hash_json(stored), "settings": stored}
    with only_writer(folder):  # or two would leave the index of one and the settings of the other
        refuse_links(folder / _CORE)
        with new_file(folder / _SETTINGS) as file:  # appears last; its room is taken first
            json.dump(sealed, file, indent=2)
            file.flush()
            core.save(folder / _CORE)


def load_settings(folder: Path) -> dict[str, Any]:
    """Read the settings that :func:`save` wrote.

    Raises:
        IndexFormatError: They are missing, damaged or of another version.
    """
    path = folder / _SETTINGS
    try:
        stored = parse_json(path.read_bytes())
        version, settings = stored["version"], dict(stored["settings"])
        if version in (1, VERSION):
            check_sealed(path, stored["settings"], stored.get("sha256"), required=version > 1)
            where, spans = settings["filter"], settings.get("spans")
            settings["filter"] = None if where is None else from_json(where)
            settings["spans"] = None if spans is None else SpanConfig(**spans)
    except FileNotFoundError as error:
        msg = f"{folder} holds no LangChain retriever (it has no {_SETTINGS}); write one with save_local()"
        raise IndexFormatError(msg) from error
    except IndexFormatError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path} is damaged ({type(error).__name__}: {error}); save the retriever again"
        raise IndexFormatError(msg) from error
    if version not in (1, VERSION):
        reads = f"this package reads up to {VERSION}"
        msg = f"{path} is of version {version!r}, {reads}; save it again with this one"
        raise IndexFormatError(msg)
    return settings


def damaged(folder: Path, error: Exception) -> IndexFormatError:
    """Return the error for settings of a wrong type or value."""
    reason = str(error).strip().replace("\n", "; ")
    return IndexFormatError(f"{folder / _SETTINGS} holds settings that cannot be used: {reason}")


def load_core(folder: Path, host: Any) -> CoreRetriever:
    """Open the core retriever that :func:`save` wrote; errors are those of ``s3_retriever``."""
    return CoreRetriever.load(folder / _CORE, host=host)
