"""The command ``calibrate``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3_retriever import cli_shared
from s3_retriever.cli_shared import peak, say, shows_progress
from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.documents import Document
    from s3_retriever.features.bank import Bank
    from s3_retriever.features.calibrate import CalibrateConfig
    from s3_retriever.features.calibration import Calibration
    from s3_retriever.features.pairs import Pair
    from s3_retriever.features.survey import SurveyConfig
    from s3_retriever.host.model import Host
    from s3_retriever.host.taps import QueryHead

_MAX_PAIRS = 1000
_MAX_TOKENS = 600_000


def add_calibrate(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``calibrate``."""
    parser.add_argument(
        "target",
        metavar="HOST_OR_ARTIFACT",
        help="a host (hub name or folder): choose its heads and write a calibration, for 'train'; "
        "a calibration's folder: learn it anew; fast, best or an artifact's folder: its SAEs stay",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what is made")
    parser.add_argument(
        "--host", metavar="NAME_OR_PATH", help="host of the artifact or calibration, if not known by name"
    )
    parser.add_argument("--name", help="name of what is made (default: that of the folder)")
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="PAIRS.jsonl",
        help="lines {question, doc_id, evidence: [[start, end], ...]}, beside the shipped ones",
    )
    parser.add_argument(
        "--text", type=Path, metavar="TEXT.jsonl", help="documents of the pairs: lines {_id, text}"
    )
    cli_shared.add_head_choice(parser)
    parser.add_argument(
        "--max-pairs",
        type=int,
        help=f"with a host: pairs to use at most (default: {_MAX_PAIRS})",
    )
    parser.add_argument("--epochs", type=int, default=3, help="times every pair is seen (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")


def calibrate(args: argparse.Namespace) -> None:
    """Run ``calibrate``."""
    from s3_retriever.features import artifact, calibration
    from s3_retriever.features.calibrate import CalibrateConfig
    from s3_retriever.features.calibrate_host import FROM_SCRATCH

    folder = Path(args.target)
    is_artifact = args.target in cli_shared.shipped_names() or artifact.FORM.holds(folder)
    is_calibration = not is_artifact and calibration.FORM.holds(folder)
    is_host = not (is_artifact or is_calibration or args.host)
    form = calibration.FORM if is_calibration or is_host else artifact.FORM
    form.check_target(args.out)  # fails now rather than after the calibration
    if is_calibration or is_host:
        config = replace(FROM_SCRATCH, epochs=args.epochs, seed=args.seed)
        (_host if is_host else _again)(args, config)
    else:
        _artifact(args, CalibrateConfig(epochs=args.epochs, seed=args.seed))


def _refuse_choice(args: argparse.Namespace, what: str) -> None:
    options = ("heads", "max_layer", "taps", "query_heads", "heat_map", "max_pairs")
    given = [f"--{name.replace('_', '-')}" for name in options if getattr(args, name) is not None]
    if given:
        msg = f"{given[0]} is for a host; {what} keeps its heads: calibrate the host to choose others"
        raise InvalidInputError(msg)


def _host(args: argparse.Namespace, config: CalibrateConfig) -> None:
    """Choose a host's heads and learn how they ask."""
    from s3_retriever.cli_survey import check_choice
    from s3_retriever.features.pairs import limit
    from s3_retriever.host.model import Host

    started = time.perf_counter()
    heads, survey_config = check_choice(args)
    documents, pairs = cli_shared.calibration_set(args.pairs, args.text)
    host = Host.load(args.target)
    documents, pairs = limit(
        documents,
        pairs,
        max_pairs=_MAX_PAIRS if args.max_pairs is None else args.max_pairs,
        max_tokens=_MAX_TOKENS,
        count=host.count_tokens,
        seed=args.seed,
    )
    made, _ = learn_heads(args, host, heads, documents, pairs, survey_config, config)
    made.save(args.out)
    say(f"wrote {args.out} after {time.perf_counter() - started:.0f} s, {peak()}")


