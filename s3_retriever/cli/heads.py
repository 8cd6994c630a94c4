"""Which heads a command uses, named or chosen by a survey, and what they learn from which questions.

This module loads torch: commands import it when they run.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_retriever.checks import check_plots
from s3_retriever.cli.shared import PROGRAM, console, peak, say, settings, shows_progress
from s3_retriever.documents import Document, distinct
from s3_retriever.encode.artifact import Artifact
from s3_retriever.encode.calibration import Calibration
from s3_retriever.errors import DuplicateDocumentError, InvalidInputError
from s3_retriever.host.model import Host
from s3_retriever.host.taps import QueryHead
from s3_retriever.training import pairs as questions
from s3_retriever.training.calibrate import FROM_SCRATCH, CalibrateConfig, calibrate_heads
from s3_retriever.training.corpus import DenseCorpus
from s3_retriever.training.fit import calibrate_artifact
from s3_retriever.training.heatmap import heat_table, save_heat_map
from s3_retriever.training.pairs import Pair
from s3_retriever.training.survey import Survey, SurveyConfig, survey_host

_MAX_PAIRS, _MAX_TOKENS = 1000, 600_000  # that a host is calibrated on, unless told otherwise
_HEAD = re.compile(r"(\d+)\.(\d+)")
_OF_A_SURVEY = ("max_layer", "taps", "query_heads", "heat_map")


def read_choice(args: argparse.Namespace) -> tuple[list[QueryHead], SurveyConfig]:
    """Return the heads named, if any, and the settings of the survey; refuse what cannot be, at once.

    Raises:
        InvalidInputError: A head is malformed or a limit is out of range.
        MissingDependencyError: A heat map is wanted without matplotlib.
    """
    if args.heads and any(getattr(args, name) is not None for name in _OF_A_SURVEY):
        msg = (
            "--heads names the heads; --max-layer, --taps, --query-heads and --heat-map are for choosing them"
        )
        raise InvalidInputError(msg)
    if args.heat_map:
        check_plots()
        if not args.heat_map.absolute().parent.is_dir():
            msg = f"--heat-map: there is no folder {args.heat_map.absolute().parent}"
            raise InvalidInputError(msg)
    heads = [_parse_head(item.strip()) for item in args.heads.split(",")] if args.heads else []
    return heads, settings(
        SurveyConfig, args, names=("max_layer", "seed"), n_taps="--taps", n_heads="--query-heads"
    )


def read_learning(args: argparse.Namespace, base: CalibrateConfig = FROM_SCRATCH) -> CalibrateConfig:
    """Return the settings of a calibration.

    Raises:
        InvalidInputError: One is out of range.
    """
    return settings(CalibrateConfig, args, base, names=("epochs", "seed"))


def _parse_head(text: str) -> QueryHead:
    match = _HEAD.fullmatch(text)
    if not match:
        msg = f"--heads takes layer.head, such as 8.0,9.2, not {text!r}"
        raise InvalidInputError(msg)
    return QueryHead(int(match[1]), int(match[2]))


def survey_heads(
    args: argparse.Namespace,
    host: Host,
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    config: SurveyConfig,
) -> tuple[list[QueryHead], dict[str, Any]]:
    """Survey the host, say what was found, and return the heads chosen and the report.

    Raises:
        InvalidInputError: The host has no useful head.
    """
    began = time.perf_counter()
    found = survey_host(host, documents, pairs, config, show_progress=shows_progress(args))
    seconds = time.perf_counter() - began
    _show(found, seconds)
    if args.heat_map:
        save_heat_map(args.heat_map, found.choice.alone, found.choice.heads, title=host.name)
        say(f"wrote {args.heat_map}")
    measured = found.comparison
    if measured is not None and measured.useful is False:
        msg = (
            f"host {host.name!r} has no useful head in these layers: on {measured.questions} pairs held out, "
            f"the chosen ones find {measured.chosen:.3f} of the evidence, {measured.misled:.3f} when asked a "
            f"wrong question, random ones {measured.random:.3f}; try a deeper --max-layer, more pairs or "
            "another host, or name --heads yourself"
        )
        raise InvalidInputError(msg)
    return list(found.choice.heads), {**found.to_json(), "survey_seconds": round(seconds, 1)}


def _show(found: Survey, seconds: float) -> None:
    choice = found.choice
    say("evidence recall of each query head alone, in percent (* chosen):")
    console().print(heat_table(choice.alone, choice.heads))
    before = 0.0
    for head, recall in zip(choice.heads, choice.recalls, strict=True):
        alone = choice.alone[head]
        place = f"{head.layer}.{head.head}"
        say(f"{place}: alone {alone:.3f}, with those above {recall:.3f} ({recall - before:+.3f})")
        before = recall
    measured = found.comparison
    if measured is None:
        say(
            "all pairs are about one document: none are held out, so nothing shows whether the choice is good"
        )
    else:
        say(
            f"on {measured.questions} pairs held out: chosen {measured.chosen:.3f}, random heads "
            f"{measured.random:.3f}, all heads {measured.every:.3f}, chosen but asked a wrong question "
            f"{measured.misled:.3f} "
            f"(chosen - random {measured.chosen - measured.random:+.3f}, standard error {measured.error:.3f})"
        )
        if measured.useful is None:
            say("too few pairs are held out to show whether the choice is good: give more pairs")
        elif not measured.beats_random:
            say("the chosen heads are no better than random ones on these pairs")
    say(f"survey: {len(choice.alone)} heads in {seconds:.0f} s, {peak()}")


def calibrate_host(args: argparse.Namespace) -> Calibration:
    """Choose a host's heads and learn how they ask.

    Raises:
        InvalidInputError: The host has no useful head, or the input cannot be used.
    """
    config = read_learning(args)
    heads, survey_config = read_choice(args)
    documents, pairs = calibration_set(args.pairs, args.text)
    host = Host.load(args.target)
    documents, pairs = questions.limit(
        documents,
        pairs,
        max_pairs=args.max_pairs or _MAX_PAIRS,
        max_tokens=_MAX_TOKENS,
        count=host.count_tokens,
        seed=args.seed,
    )
    return learn(args, host, heads, documents, pairs, survey_config, config)[0]


def learn(
    args: argparse.Namespace,
    host: Host,
    heads: Sequence[QueryHead],
    documents: Sequence[Document],
    pairs: Sequence[Pair],
    survey_config: SurveyConfig,
    config: CalibrateConfig,
) -> tuple[Calibration, DenseCorpus]:
    """Choose heads where none are named, learn how they ask, and say what was found.

    Raises:
        InvalidInputError: The host has no useful head, or the input cannot be used.
    """
    report: dict[str, Any] = {}
    if not heads:
        heads, report = survey_heads(args, host, documents, pairs, survey_config)
    how = {"heads": "named" if args.heads else "surveyed", "pairs": len(pairs), "seed": args.seed}
    how |= {"epochs": config.epochs, "held_out_share": config.held_out_share}
    made, corpus = calibrate_heads(
        host,
        args.name or args.out.name,
        heads,
        documents,
        pairs,
        config=config,
        report=report,
        provenance={"calibrate": how},
        show_progress=shows_progress(args),
    )
    _say_learned(len(pairs), made.report["learned"])
    return made, corpus


def calibrate_again(args: argparse.Namespace, old: Artifact | Calibration) -> Artifact | Calibration:
    """Learn again how the heads of an artifact or a calibration ask; they and the means of their keys stay.

    Raises:
        InvalidInputError: Options choose other heads, or the input cannot be used.
        ArtifactError: The artifact or calibration belongs to another host.
    """
    for name in ("heads", *_OF_A_SURVEY, "max_pairs"):
        if getattr(args, name) is not None:
            option, what = f"--{name.replace('_', '-')}", old.folder_format.what
            msg = f"{option} is for a host; {what} keeps its heads: calibrate the host to choose others"
            raise InvalidInputError(msg)
    config = read_learning(args, CalibrateConfig() if isinstance(old, Artifact) else FROM_SCRATCH)
    documents, pairs = calibration_set(args.pairs, args.text)
    named = f"{old.folder_format.what} to calibrate"
    host = Host.recorded(old.host.get("name"), named) if args.host is None else Host.load(args.host)
    made: Artifact | Calibration
    if isinstance(old, Artifact):
        made = calibrate_artifact(
            host,
            old,
            documents,
            pairs,
            config=config,
            name=args.name or args.out.name,
            provenance={"calibrate": {"pairs": len(pairs), "epochs": config.epochs, "seed": config.seed}},
            show_progress=shows_progress(args),
        )
        learned = made.provenance["calibrate"]
    else:
        old.check_host(host)
        made, _ = calibrate_heads(
            host,
            args.name or args.out.name,
            old.query_heads,
            documents,
            pairs,
            config=config,
            key_means=old.key_means,
            report=old.report,
            provenance=old.provenance,
            show_progress=shows_progress(args),
        )
        learned = made.report["learned"]
    _say_learned(len(pairs), learned)
    return made


def _say_learned(n_pairs: int, learned: Mapping[str, Any]) -> None:
    losses = ", ".join(f"{loss:.3f}" for loss in learned["losses"])
    say(f"{n_pairs} pairs, loss per epoch (nats): {losses}")
    if learned["held_out_losses"]:
        (loss, lower), (recall, higher) = learned["held_out_losses"], learned["held_out_recalls"]
        say(f"pairs held out: {loss:.3f} before, {lower:.3f} after; recall {recall:.3f}, {higher:.3f}")


def calibration_set(pairs_path: Path | None, text_path: Path | None) -> tuple[list[Document], list[Pair]]:
    """Return the shipped questions and the user's, with the documents that either need.

    Raises:
        InvalidInputError: One path comes without the other, a file is malformed, two documents have one id,
            or no pair has its document.
    """
    documents, pairs = questions.shipped_pairs()
    if pairs_path is None and text_path is None:
        return documents, pairs
    if pairs_path is None or text_path is None:
        msg = (
            "--pairs and --text belong together: the questions, and the documents that answer them; "
            f"'{PROGRAM} pairs' makes questions from documents"
        )
        raise InvalidInputError(msg)
    texts = distinct_texts(text_path)
    own = questions.read_pairs(pairs_path, texts)
    if not own:
        msg = f"no pair of {pairs_path} has its document in {text_path}: compare doc_id with _id"
        raise InvalidInputError(msg)
    needed = {pair.doc_id for pair in own}
    return [*documents, *(document for key, document in texts.items() if key in needed)], [*pairs, *own]


def distinct_texts(path: Path) -> dict[str, Document]:
    """Read all documents of a file, by id.

    Raises:
        InvalidInputError: The file cannot be read, a line is malformed, or two documents have one id.
    """
    try:
        return {document.id: document for document in distinct(questions.read_texts(path))}
    except DuplicateDocumentError as error:
        msg = f"{path}: {error}"
        raise DuplicateDocumentError(msg) from error
