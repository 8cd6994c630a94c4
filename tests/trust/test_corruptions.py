"""Corruptions of index, artifact and settings: each is a documented error, or the same spans as before."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from campaign import QUESTION, Maker, document, files, size

from s3_retriever import Host, StorageError

CORRUPTIONS = size("CORRUPTIONS", 120)
VALUES = (None, -1, 0, 1, 3, 0.5, 1e308, 10**30, True, "", "x", "\ud800", [], {}, [[]], {"a": None})


def flip(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def put(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def append(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randint(1, 50))


def blank(data: bytes, rng: random.Random) -> bytes:
    """Zeros, as a block that was never written."""
    at, length = rng.randrange(len(data)), rng.choice((4, 64, 512))
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def move(data: bytes, rng: random.Random) -> bytes:
    at, end = sorted(rng.choices(range(len(data) + 1), k=2))
    return data[:at] + data[end:] + data[at:end]


def digit(data: bytes, rng: random.Random) -> bytes:
    digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
    if not digits:
        return flip(data, rng)
    at = rng.choice(digits)
    return data[:at] + str(rng.randrange(10)).encode() + data[at + 1 :]


def value(data: bytes, rng: random.Random) -> bytes:
    """Another value at one place of a JSON file, wherever that is."""
    try:
        content = json.loads(data)
    except ValueError:
        return flip(data, rng)
    at: Any = content
    while True:
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        if not keys:
            return flip(data, rng)
        key = rng.choice(list(keys))
        if not isinstance(at[key], (dict, list)) or not at[key] or rng.random() < 0.2:
            break
        at = at[key]
    at[key] = rng.choice(VALUES)
    return json.dumps(content).encode()


CORRUPT = (flip, put, cut, append, blank, move, digit, value)


@pytest.mark.long
def test_what_is_corrupted_is_refused_or_serves_as_before(
    make: Maker, tiny_host: Host, quick: Path, counted: Callable[[str], None]
) -> None:
    llama = pytest.importorskip("llama_index.retrievers.s3").S3Retriever
    langchain = pytest.importorskip("langchain_s3_retriever").S3Retriever
    rng = random.Random(2)  # noqa: S311
    core = make([document(f"d{n}", n) for n in range(4)])
    core.add([document("d5", 7)])
    core.delete(["d1"])
    core.save(quick / "core")
    llama(core, token_budget=40).persist(quick / "llama")
    langchain(core=core, token_budget=40).save_local(quick / "langchain")

    def search(folder: str) -> object:
        path = quick / folder
        if folder == "core":
            return make.load(path).retrieve(QUESTION, 40)
        loaded = {
            "llama": partial(llama.from_persist_dir, path, host=tiny_host),
            "langchain": partial(langchain.load_local, path, host=tiny_host),
        }[folder]()
        return loaded.retrieve(QUESTION) if folder == "llama" else loaded.invoke(QUESTION)

    expected = {folder: search(folder) for folder in ("core", "llama", "langchain")}
    targets = [("core", file) for file in files(quick / "core")]
    targets += [("core", file) for file in files(quick / "core") if file.suffix == ".json"] * 3
    targets += [("llama", quick / "llama" / "s3_retriever.json")] * 6
    targets += [("langchain", quick / "langchain" / "langchain.json")] * 6
    met = Counter[str]()
    for number in range(CORRUPTIONS):
        folder, file = rng.choice(targets)
        original = file.read_bytes()
        corrupt = rng.choice(CORRUPT)
        changed = b"" if not original else corrupt(original, rng)
        file.unlink()
        if rng.random() > 0.03:
            file.write_bytes(changed)
        try:
            same = search(folder) == expected[folder]
            met["the same spans"] += 1
        except StorageError as error:
            same = bool(str(error))
            met[type(error).__name__] += 1
        except Exception as error:
            msg = f"corruption {number}, {corrupt.__name__} of {file.relative_to(quick)}: {error!r}"
            raise AssertionError(msg) from error
        assert same, f"corruption {number}, {corrupt.__name__} of {file.relative_to(quick)}: other spans"
        file.write_bytes(original)
    counted(f"{CORRUPTIONS} corruptions: {dict(met)}")
