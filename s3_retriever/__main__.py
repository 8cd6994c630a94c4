"""``python -m s3_retriever``: the command line."""

from __future__ import annotations

import sys

from s3_retriever.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
