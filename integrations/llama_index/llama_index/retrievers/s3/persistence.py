"""A retriever on disk: the engine's index in a folder of its own, and the settings in one JSON file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llama_index.core.schema import TransformComponent

from llama_index.retrievers.s3 import transformations
from llama_index.retrievers.s3.settings import SearchSettings
from s3_retriever import IndexFormatError, InvalidInputError
from s3_retriever.integration import (
    FLAG,
    check,
    check_sealed,
    each,
    hash_json,
    instance,
    new_file,
    optional,
    parse_json,
)

ENGINE = "s3_index"
SETTINGS = "s3_retriever.json"

_FORMAT = "llama-index-retrievers-s3"
_VERSION = 2  # version 1 had no hash of the settings; it is read
_SAVED = optional(instance(dict, "an object"))


class Saved(NamedTuple):
    """What the settings file holds.

    Attributes:
        search: How to search.
        transformations: As :func:`transformations.to_json` gives them.
        verbose: The base class's setting.
    """

    search: SearchSettings
    transformations: list[dict[str, Any] | None]
    verbose: bool

    def remade(self, given: Sequence[TransformComponent] | None) -> list[TransformComponent]:
        """Return the transformations: those given, else the saved ones.

        Raises:
            InvalidInputError: None are given and the saved ones cannot be made again.
        """
        if given is not None:
            return list(given)
        made = []
        for position, one in enumerate(self.transformations):
            if one is None:
                msg = f"transformation {position} could not be saved as JSON; give transformations="
                raise InvalidInputError(msg)
            made.append(transformations.from_json(one))
        return made


@contextlib.contextmanager
def written(folder: Path, saved: Saved) -> Iterator[None]:
    """Let the settings file appear when the block ends; its room on the disk is taken before.

    A process killed meanwhile leaves the old one intact.
    """
    settings = {
        "search": saved.search.to_json(),
        "transformations": saved.transformations,
        "verbose": saved.verbose,
    }
    settings = json.loads(json.dumps(settings))
    about = {"format": _FORMAT, "version": _VERSION, "sha256": hash_json(settings)}
    with new_file(folder / SETTINGS) as file:
        json.dump({**about, **settings}, file, indent=2)
        file.flush()
        yield


def read(folder: Path) -> Saved:
    """Read the settings file.

    Raises:
        IndexFormatError: It is missing, damaged or of another version.
    """
    path = folder / SETTINGS
    try:
        content = parse_json(path.read_bytes())
        found = content["format"], content["version"]
        if found not in ((_FORMAT, 1), (_FORMAT, _VERSION)):
            msg = f"it is {found[0]!r:.80} {found[1]!r:.80}, not {_FORMAT} {_VERSION}; index again"
            raise ValueError(msg)
        settings = {name: content[name] for name in ("search", "transformations", "verbose")}
        check_sealed(path, settings, content.get("sha256"), required=content["version"] > 1)
        check("verbose", content["verbose"], FLAG)
        check("transformations", content["transformations"], each(_SAVED, least=0))
        search = SearchSettings.from_json(content["search"])
        return Saved(search, content["transformations"], content["verbose"])
    except FileNotFoundError as error:
        msg = f"{folder} holds no retriever (it has no {SETTINGS!r}); write one with persist()"
        raise IndexFormatError(msg) from error
    except IndexFormatError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        msg = f"{path} cannot be read: {type(error).__name__}: {error}"
        raise IndexFormatError(msg) from error
