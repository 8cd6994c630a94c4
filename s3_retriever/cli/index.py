"""The commands ``index`` and ``info``: write an index, and say what one holds."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s3_retriever.cli.shared import Command, common, count, required, say
from s3_retriever.disk import new_folder, refuse_foreign
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.names import BM25_NAMES
from s3_retriever.sources.jsonl import read_corpus
from s3_retriever.terminal import printable
from s3_retriever.workplace import mend


def _index(args: argparse.Namespace) -> None:
    from s3_retriever import Artifact, Host, RetrieverConfig, S3Retriever

    _check_out(args.out, args.overwrite)
    args.corpus.stat()  # fails now rather than after the host is loaded
    artifact = Artifact.load(args.artifact)
    host = Host.load(args.host)
    with new_folder(args.out, follow=True) as folder:
        start = time.perf_counter()
        retriever = S3Retriever.from_documents(
            _Corpus(args.corpus),
            host=host,
            artifact=artifact,
            config=RetrieverConfig(bm25=args.bm25),
            threads=args.threads,
            show_progress=not args.no_progress,
        )
        retriever.save(folder)
        seconds = time.perf_counter() - start
    tokens = retriever.n_tokens
    say(
        f"indexed {len(retriever):,} documents, {tokens:,} tokens in {seconds:.1f} s: "
        f"{tokens / seconds:,.0f} tokens/s, {retriever.nbytes / max(tokens, 1):.1f} bytes per token"
    )


@dataclass(frozen=True)
class _Corpus:
    """The documents of a file, which can say beforehand how many there are."""

    path: Path

    def __iter__(self) -> Iterator[Document]:
        return read_corpus(self.path)

    def __length_hint__(self) -> int:
        if not self.path.is_file():  # a pipe can be read only once
            return 0
        with self.path.open("rb") as file:
            return sum(1 for line in file if line.strip())


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuse to replace what is not an index, and an index unless that is wanted."""
    from s3_retriever.saved import check_target, holds_index

    mend(out)  # if it was being replaced when somebody was killed, it is there
    check_target(out)  # names what is foreign beside an index
    refuse_foreign(out, "an index", lambda _: holds_index(out))
    if holds_index(out) and not overwrite:
        msg = f"{out} already holds an index; choose another folder, or replace it with --overwrite"
        raise InvalidInputError(msg)


INDEX = Command(
    "index",
    "scan documents with the host and write an index",
    ("index corpus.jsonl --out my-index",),
    {
        "corpus CORPUS.jsonl": "a document per line: {_id, title, text, metadata}",
        "--out DIR": required("folder for the index"),
        "--overwrite": "replace the index that DIR holds",
        **common("--host", "--artifact"),
        "--bm25": {
            "choices": BM25_NAMES,
            "default": "rank_bm25",
            "help": "what computes BM25; bm25s makes a matrix of the corpus first (default: %(default)s)",
        },
        "--threads N": count("threads that scan, on one core each (default: as many as cores may be used)"),
        "--no-progress": "do not show how far the scan is",
    },
    _index,
)


def _info(args: argparse.Namespace) -> None:
    from s3_retriever.saved import read_saved

    index, artifact, _ = read_saved(args.index)
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
