"""Whatever a saved index holds, using it ends in an answer or in an error of ours that names the file."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_files import DEEP, forge, read_arrays, sign, write_arrays

from s3_retriever import (
    AllOf,
    Compare,
    Filter,
    Host,
    IndexFormatError,
    InvalidInputError,
    Not,
    RetrieverConfig,
    S3Retriever,
    S3RetrieverError,
    ScanConfig,
)
from s3_retriever.encode import Artifact

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
OPTIONS = (
    {},
    {"mode": "bm25", "explain": True},
    {"scoring": "paper"},
    {"where": {"n": 2}},
    {"where": {"tags": "a"}},
)
MORE = [pytest.param(first, marks=pytest.mark.slow) for first in range(30, 600, 30)]
QUESTION = "Where does the keeper store the oil?"


@pytest.fixture(scope="module")
def saved(tiny_host: Host, tiny_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of two segments, one of whose documents is deleted."""
    documents = [
        {
            "id": f"d{i}",
            "title": f"T{i}",
            "text": "The keeper stores the oil in the cellar. Bread is baked at four. " * (6 - i),
            "metadata": {"n": i, "tags": ["a", "b"][: i % 3], "k": None if i % 2 else "v"},
        }
        for i in range(6)
    ]
    retriever = S3Retriever.from_documents(
        documents[:4], host=tiny_host, artifact=tiny_artifact, config=CONFIG
    )
    retriever.add(documents[4:])
    retriever.delete(["d1"])
    path = tmp_path_factory.mktemp("hostile") / "saved"
    retriever.save(path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "copy"))


def use(path: Path, host: Host) -> None:
    """Load an index, and do all that can be done with it; its own errors end a step, and not the others."""
    retriever = S3Retriever.load(path, host=host)
    steps: list[Callable[[], object]] = [
        lambda options=options: search(retriever, options) for options in OPTIONS
    ]
    steps += [lambda doc_id=doc_id: retriever.document(doc_id) for doc_id in retriever.document_ids]
    steps += [lambda: retriever.delete(list(retriever.document_ids)[:1]), retriever.merge]
    steps += [lambda: retriever.save(path.with_name("again")), lambda: search(retriever, {})]
    for step in steps:
        try:
            step()
        except S3RetrieverError as error:  # noqa: PERF203
            assert str(path) in str(error) or "in memory" in str(error), error  # after a merge


def search(retriever: S3Retriever, options: dict[str, object]) -> None:
    for span in retriever.retrieve(QUESTION, 64, **options):  # type: ignore[arg-type]
        assert retriever.document(span.doc_id).text[span.start : span.end] == span.text
        assert np.isfinite(span.score)


@pytest.mark.long
@pytest.mark.parametrize("first", [0, *MORE])
def test_forged_indexes_end_in_answers_or_in_errors_that_name_the_file(
    saved: Path, tmp_path: Path, tiny_host: Host, first: int
) -> None:
    for seed in range(first, first + 30):
        path = Path(shutil.copytree(saved, tmp_path / str(seed) / "index"))
        what = forge(random.Random(seed), path)  # noqa: S311
        try:
            use(path, tiny_host)
        except S3RetrieverError as error:
            assert str(path) in str(error), (seed, what)
        except Exception as error:
            pytest.fail(f"seed {seed}, {what}: {type(error).__name__}: {error}")
        shutil.rmtree(tmp_path / str(seed))


def change(path: Path, array: str, values: Callable[[np.ndarray], np.ndarray]) -> Path:
    """Change an array of the first segment, sign the index again, and return the segment's folder."""
    content = json.loads((path / "index" / "manifest.json").read_text(encoding="utf-8"))["content"]
    segment = path / "index" / "segments" / content["segments"][0]["name"]
    arrays = read_arrays(segment)
    write_arrays(segment, arrays | {array: values(arrays[array])})
    sign(path / "index", content)
    return segment


def put(at: int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    def values(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.ravel()[at] = value
        return array

    return values


@pytest.mark.parametrize(
    ("array", "values"),
    [
        ("feature_lists", lambda lists: np.full_like(lists, 255)),  # as many marks as there are bits
        ("feature_lists", lambda lists: lists[:-1]),
        ("feature_counts", put(5, 100)),
        ("token_pointers", put(1, 10**9)),
        ("cell_lengths", put(0, 200)),
        ("token_ids", lambda ids: ids.astype(np.int32)),
    ],
)
def test_arrays_that_would_lead_a_kernel_astray_are_refused_at_load(
    copy: Path, tiny_host: Host, array: str, values: Callable[[np.ndarray], np.ndarray]
) -> None:
    folder = change(copy, array, values)
    with pytest.raises(IndexFormatError, match=f"{folder}.* contradict each other"):
        S3Retriever.load(copy, host=tiny_host)


def test_tokens_that_lie_outside_of_their_text_are_refused_when_they_are_read(
    copy: Path, tiny_host: Host
) -> None:
    folder = change(copy, "token_gaps", lambda gaps: np.append(gaps[:-1].astype(np.uint32), np.uint32(10**6)))
    retriever = S3Retriever.load(copy, host=tiny_host)
    with pytest.raises(IndexFormatError, match=f"tokens of document 'd3' of the segment in {folder}"):
        retriever.retrieve(QUESTION, 10_000)


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody cut a file that is mapped")
def test_a_file_that_shrinks_is_noticed_before_it_is_read(copy: Path, tiny_host: Host) -> None:
    retriever = S3Retriever.load(copy, host=tiny_host)
    file = sorted(copy.rglob("segments/*/arrays.safetensors"))[0]
    os.truncate(file, 140)
    with pytest.raises(IndexFormatError, match=f"{file} has shrunk to 140 bytes"):
        retriever.retrieve(QUESTION)


@pytest.mark.parametrize("file", ["index/manifest.json", "artifact/artifact.json"])
def test_json_that_is_nested_without_end_names_its_file(copy: Path, tiny_host: Host, file: str) -> None:
    (copy / file).write_text(DEEP, encoding="utf-8")
    with pytest.raises(S3RetrieverError, match=f"{copy / file}.* nested too deeply"):
        S3Retriever.load(copy, host=tiny_host)


def deep(n: int) -> list[object]:
    value: list[object] = []
    for _ in range(n):
        value = [value]
    return value


def endless() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


def nested(n: int) -> Filter:
    where: Filter = Compare("n", "eq", 1)
    for i in range(n):
        where = Not(where) if i % 2 else AllOf([where])
    return where


WITHOUT_END: dict[str, Callable[[], Any]] = {
    "deep": lambda: {"n": deep(200_000)},
    "endless": lambda: {"n": endless()},
    "inside": lambda: {"n": [deep(200_000)]},
    "filters": lambda: nested(100_000),
}


@pytest.mark.parametrize("where", WITHOUT_END.values(), ids=WITHOUT_END.keys())
def test_filters_without_end_are_one_error(saved: Path, tiny_host: Host, where: Callable[[], Filter]) -> None:
    retriever = S3Retriever.load(saved, host=tiny_host)
    with pytest.raises(InvalidInputError, match="too deeply"):
        retriever.retrieve(QUESTION, where=where())
