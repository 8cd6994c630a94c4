"""The commands ``index`` and ``info``: write an index, and say what one holds."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from s3_retriever.cli_shared import add_no_progress, shows_progress
from s3_retriever.cli_show import printable
from s3_retriever.errors import InvalidInputError
from s3_retriever.files import new_folder, read_corpus


def add_index(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``index``."""
    parser.add_argument(
        "corpus", type=Path, metavar="CORPUS.jsonl", help="a document per line: {_id, title, text, metadata}"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the index")
    parser.add_argument("--overwrite", action="store_true", help="replace the index that DIR holds")
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="language model; the default host if omitted")
    parser.add_argument(
        "--artifact",
        default="fast",
        help="fast, best, or a folder (default: %(default)s)",
        metavar="ARTIFACT",
    )
    parser.add_argument(
        "--bm25",
        choices=("rank_bm25", "bm25s"),
        default="rank_bm25",
        help="what computes BM25; bm25s suits large corpora (default: %(default)s)",
    )
    add_no_progress(parser)


def index(args: argparse.Namespace) -> None:
    """Run ``index``."""
    from s3_retriever.config import RetrieverConfig
    from s3_retriever.features.artifact import Artifact
    from s3_retriever.host.model import Host
    from s3_retriever.retriever import S3Retriever

    _check_out(args.out, args.overwrite)
    args.corpus.stat()  # fails now rather than after the host is loaded
    artifact = Artifact.load(args.artifact)
    host = Host.load(args.host)
    with new_folder(args.out) as folder:
        start = time.perf_counter()
        retriever = S3Retriever.from_documents(
            read_corpus(args.corpus),
            host=host,
            artifact=artifact,
            config=RetrieverConfig(bm25=args.bm25),
            show_progress=shows_progress() and not args.no_progress,
        )
        retriever.save(folder)
        seconds = time.perf_counter() - start
    tokens = retriever.n_tokens
    sys.stdout.write(
        f"indexed {len(retriever):,} documents, {tokens:,} tokens in {seconds:.1f} s: "
        f"{tokens / seconds:,.0f} tokens/s, {retriever.nbytes / max(tokens, 1):.1f} bytes per token\n"
    )


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuse to replace what is not an index, and an index unless that is wanted."""
    from s3_retriever.folder import holds_index

    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not holds_index(out):
        msg = f"{out} exists and holds no index; choose another folder"
        raise InvalidInputError(msg)
    if not overwrite:
        msg = f"{out} already holds an index; choose another folder, or replace it with --overwrite"
        raise InvalidInputError(msg)


def add_info(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``info``."""
    parser.add_argument("index", type=Path, metavar="DIR", help="what 'index' wrote")


def info(args: argparse.Namespace) -> None:
    """Run ``info``."""
    from s3_retriever.folder import read_saved

    index, artifact = read_saved(args.index)
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
    sys.stdout.writelines(f"{name:<16} {printable(value)}\n" for name, value in facts.items())
