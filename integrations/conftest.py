"""What the tests of all integrations share: the hosts of the core's tests, and no network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket

_CORE = Path(__file__).parents[1] / "tests" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("s3_retriever_fixtures", _CORE)
assert _SPEC is not None
assert _SPEC.loader is not None
_FIXTURES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FIXTURES)

host = _FIXTURES.host
tiny_artifact = _FIXTURES.tiny_artifact
tiny_host = _FIXTURES.tiny_host
tiny_model = _FIXTURES.tiny_model
tiny_tokenizer = _FIXTURES.tiny_tokenizer
pytest_collection_modifyitems = _FIXTURES.pytest_collection_modifyitems


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    pytest_socket.disable_socket(allow_unix_socket=True)  # event loops wake themselves through one
    yield
    pytest_socket.enable_socket()
