"""Fetch a host's weights ahead of time: ``python -m s3_retriever.host [NAME_OR_PATH]``."""

from __future__ import annotations

import sys

from s3_retriever.errors import S3RetrieverError
from s3_retriever.host.weights import resolve_host


def prefetch(arguments: list[str]) -> int:
    """Fetch the named host, or the default one, and say in one line where it is."""
    try:
        files = resolve_host(*arguments[:1])
    except S3RetrieverError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    revision = f" ({files.revision})" if files.revision else ""
    sys.stdout.write(f"host {files.name}{revision} is in {files.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(prefetch(sys.argv[1:]))
