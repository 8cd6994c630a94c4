"""The command ``analyze``: how few features a host's keys and values need."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from s3_retriever.checks import check_plots
from s3_retriever.errors import InvalidInputError
from s3_retriever.files import new_folder

_JSON = "analysis.json"


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``analyze``."""
    parser.add_argument("host", nargs="?", metavar="HOST", help="language model; the default host if omitted")
    parser.add_argument("--text", type=Path, required=True, metavar="TEXT.jsonl", help="lines {text}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--layers", metavar="L,L,...", help="layers to analyse (default: four, evenly spread)"
    )
    parser.add_argument(
        "-k", dest="budgets", default="2,4,8,16,32", metavar="K,K,...", help="default: %(default)s"
    )
    parser.add_argument("--features", type=int, default=512, help="features per SAE (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1000, help="training steps (default: %(default)s)")
    parser.add_argument(
        "--tokens", type=int, default=60_000, help="tokens to train on (default: %(default)s)"
    )
    parser.add_argument(
        "--held-out-tokens", type=int, default=8192, help="tokens to measure on (default: %(default)s)"
    )
    parser.add_argument(
        "--row-tokens", type=int, default=256, help="tokens that see each other (default: %(default)s)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.02,
        help="share by which perplexity may rise at the dual budget (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--plots", action="store_true", help='draw pictures; needs "s3-retriever[plots]"')


def analyze(args: argparse.Namespace) -> None:
    """Run ``analyze``."""
    from s3_retriever.analysis import analyze as analysis
    from s3_retriever.analysis.plots import draw
    from s3_retriever.analysis.report import to_markdown
    from s3_retriever.features.pairs import read_texts
    from s3_retriever.host.model import Host

    config = analysis.AnalyzeConfig(
        layers=_numbers("--layers", args.layers) if args.layers else None,
        budgets=_numbers("-k", args.budgets),
        n_features=args.features,
        steps=args.steps,
        tokens=args.tokens,
        held_out_tokens=args.held_out_tokens,
        row_tokens=args.row_tokens,
        tolerance=args.tolerance,
        seed=args.seed,
    )
    if args.plots:
        check_plots()
    if args.out.exists() and not (args.out / _JSON).is_file():
        msg = f"{args.out} exists and holds no analysis (no {_JSON}); choose another folder"
        raise InvalidInputError(msg)
    args.text.stat()  # fails now rather than after the host is loaded
    host = Host.load(args.host)
    results = analysis.analyze(host, read_texts(args.text), config, progress=sys.stderr.isatty())
    report = to_markdown(results)
    with new_folder(args.out) as folder:
        folder.mkdir()
        (folder / _JSON).write_text(json.dumps(results.to_json(), indent=1) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(report, encoding="utf-8")
        if args.plots:
            draw(results, folder)
    sys.stdout.write(f"{report}\nwrote {args.out}\n")


def _numbers(option: str, text: str) -> tuple[int, ...]:
    items = [item.strip() for item in text.split(",")]
    if not all(item.isdecimal() for item in items):
        msg = f"{option} takes whole numbers, such as 2,8, not {text!r}"
        raise InvalidInputError(msg)
    return tuple(map(int, items))
