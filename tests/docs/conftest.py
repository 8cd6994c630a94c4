"""What the tests of pages and of docstrings share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3_retriever import Host
from s3_retriever.host import FAMILIES


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _families() -> Iterator[None]:
    """Families that an example declares are gone after it."""
    known = dict(FAMILIES)
    yield
    FAMILIES.clear()
    FAMILIES.update(known)


@pytest.fixture
def one_host(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default host is loaded once for all examples."""
    load = Host.load

    def load_others(given: Any = None) -> Host:
        return host if given in (None, host.name) else load(given)

    monkeypatch.setattr(Host, "load", load_others)
