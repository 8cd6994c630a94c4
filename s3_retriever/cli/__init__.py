"""The command line: ``main`` and a module per group of commands."""

from s3_retriever.cli.main import main

__all__ = ["main"]
