"""The commands ``index``, ``sync`` and ``info``: write an index, follow files, say what an index holds."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.cli.cluster import CLUSTER_OPTIONS, check_options, index_on_cluster
from s3_retriever.cli.shared import (
    Command,
    Options,
    check_made_with,
    common,
    count,
    note,
    required,
    say,
    settings,
)
from s3_retriever.disk import check_writable, new_folder
from s3_retriever.errors import IndexChangedError, InvalidInputError, S3RetrieverError
from s3_retriever.names import BM25_NAMES
from s3_retriever.sources.corpus import Corpus, Problem
from s3_retriever.sources.files import FileSettings
from s3_retriever.sources.watch import rounds
from s3_retriever.terminal import printable
from s3_retriever.workplace import mend

if TYPE_CHECKING:
    from s3_retriever.retriever import S3Retriever
    from s3_retriever.syncing import SyncResult

SOME_UNREAD = 3
"""Exit status where the index was written, but something could not be read."""

_COMMIT_EVERY = 120  # seconds
_SHOWN = 20  # documents that are named, of each kind of change


def _index(args: argparse.Namespace) -> int:
    check_options(args)
    if args.ray is not None:
        _check_place(args.out)
        problems = index_on_cluster(args, _file_settings(args))
        _list_problems(problems)
        return SOME_UNREAD if problems else 0
    out = args.out
    is_there = _check_out(out)
    corpus = _survey(args, out)
    if is_there and not args.overwrite:
        result = _synced(args, _existing(args, out), corpus, out)
        _say_result(result)
    else:
        retriever, start = _new(args), time.perf_counter()
        if is_there:
            with new_folder(out, follow=True) as folder:
                result = _synced(args, retriever, corpus, folder, math.inf)
        else:
            result = _synced(args, retriever, corpus, out)
        _say_new(retriever, time.perf_counter() - start)
    _list_problems(result.problems)
    return SOME_UNREAD if result.problems else 0


def _sync(args: argparse.Namespace) -> int:
    out = args.index
    is_there = _check_out(out)
    if not args.watch:
        corpus = _survey(args, out)
        result = _synced(args, _existing(args, out) if is_there else _new(args), corpus, out)
        _say_result(result)
        _list_problems(result.problems)
        return SOME_UNREAD if result.problems else 0
    try:
        _watch(args, out, is_there)
    except KeyboardInterrupt:
        say("stopped")
    return 0


def _watch(args: argparse.Namespace, out: Path, is_there: bool) -> None:
    """Sync whenever something changes; what goes wrong after the first time is said, and tried again."""
    retriever: S3Retriever | None = None
    problems: tuple[Problem, ...] = ()
    for _ in rounds(args.paths, without=[out]):
        try:
            corpus = _survey(args, out)
            if retriever is None:
                retriever = _existing(args, out) if is_there else _new(args)
            result = _synced(args, retriever, corpus, out)
        except S3RetrieverError as error:
            if not is_there:
                raise
            note(printable(str(error)))
            retriever = None if isinstance(error, IndexChangedError) else retriever
            continue
        if not (result.is_empty and is_there):
            _say_result(result)
        if result.problems != problems:
            _list_problems(result.problems)
        is_there, problems = True, result.problems
        say(f"waiting for changes in {', '.join(args.paths)}; Ctrl-C ends it")


def _survey(args: argparse.Namespace, out: Path) -> Corpus:
    """Look at the files; what is wrong with the command line is said before a host is loaded."""
    corpus = Corpus(args.paths, _file_settings(args), without=[out], strict=args.strict)
    corpus.survey()
    return corpus


def _file_settings(args: argparse.Namespace) -> FileSettings:
    """Return what the options of files say."""
    args.max_bytes = args.max_mb * 1_000_000
    return settings(FileSettings, args)


def _new(args: argparse.Namespace) -> S3Retriever:
    from s3_retriever import Artifact, Host, RetrieverConfig, S3Retriever

    artifact = Artifact.load(args.artifact or "fast")
    config = RetrieverConfig(bm25=args.bm25 or BM25_NAMES[0])
    return S3Retriever(host=Host.load(args.host), artifact=artifact, config=config)


def _existing(args: argparse.Namespace, out: Path) -> S3Retriever:
    """Open an index, which was made with the options given, if any."""
    from s3_retriever import S3Retriever

    retriever = S3Retriever.load(out, host=args.host)
    check_made_with(args, retriever.artifact, retriever.config, out)
    return retriever


def _synced(
    args: argparse.Namespace,
    retriever: S3Retriever,
    corpus: Corpus,
    folder: Path,
    seconds: float | None = None,
) -> SyncResult:
    from s3_retriever.syncing import sync

    try:
        return sync(
            retriever,
            corpus,
            lambda: retriever.save(folder),
            commit_every=seconds or args.commit_every or _COMMIT_EVERY,
            threads=args.threads,
            show_progress=not args.no_progress,
        )
    except InvalidInputError:
        if len(corpus.problems) > 1:
            _list_problems(corpus.problems)
        raise
    except KeyboardInterrupt:
        if seconds is None and _is_index(folder):
            note("the same command again goes on from what was saved")
        raise


def _say_new(retriever: S3Retriever, seconds: float) -> None:
    tokens = retriever.n_tokens
    say(
        f"indexed {len(retriever):,} documents, {tokens:,} tokens in {seconds:.1f} s: "
        f"{tokens / seconds:,.0f} tokens/s, {retriever.nbytes / max(tokens, 1):.1f} bytes per token"
    )


def _say_result(result: SyncResult) -> None:
    changes = {"added": result.added, "changed": result.changed, "deleted": result.deleted}
    for name, doc_ids in changes.items():
        for doc_id in doc_ids[:_SHOWN]:
            say(f"{name:<8} {printable(doc_id)}")
        if len(doc_ids) > _SHOWN:
            say(f"{name:<8} ... and {len(doc_ids) - _SHOWN:,} more")
    counts = ", ".join(f"{len(doc_ids):,} {name}" for name, doc_ids in changes.items())
    say(f"{counts}, {result.unchanged:,} unchanged")


def _list_problems(problems: Sequence[Problem]) -> None:
    if problems:
        note(f"could not be read: {len(problems):,}")
    for problem in problems:
        note(f"  {printable(str(problem))}")


def _check_place(out: Path) -> None:
    """Refuse a folder that cannot be written to; of a URL, that is not known before."""
    from s3_retriever.store.place import folder_of

    folder = folder_of(out)
    if folder is not None:
        _check_out(folder)


def _check_out(out: Path) -> bool:
    """Refuse to write to what is no index or cannot be written; return whether there is one."""
    from s3_retriever.saved import check_target

    mend(out)  # if it was being replaced when somebody was killed, it is there
    check_target(out)
    check_writable(out)
    return _is_index(out)


def _is_index(folder: Path) -> bool:
    from s3_retriever.saved import holds_index

    return folder.is_dir() and holds_index(folder)


_FILES: Options = {
    "paths PATH ...": "folders, files, patterns such as 'manuals/**/*.pdf', or - for standard input: text, "
    "Markdown, reStructuredText, HTML, PDF, DOCX, PPTX, source code, CSV, XLSX, ODS, JSON, and JSON Lines "
    "{_id, title, text, metadata}",
}
_READING: Options = {
    "--exclude PATTERN": {
        "action": "append",
        "default": [],
        "help": "what to leave out below folders, such as '*.log' or 'build/*'; may be given several times",
    },
    "--encoding NAME": {
        "default": "utf-8",
        "help": "encoding of text files that are not UTF-8, such as cp1252 (default: none)",
    },
    "--max-mb N": count("do not read larger files, in megabytes (default: %(default)s)", default=50),
    "--strict": "stop at the first file or line that cannot be read, instead of listing all at the end",
    "--commit-every N": count(
        "seconds of work that an interruption may cost: the index is saved this often "
        f"(default: {_COMMIT_EVERY})"
    ),
    **common("--host"),
    "--artifact ARTIFACT": "for a new index: tiny, fast, best, or a folder (default: fast)",
    "--bm25": {
        "choices": BM25_NAMES,
        "help": "for a new index: what computes BM25; bm25s makes a matrix of the corpus first "
        f"(default: {BM25_NAMES[0]})",
    },
    "--threads N": count(
        "threads that scan, on one core each (default: as many as cores may be used; with --ray 1)"
    ),
    "--no-progress": "do not show how far the scan is",
}


INDEX = Command(
    "index",
    "scan documents with the host and write an index, or go on with one",
    (
        "index manuals --out my-index",
        "index corpus.jsonl --out my-index",
        "index manuals src 'notes/*.md' --exclude '*.min.js' --out my-index",
        "index s3://bucket/texts/part.parquet --out s3://bucket/my-index --ray auto",
    ),
    {
        **_FILES,
        "--out DIR": required(
            "folder for the index, with --ray also a URL; one that is there is brought up to date"
        ),
        "--overwrite": "make the index that DIR holds anew",
        **_READING,
        **CLUSTER_OPTIONS,
    },
    _index,
)


SYNC = Command(
    "sync",
    "bring an index up to date with a folder: add, replace and delete documents",
    ("sync manuals my-index", "sync manuals my-index --watch"),
    {
        **_FILES,
        "index DIR": "folder of the index; made if it is not there",
        "--watch": "go on until Ctrl-C, and sync whenever something changes",
        **_READING,
    },
    _sync,
)


def _info(args: argparse.Namespace) -> None:
    from s3_retriever.store.opening import read_saved_at

    index, artifact, _ = read_saved_at(args.index)
    host = index.header["host"]
    facts = {
        "documents": f"{len(index):,}",
        "tokens": f"{index.n_tokens:,}",
        "bytes per token": f"{index.nbytes / max(index.n_tokens, 1):.1f}",
        "artifact": artifact.name,
        "host": f"{host['name']} {host['revision']}".rstrip(),
    }
    for codec in artifact.codecs:
        quality = codec.quality
        facts[f"tap {codec.tap}"] = (
            f"FVU {quality.fvu:.3f}, L0 {quality.l0:.1f}, dead features {quality.dead_fraction:.1%}"
        )
    for name, value in facts.items():
        say(f"{name:<16} {printable(value)}")


INFO = Command(
    "info",
    "say what an index holds and how it was made",
    ("info my-index",),
    {"index DIR": "what 'index' wrote"},
    _info,
)
