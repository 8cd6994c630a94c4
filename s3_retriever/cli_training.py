"""The commands that make artifacts: ``train`` and ``calibrate``."""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.documents import Document
    from s3_retriever.features.pairs import Pair
    from s3_retriever.host.taps import QueryHead

_HEAD = re.compile(r"(\d+)\.(\d+)")


def add_train(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``train``."""
    parser.add_argument("--text", type=Path, required=True, metavar="TEXT.jsonl", help="lines {text}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the artifact")
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="language model; the default host if omitted")
    parser.add_argument("--name", help="name of the artifact (default: that of the folder)")
    parser.add_argument(
        "--heads",
        metavar="L.H,L.H,...",
        help="query heads as layer.head; chosen on the shipped questions if omitted",
    )
    parser.add_argument(
        "--max-layer", type=int, default=9, help="deepest layer to choose heads from (default: 9)"
    )
    parser.add_argument("--taps", type=int, default=5, help="key heads to choose at most (default: 5)")
    parser.add_argument(
        "--query-heads", type=int, default=8, help="query heads to choose at most (default: 8)"
    )
    parser.add_argument("--features", type=int, default=2048, help="features per tap (default: 2048)")
    parser.add_argument("-k", type=int, default=7, help="active features per key (default: 7)")
    parser.add_argument("--steps", type=int, default=1500, help="training steps (default: 1500)")
    parser.add_argument("--tokens", type=int, default=500_000, help="tokens to train on (default: 500000)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def add_calibrate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``calibrate``."""
    parser.add_argument("artifact", metavar="ARTIFACT", help="fast, best, or a folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the new artifact")
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="the artifact's host, if not known by name")
    parser.add_argument("--name", help="name of the new artifact (default: that of the folder)")
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="PAIRS.jsonl",
        help="lines {question, doc_id, evidence: [[start, end], ...]}, beside the shipped ones",
    )
    parser.add_argument(
        "--text", type=Path, metavar="TEXT.jsonl", help="documents of the pairs: lines {_id, text}"
    )
    parser.add_argument("--epochs", type=int, default=3, help="times every pair is seen (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def train(args: argparse.Namespace) -> None:
    """Run ``train``."""
    from s3_retriever.features.artifact import check_target
    from s3_retriever.features.fit import find_heads, train_artifact
    from s3_retriever.features.pairs import read_texts, shipped_pairs
    from s3_retriever.features.train import TrainConfig
    from s3_retriever.host.model import Host

    started = time.perf_counter()
    config = TrainConfig(n_features=args.features, k=args.k, steps=args.steps, seed=args.seed)
    heads = _heads(args.heads) if args.heads else []
    check_target(args.out)  # fails now rather than after the training
    args.text.stat()
    host = Host.load(args.host)
    documents, pairs = shipped_pairs()
    if not heads:
        choice = find_heads(
            host,
            documents,
            pairs,
            max_layer=args.max_layer,
            n_taps=args.taps,
            n_heads=args.query_heads,
            progress=sys.stderr.isatty(),
        )
        for head, recall in zip(choice.heads, choice.recalls, strict=True):
            _say(f"{head.layer}.{head.head}: alone {choice.alone[head]:.3f}, with those above {recall:.3f}")
        heads = list(choice.heads)
    artifact = train_artifact(
        host,
        args.name or args.out.name,
        heads,
        read_texts(args.text),
        [pair.question for pair in pairs],
        config=config,
        max_tokens=args.tokens,
        provenance={"train": {**asdict(config), "tokens": args.tokens, "text": args.text.name}},
        progress=sys.stderr.isatty(),
    )
    artifact.save(args.out)
    for codec in artifact.codecs:
        quality = codec.quality
        _say(f"tap {codec.tap}: fvu {quality.fvu:.3f}, l0 {quality.l0:.1f}, dead {quality.dead_fraction:.3f}")
    _say(f"wrote {args.out} after {time.perf_counter() - started:.0f} s")


def calibrate(args: argparse.Namespace) -> None:
    """Run ``calibrate``."""
    from s3_retriever.features.artifact import Artifact, check_target
    from s3_retriever.features.calibrate import CalibrateConfig
    from s3_retriever.features.fit import calibrate_artifact
    from s3_retriever.host.model import Host

    started = time.perf_counter()
    config = CalibrateConfig(epochs=args.epochs, seed=args.seed)
    check_target(args.out)  # fails now rather than after the calibration
    documents, pairs = _calibration_set(args.pairs, args.text)
    artifact = Artifact.load(args.artifact)
    host = Host.load(args.host or str(artifact.host["name"]))
    settings: dict[str, Any] = {"pairs": len(pairs)}
    settings |= {name: getattr(config, name) for name in ("epochs", "seed", "fusion")}
    calibrated = calibrate_artifact(
        host,
        artifact,
        documents,
        pairs,
        config=config,
        name=args.name or args.out.name,
        provenance={"calibrate": settings},
        progress=sys.stderr.isatty(),
    )
    calibrated.save(args.out)
    losses = ", ".join(f"{loss:.3f}" for loss in calibrated.provenance["calibrate"]["losses"])
    _say(f"{len(pairs)} pairs, loss per epoch (nats): {losses}")
    held_out = calibrated.provenance["calibrate"]["held_out_losses"]
    if held_out:
        _say(f"pairs held out: {held_out[0]:.3f} before, {held_out[1]:.3f} after")
    _say(f"wrote {args.out} after {time.perf_counter() - started:.0f} s")


def _calibration_set(pairs_path: Path | None, text_path: Path | None) -> tuple[list[Document], list[Pair]]:
    """Return the shipped questions and the user's, with the documents that either need."""
    from s3_retriever.features.pairs import read_pairs, read_texts, shipped_pairs

    documents, pairs = shipped_pairs()
    if (pairs_path is None) != (text_path is None):
        msg = "--pairs and --text belong together: the questions, and the documents that answer them"
        raise InvalidInputError(msg)
    if pairs_path is None or text_path is None:
        return documents, pairs
    texts: dict[str, Document] = {}
    for document in read_texts(text_path):
        if document.id in texts:
            msg = f"{text_path}: two documents have the id {document.id!r}; give each its own"
            raise InvalidInputError(msg)
        texts[document.id] = document
    own = read_pairs(pairs_path, texts)
    if not own:
        msg = f"no pair of {pairs_path} has its document in {text_path}: compare doc_id with _id"
        raise InvalidInputError(msg)
    needed = {pair.doc_id for pair in own}
    return [*documents, *(document for key, document in texts.items() if key in needed)], [*pairs, *own]


def _heads(text: str) -> list[QueryHead]:
    from s3_retriever.host.taps import QueryHead

    heads = []
    for item in text.split(","):
        match = _HEAD.fullmatch(item.strip())
        if not match:
            msg = f"--heads takes layer.head, such as 8.0,9.2, not {item!r}"
            raise InvalidInputError(msg)
        heads.append(QueryHead(int(match[1]), int(match[2])))
    return heads


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
