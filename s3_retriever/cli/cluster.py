"""The command ``index-cluster``: write an index on a cluster of machines."""

from __future__ import annotations

import argparse
import logging
import time

from s3_retriever.checks import check_library, pip_install
from s3_retriever.cli.index import FILE_OPTIONS, SOME_UNREAD, file_settings
from s3_retriever.cli.shared import PROGRAM, Command, common, count, note, required, say
from s3_retriever.names import CHANGE_MODES, DATASET_FORMATS


def _index(args: argparse.Namespace) -> int:
    check_library("indexes made on a cluster", "Ray", "ray.data", pip_install("ray"))
    import ray.data

    from s3_retriever import Artifact
    from s3_retriever.cluster.config import ClusterConfig
    from s3_retriever.cluster.connection import connect
    from s3_retriever.cluster.dataset import index_dataset
    from s3_retriever.cluster.reading import read_sources

    artifact = Artifact.load(args.artifact)
    reading = file_settings(args)
    connect(args.ray)
    _quieten(logging.WARNING if args.no_progress else logging.INFO)
    if args.checkpoint:
        from ray.data.checkpoint import CheckpointConfig

        context = ray.data.DataContext.get_current()
        context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=args.checkpoint)
    ray.data.DataContext.get_current().enable_progress_bars = not args.no_progress
    start = time.perf_counter()
    report = index_dataset(
        read_sources(args.sources, args.format or "", reading),
        args.out,
        host=args.host,
        artifact=artifact,
        mode=args.mode,
        cluster=ClusterConfig(
            workers=args.workers,
            threads=args.threads,
            gpus=args.gpus,
            on_error="skip" if args.skip_errors else "stop",
        ),
    )
    for failure in report.failures:
        note(f"{PROGRAM}: skipped {failure.id}: {failure.reason}")
    seconds = time.perf_counter() - start
    say(
        f"indexed {report.documents:,} documents, {report.tokens:,} tokens in {seconds:.1f} s: "
        f"{report.tokens / seconds:,.0f} tokens/s; {len(report.failures)} skipped"
    )
    return SOME_UNREAD if report.failures else 0


def _quieten(least: int) -> None:
    """Have Ray Data write errors into its own log only: the one that ends a job is told by the command."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.addFilter(lambda record: least <= record.levelno < logging.ERROR)


INDEX_CLUSTER = Command(
    "index-cluster",
    "scan documents on a Ray cluster and write an index, or add to one",
    (
        "index-cluster s3://bucket/texts/part.parquet --out s3://bucket/my-index --ray auto",
        "index-cluster manuals --out /mnt/shared/my-index --skip-errors",
    ),
    {
        "sources SOURCE ...": "files, folders, URLs: .parquet, .jsonl, else all kinds that 'index' reads",
        "--out OUT": required("folder that all machines see, or URL, for the index"),
        "--ray ADDRESS": "address of the cluster, or auto (default: one of this machine)",
        "--format FORMAT": {"choices": DATASET_FORMATS, "help": "what the sources hold"},
        "--mode MODE": {
            "choices": CHANGE_MODES,
            "default": "append",
            "help": "what becomes of documents that OUT has: all stay, none, or those without a new version "
            "(default: %(default)s)",
        },
        "--checkpoint PATH": "where Ray notes what is done: run again, the command goes on where it was",
        "--workers N": count("actors that scan (default: as many as the cluster has cores, or GPUs)"),
        "--threads N": count("threads of each (default: %(default)s)", default=1),
        "--gpus N": count("GPUs of each (default: %(default)s)", least=0, default=0),
        "--skip-errors": "leave out documents that cannot be indexed, and name them",
        **FILE_OPTIONS,
        **common("--host", "--artifact"),
        "--no-progress": "do not show Ray's progress",
    },
    _index,
)