def learn_heads(
    args: argparse.Namespace,
    host: Host,
    heads: Sequence[QueryHead],
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    survey_config: SurveyConfig,
    config: CalibrateConfig,
) -> tuple[Calibration, Bank]:
    """Choose heads where none are named, learn how they ask, and say what was found.

    Raises:
        InvalidInputError: The host has no useful head, or the input cannot be used.
    """
    from s3_retriever.cli_survey import surveyed
    from s3_retriever.features.calibrate_host import calibrate_heads

    report: dict[str, Any] = {}
    if not heads:
        heads, report = surveyed(args, host, documents, pairs, survey_config)
    settings = {"heads": "named" if args.heads else "surveyed", "pairs": len(pairs), "seed": args.seed}
    settings |= {name: getattr(config, name) for name in ("epochs", "held_out")}
    made, bank = calibrate_heads(
        host,
        args.name or args.out.name,
        heads,
        documents,
        pairs,
        config=config,
        report=report,
        provenance={"calibrate": settings},
        progress=shows_progress(),
    )
    _say_learned(len(pairs), made.report["learned"])
    return made, bank


def _again(args: argparse.Namespace, config: CalibrateConfig) -> None:
    """Learn a calibration anew: its heads and the means of their keys stay."""
    from s3_retriever.features.calibrate_host import calibrate_heads
    from s3_retriever.features.calibration import Calibration
    from s3_retriever.host.model import Host

    started = time.perf_counter()
    _refuse_choice(args, "a calibration")
    documents, pairs = cli_shared.calibration_set(args.pairs, args.text)
    old = Calibration.load(args.target)
    host = Host.load(args.host or str(old.host["name"]))
    old.check_host(host.identity, host.keys([host.encode(old.probe.text).ids], old.taps)[0])
    made, _ = calibrate_heads(
        host,
        args.name or args.out.name,
        old.query_heads,
        documents,
        pairs,
        config=config,
        key_means=dict(zip(old.taps, old.key_means, strict=True)),
        report=old.report,
        provenance=old.provenance,
        progress=shows_progress(),
    )
    made.save(args.out)
    _say_learned(len(pairs), made.report["learned"])
    say(f"wrote {args.out} after {time.perf_counter() - started:.0f} s, {peak()}")


def _artifact(args: argparse.Namespace, config: CalibrateConfig) -> None:
    """Learn anew how an artifact's heads ask."""
    from s3_retriever.features.artifact import Artifact
    from s3_retriever.features.fit import calibrate_artifact
    from s3_retriever.host.model import Host

    started = time.perf_counter()
    _refuse_choice(args, "an artifact")
    documents, pairs = cli_shared.calibration_set(args.pairs, args.text)
    artifact = Artifact.load(args.target)
    host = Host.load(args.host or str(artifact.host["name"]))
    settings: dict[str, Any] = {"pairs": len(pairs)}
    settings |= {name: getattr(config, name) for name in ("epochs", "seed")}
    calibrated = calibrate_artifact(
        host,
        artifact,
        documents,
        pairs,
        config=config,
        name=args.name or args.out.name,
        provenance={"calibrate": settings},
        progress=shows_progress(),
    )
    calibrated.save(args.out)
    _say_learned(len(pairs), calibrated.provenance["calibrate"])
    say(f"wrote {args.out} after {time.perf_counter() - started:.0f} s, {peak()}")


def _say_learned(n_pairs: int, learned: Mapping[str, Any]) -> None:
    losses = ", ".join(f"{loss:.3f}" for loss in learned["losses"])
    say(f"{n_pairs} pairs, loss per epoch (nats): {losses}")
    if learned["held_out_losses"]:
        (loss, lower), (recall, higher) = learned["held_out_losses"], learned["held_out_recalls"]
        say(f"pairs held out: {loss:.3f} before, {lower:.3f} after; recall {recall:.3f}, {higher:.3f}")
