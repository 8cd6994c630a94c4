"""A process that has no cluster yet gets one that lasts as long as it does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from s3_retriever import Artifact, Document, S3Retriever

ASKING = """
import sys
import ray
from s3_retriever import S3Retriever
from s3_retriever.errors import IndexFormatError
try:
    S3Retriever.load(sys.argv[1] + "-that-is-not-there", shards=2)
except IndexFormatError:
    assert not ray.is_initialized()  # nothing is begun for an index that is not there
else:
    raise AssertionError
asked = S3Retriever.load(sys.argv[1], host=sys.argv[2], shards=2, timeout=200)
found = asked.retrieve("Where are the keys?", 60)
assert [node["Alive"] for node in ray.nodes()] == [True]  # whoever knows the nodes is there still
assert asked.retrieve("Where are the keys?", 60) == found
print([(span.doc_id, span.start, span.end) for span in found])
"""


@pytest.mark.slow
def test_shards_stay_when_the_index_is_loaded(
    documents: Sequence[Document], host: str, artifact: Artifact, tmp_path: Path
) -> None:
    """On Linux Ray's processes end with the thread that starts them."""
    pytest.importorskip("ray")
    whole = S3Retriever.from_documents(documents, host=host, artifact=artifact)
    whole.save(tmp_path / "index")
    command = [sys.executable, "-c", ASKING, str(tmp_path / "index"), host]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=400).stdout  # noqa: S603
    found = whole.retrieve("Where are the keys?", 60)
    assert told.splitlines()[-1] == str([(span.doc_id, span.start, span.end) for span in found])
