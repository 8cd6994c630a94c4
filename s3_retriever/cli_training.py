"""The commands that make artifacts: ``train`` and ``fit``."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever import cli_shared
from s3_retriever.checks import check_positive
from s3_retriever.cli_shared import peak, say, shows_progress
from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from s3_retriever.documents import Document
    from s3_retriever.features.artifact import Artifact
    from s3_retriever.features.calibration import Calibration
    from s3_retriever.features.epochs import Epoch
    from s3_retriever.features.pairs import Pair
    from s3_retriever.features.train import TrainConfig
    from s3_retriever.host.model import Host
    from s3_retriever.host.taps import Tap

_FIT_PAIRS = 1500


def add_train(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``train``."""
    parser.add_argument("--text", type=Path, required=True, metavar="TEXT.jsonl", help="lines {text}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the artifact")
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="language model; the default host if omitted")
    parser.add_argument("--name", help="name of the artifact (default: that of the folder)")
    parser.add_argument(
        "--calibration",
        metavar="DIR",
        help="what 'calibrate' wrote, a calibration or an artifact: heads, and how they ask",
    )
    cli_shared.add_head_choice(parser)
    _add_saes(parser)
    parser.add_argument(
        "--query-metric",
        action="store_true",
        help="count errors by how much they change the scores that questions give, as the heads ask now",
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="DIR",
        help="keep keys and the state of each SAE here until all is done; run again to go on from there",
    )
    parser.add_argument("--tokens", type=int, default=500_000, help="tokens to train on (default: 500000)")
    parser.add_argument(
        "--asked",
        type=int,
        metavar="FEATURES",
        help="features that each query head looks up per question token (default: 96, or as calibrated)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``fit``."""
    parser.add_argument(
        "host", nargs="?", metavar="HOST", help="hub name or folder; the default host if omitted"
    )
    parser.add_argument(
        "--text", type=Path, required=True, metavar="TEXT.jsonl", help="lines {_id, text}, such as your own"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the artifact")
    parser.add_argument("--name", help="name of the artifact (default: that of the folder)")
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="PAIRS.jsonl",
        help="lines {question, doc_id, evidence: [[start, end], ...]} about the text, beside the shipped; "
        "if omitted, questions are made from the text, as 'pairs' does",
    )
    cli_shared.add_head_choice(parser)
    parser.add_argument(
        "--max-pairs", type=int, default=_FIT_PAIRS, help=f"pairs to use at most (default: {_FIT_PAIRS})"
    )
    parser.add_argument("--epochs", type=int, default=3, help="times every pair is seen (default: 3)")
    _add_saes(parser)
    parser.add_argument("--tokens", type=int, default=800_000, help="tokens to read (default: 800000)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def _add_saes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--features", type=int, default=2048, help="features per tap (default: 2048)")
    parser.add_argument("-k", type=int, default=7, help="active features per key (default: 7)")
    parser.add_argument("--steps", type=int, default=1500, help="training steps at most (default: 1500)")


def train(args: argparse.Namespace) -> None:
    """Run ``train``."""
    from s3_retriever.cli_survey import check_choice, surveyed
    from s3_retriever.features.artifact import FORM
    from s3_retriever.features.fit import Training, train_artifact, train_calibration
    from s3_retriever.features.pairs import read_texts, shipped_pairs
    from s3_retriever.features.training_folder import TrainingFolder
    from s3_retriever.host.model import Host

    started = time.perf_counter()
    if args.asked is not None:
        check_positive("--asked", args.asked)
    config = _sae_config(args, query_metric=args.query_metric)
    heads, survey_config = check_choice(args)
    FORM.check_target(args.out)  # fails now rather than after the training
    name, made = args.name or args.out.name, _made(args, config)
    file = args.text.stat()
    training = Training(
        config=config,
        max_tokens=args.tokens,
        folder=args.checkpoints,
        source=f"{args.text.resolve()}, {file.st_size} bytes of {file.st_mtime_ns}",
        on_epoch=_say_epoch,
        progress=shows_progress(),
    )
    documents, pairs = shipped_pairs()
    questions = [pair.question for pair in pairs]
    if args.calibration is not None:
        if heads:
            msg = "--calibration brings its heads: leave --heads out"
            raise InvalidInputError(msg)
        calibration = _calibration(args.calibration)
        host = Host.load(args.host or str(calibration.host["name"]))
        texts = read_texts(args.text)
        artifact = train_calibration(host, name, calibration, texts, questions, training, provenance=made)
    else:
        host = Host.load(args.host)
        if not heads:
            heads, _ = surveyed(args, host, documents, pairs, survey_config)
        texts = read_texts(args.text)
        artifact = train_artifact(host, name, heads, texts, questions, training, provenance=made)
    if args.asked is not None:
        artifact = replace(artifact, scoring={**artifact.scoring, "n_features": args.asked})
    _save(args, artifact, started)
    if args.checkpoints is not None:
        TrainingFolder(args.checkpoints, artifact.taps, 0, 0).remove()


def fit(args: argparse.Namespace) -> None:
    """Run ``fit``."""
    from s3_retriever.cli_calibrate import learn_heads
    from s3_retriever.cli_survey import check_choice
    from s3_retriever.features.artifact import FORM
    from s3_retriever.features.calibrate_host import FROM_SCRATCH
    from s3_retriever.features.fit import check_enough, train_bank
    from s3_retriever.features.pairs import draw_texts, limit
    from s3_retriever.host.model import Host

    started = time.perf_counter()
    config = _sae_config(args, query_metric=True)
    heads, survey_config = check_choice(args)
    learning = replace(FROM_SCRATCH, epochs=args.epochs, seed=args.seed)
    FORM.check_target(args.out)
    documents, pairs = cli_shared.calibration_set(args.pairs, args.text if args.pairs else None)
    texts = cli_shared.distinct_texts(args.text)
    host = Host.load(args.host)
    if args.pairs is None:
        passages, made = _made_pairs(args, host, texts.values())
        documents, pairs = [*documents, *passages], [*pairs, *made]
    documents, pairs = limit(
        documents,
        pairs,
        max_pairs=args.max_pairs,
        max_tokens=args.tokens,
        count=host.count_tokens,
        seed=args.seed,
    )
    drawn = {document.id for document in documents}
    n_tokens = sum(host.count_tokens(document.text) for document in documents)
    documents += draw_texts(
        texts.values(),
        max_tokens=args.tokens - n_tokens,
        count=host.count_tokens,
        seed=args.seed,
        taken=drawn,
    )
    check_enough(sum(host.count_tokens(document.text) for document in documents), config)
    calibration, bank = learn_heads(args, host, heads, documents, pairs, survey_config, learning)
    artifact = train_bank(
        args.name or args.out.name,
        calibration,
        bank,
        config,
        provenance={**_made(args, config), "report": calibration.report},
        on_epoch=_say_epoch,
        progress=shows_progress(),
    )
    _save(args, artifact, started)


def _made_pairs(
    args: argparse.Namespace, host: Host, texts: Iterable[Document]
) -> tuple[list[Document], list[Pair]]:
    """Make questions from passages of a quarter of the tokens, where the text allows any."""
    from s3_retriever.features.pairs import draw_texts
    from s3_retriever.features.unlabelled import make_pairs

    passages = draw_texts(texts, max_tokens=args.tokens // 4, count=host.count_tokens, seed=args.seed)
    try:
        made = make_pairs(passages, seed=args.seed)
    except InvalidInputError as error:
        say(f"no questions made from {args.text}, only those shipped are asked: {error}")
        return [], []
    say(f"{len(made)} questions made from {args.text}")
    return passages, made


def _sae_config(args: argparse.Namespace, *, query_metric: bool) -> TrainConfig:
    from s3_retriever.features.train import TrainConfig

    return TrainConfig(
        n_features=args.features,
        k=args.k,
        steps=args.steps,
        query_metric=query_metric,
        seed=args.seed,
    )


def _calibration(path: str) -> Calibration:
    """Load a calibration, or what an artifact holds of one."""
    from s3_retriever.features.artifact import FORM, Artifact
    from s3_retriever.features.calibration import Calibration

    is_artifact = path in cli_shared.shipped_names() or FORM.holds(Path(path))
    return Calibration.of(Artifact.load(path)) if is_artifact else Calibration.load(path)


def _made(args: argparse.Namespace, config: TrainConfig) -> dict[str, Any]:
    return {"train": {**asdict(config), "tokens": args.tokens, "text": args.text.name}}


def _say_epoch(tap: Tap, epoch: Epoch) -> None:
    kept = "" if epoch.recall_kept is None else f", recall kept {epoch.recall_kept:.3f}"
    say(
        f"tap {tap}, step {epoch.step}: fvu {epoch.fvu:.3f}, l0 {epoch.l0:.1f}, "
        f"dead {epoch.dead_fraction:.3f}{kept}, {epoch.seconds:.0f} s"
    )


def _save(args: argparse.Namespace, artifact: Artifact, started: float) -> None:
    artifact.save(args.out)
    for codec in artifact.codecs:
        quality = codec.quality
        say(f"tap {codec.tap}: fvu {quality.fvu:.3f}, l0 {quality.l0:.1f}, dead {quality.dead_fraction:.3f}")
    say(f"wrote {args.out} after {time.perf_counter() - started:.0f} s, {peak()}")
