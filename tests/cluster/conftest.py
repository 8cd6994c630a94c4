"""A Ray cluster of this machine, of two CPUs in all, for all tests of the room; documents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3_retriever import Artifact, Document

os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Two CPUs, and little memory for objects."""
    ray = pytest.importorskip("ray")
    data = pytest.importorskip("ray.data")
    from ray_cluster import start_cluster

    try:
        start_cluster()
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        pytest.skip(f"this machine is too busy for a Ray cluster: {error}")
    data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def artifact(tiny_artifact: Artifact) -> Artifact:
    return tiny_artifact


@pytest.fixture(scope="session")
def host(tiny_folder: Path) -> str:
    """The tiny host as a folder that actors load."""
    return str(tiny_folder)


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """Of different lengths, one without a word; some say the same."""
    words = ["fox", "dog", "keys", "tokens", "1997", "brackets", "spans", "question", "host", "heads"]
    return [
        Document(
            f"d{i:03d}",
            " ".join(f"The {words[(i * 7 + j * j) % 10]} number {j % 9} is here." for j in range(1 + i % 13)),
            metadata={"part": i % 3},
        )
        for i in range(59)
    ] + [Document("empty", "", "A title")]
