"""A folder where syncing costs nothing, and retrievers over the tiny host."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaign import Maker

from s3_retriever import Host
from s3_retriever.encode import Artifact

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


@pytest.fixture
def quick() -> Iterator[Path]:
    """A folder in memory, where there is one."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def make(tiny_host: Host, tiny_artifact: Artifact) -> Maker:
    return Maker(tiny_host, tiny_artifact)


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints what a campaign counted, past pytest."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")  # noqa: T201

    return say
