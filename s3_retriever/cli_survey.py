"""Which heads the commands use: those named, or those that a survey of the host chooses."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from s3_retriever.checks import check_plots
from s3_retriever.cli_shared import parse_heads, peak, say, shows_progress
from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.documents import Document
    from s3_retriever.features.pairs import Pair
    from s3_retriever.features.survey import Survey, SurveyConfig
    from s3_retriever.host.model import Host
    from s3_retriever.host.taps import QueryHead


def check_choice(args: argparse.Namespace) -> tuple[list[QueryHead], SurveyConfig]:
    """Return the heads named, if any, and the settings of the survey; refuse what cannot be, at once.

    Raises:
        InvalidInputError: A head is malformed or a limit is out of range.
        MissingDependencyError: A heat map is wanted without matplotlib.
    """
    from s3_retriever.features.survey import SurveyConfig

    heads = parse_heads(args.heads) if args.heads else []
    limits = {"max_layer": args.max_layer, "n_taps": args.taps, "n_heads": args.query_heads}
    given = {name: value for name, value in limits.items() if value is not None}
    if args.heads and (given or args.heat_map):
        msg = (
            "--heads names the heads; --max-layer, --taps, --query-heads and --heat-map are for choosing them"
        )
        raise InvalidInputError(msg)
    if args.heat_map:
        check_plots()
        if not args.heat_map.absolute().parent.is_dir():
            msg = f"--heat-map: there is no folder {args.heat_map.absolute().parent}"
            raise InvalidInputError(msg)
    return heads, SurveyConfig(**given, seed=args.seed)


def surveyed(
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
    from s3_retriever.features.calibrate_host import Sample, survey_host, survey_report

    began = time.perf_counter()
    found = survey_host(
        host,
        documents,
        pairs,
        config,
        sample=Sample(seed=args.seed),
        progress=shows_progress(),
    )
    seconds = time.perf_counter() - began
    _show(found, seconds)
    if args.heat_map:
        from s3_retriever.features.heatmap import save_heat_map

        save_heat_map(args.heat_map, found.choice.alone, found.choice.heads, title=host.name)
        say(f"wrote {args.heat_map}")
    held_out = found.held_out
    if held_out is not None and held_out.useful is False:
        msg = (
            f"host {host.name!r} has no useful head in these layers: on {held_out.questions} pairs held out, "
            f"the chosen ones find {held_out.chosen:.3f} of the evidence, {held_out.misled:.3f} when asked a "
            f"wrong question, random ones {held_out.random:.3f}; try a deeper --max-layer, more pairs or "
            "another host, or name --heads yourself"
        )
        raise InvalidInputError(msg)
    return list(found.choice.heads), {**survey_report(found), "survey_seconds": round(seconds, 1)}


def _show(found: Survey, seconds: float) -> None:
    from rich.console import Console

    from s3_retriever.features.heatmap import heat_table

    choice = found.choice
    say("evidence recall of each query head alone, in percent (* chosen):")
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200).print(
        heat_table(choice.alone, choice.heads)
    )
    before = 0.0
    for head, recall in zip(choice.heads, choice.recalls, strict=True):
        alone = choice.alone[head]
        place = f"{head.layer}.{head.head}"
        say(f"{place}: alone {alone:.3f}, with those above {recall:.3f} ({recall - before:+.3f})")
        before = recall
    held_out = found.held_out
    if held_out is None:
        say("all pairs are of one document: none are held out, so nothing tells whether the choice is good")
    else:
        say(
            f"on {held_out.questions} pairs held out: chosen {held_out.chosen:.3f}, random heads "
            f"{held_out.random:.3f}, all heads {held_out.every:.3f}, chosen but asked a wrong question "
            f"{held_out.misled:.3f} "
            f"(chosen - random {held_out.chosen - held_out.random:+.3f}, standard error {held_out.error:.3f})"
        )
        if held_out.useful is None:
            say("so few pairs held out do not tell whether the choice is any good: give more")
        elif not held_out.beats_random:
            say("the chosen heads are no better than random ones on these pairs")
    say(f"survey: {len(choice.alone)} heads in {seconds:.0f} s, {peak()}")
