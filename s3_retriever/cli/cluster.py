"""What ``index`` does with ``--ray``: the same on a cluster of machines."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

from s3_retriever.checks import check_library, pip_install
from s3_retriever.cli.shared import Options, address, check_made_with, count, say
from s3_retriever.disk import url_in
from s3_retriever.errors import InvalidInputError
from s3_retriever.names import BM25_NAMES, CHANGE_MODES, DATASET_FORMATS, ChangeMode
from s3_retriever.sources.corpus import Problem
from s3_retriever.sources.files import FileSettings

CLUSTER_OPTIONS: Options = {
    "--ray ADDRESS": address("scan on"),
    "--format FORMAT": {"choices": DATASET_FORMATS, "help": "with --ray: what the sources hold"},
    "--mode MODE": {
        "choices": CHANGE_MODES,
        "help": "with --ray: what becomes of documents that DIR has: all stay, none, or those without a new "
        "version (default: upsert)",
    },
    "--checkpoint PATH": "with --ray: where it notes what is done, so that the same command goes on there",
    "--workers N": count("with --ray: actors that scan (default: as many as the cluster has cores, or GPUs)"),
    "--gpus N": count("with --ray: GPUs of each (default: 0)", least=0),
}
_OF_CLUSTERS = ("format", "mode", "checkpoint", "workers", "gpus")


def check_options(args: argparse.Namespace) -> None:
    """Refuse options of clusters where there is none, and others where there is one.

    Raises:
        InvalidInputError: Names the option.
    """
    if args.ray is None:
        given = [f"--{name}" for name in _OF_CLUSTERS if getattr(args, name) is not None]
        if given:
            msg = f"{given[0]} goes with --ray"
            raise InvalidInputError(msg)
        return
    if args.commit_every is not None:
        msg = "--commit-every does not go with --ray: a job is committed once; see --checkpoint"
        raise InvalidInputError(msg)
    if args.overwrite and args.mode not in (None, "overwrite"):
        msg = f"--overwrite does not go with --mode {args.mode}"
        raise InvalidInputError(msg)


def index_on_cluster(args: argparse.Namespace, reading: FileSettings) -> list[Problem]:
    """Scan on a cluster; return what is not in the index."""
    check_library("indexes made on a cluster", "Ray", "ray.data", pip_install("ray"))
    import ray.data

    from s3_retriever import Artifact, RetrieverConfig
    from s3_retriever.cluster.config import ClusterConfig
    from s3_retriever.cluster.connection import connect, terminable
    from s3_retriever.cluster.dataset import index_dataset
    from s3_retriever.cluster.reading import check_ids, find_sources, read_sources
    from s3_retriever.store import place_of
    from s3_retriever.store.commit import read_content
    from s3_retriever.store.opening import saved_parts

    mode: ChangeMode = args.mode or ("overwrite" if args.overwrite else "upsert")
    place = place_of(args.out)
    content, _ = read_content(place)
    if content is None or mode == "overwrite":
        artifact, config = (
            Artifact.load(args.artifact or "fast"),
            RetrieverConfig(bm25=args.bm25 or BM25_NAMES[0]),
        )
    else:
        artifact, config = saved_parts(place, content)
        check_made_with(args, artifact, config, place.name)
    sources = find_sources(args.paths, args.format or "", reading, without=[args.out])
    if all(source.is_empty for source in sources):
        msg = f"{', '.join(args.paths)}: no document there; give a folder or files that hold text"
        raise InvalidInputError(msg)
    connect(args.ray)
    _quieten(logging.WARNING if args.no_progress else logging.INFO)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = not args.no_progress
    with terminable():
        check_ids(sources)
    if args.checkpoint:
        from ray.data.checkpoint import CheckpointConfig

        path = args.checkpoint if url_in(args.checkpoint) else str(Path(args.checkpoint).absolute())
        context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=path)
    start = time.perf_counter()
    with terminable():
        report = index_dataset(
            read_sources(sources, reading),
            place.name,
            host=args.host,
            artifact=artifact,
            config=config,
            mode=mode,
            cluster=ClusterConfig(
                workers=args.workers,
                threads=args.threads or 1,
                gpus=args.gpus or 0,
                on_error="stop" if args.strict else "skip",
            ),
        )
    seconds = time.perf_counter() - start
    problems = [Problem(one.id, one.reason) for one in report.failures]
    if read_content(place)[0] is None:
        msg = (
            f"nothing could be read ({problems[0]})"
            if problems
            else "no document there; give a folder or files"
        )
        raise InvalidInputError(msg)
    say(
        f"indexed {report.documents:,} documents, {report.tokens:,} tokens in {seconds:.1f} s: "
        f"{report.tokens / seconds:,.0f} tokens/s"
    )
    return problems


def _quieten(least: int) -> None:
    """Have Ray Data write errors into its own log only: the one that ends a job is told by the command."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.addFilter(lambda record: least <= record.levelno < logging.ERROR)
