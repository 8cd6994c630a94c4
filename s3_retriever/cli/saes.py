"""The commands about sparse autoencoders: ``export`` and ``import`` exchange them, ``analyze`` tries them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.checks import check_plots
from s3_retriever.cli.shared import Command, common, required, say, settings, shows_progress
from s3_retriever.disk import new_folder, refuse_foreign, write_file, write_json
from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.training.saelens import TapStatistics

_ANALYSIS = "analysis.json"


def _export(args: argparse.Namespace) -> None:
    from s3_retriever.encode.artifact import Artifact
    from s3_retriever.training.saelens import export_saelens

    artifact = Artifact.load(args.artifact)
    export_saelens(artifact, args.out)
    for codec in artifact.codecs:
        sae = codec.sae
        say(f"{args.out / str(codec.tap)}: {sae.n_features} features of {sae.dim} dimensions, k = {sae.k}")


EXPORT = Command(
    "export",
    "write an artifact's sparse autoencoders as folders that SAELens loads",
    ("export fast --format saelens --out saes",),
    {
        "artifact ARTIFACT": "tiny, fast, best, or a folder",
        "--format": {
            "choices": ("saelens",),
            "default": "saelens",
            "help": "layout to write (default: %(default)s)",
        },
        "--out DIR": required("new folder, for one folder per tap"),
    },
    _export,
)


def _import(args: argparse.Namespace) -> None:
    from s3_retriever.encode.artifact import Artifact
    from s3_retriever.training.saelens import import_sae, probe_quality, with_sae

    Artifact.folder_format.check_target(args.out)
    old = new = Artifact.load(args.into)
    found = _read_statistics(args.saes, args.statistics)
    for folder, statistics in found.items():
        new = with_sae(new, import_sae(folder), statistics)
    imported = {str(statistics.tap): folder.resolve().name for folder, statistics in found.items()}
    provenance = {**old.provenance, "import": {**old.provenance.get("import", {}), **imported}}
    new = replace(new, name=args.name or args.out.name, provenance=provenance)
    new.save(args.out)
    moved = []
    for was, now in zip(old.codecs, new.codecs, strict=True):
        if str(now.tap) in imported:
            before, after = (probe_quality(old, c.tap, c.mean, c.sae).fvu for c in (was, now))
            say(f"tap {now.tap}: fvu {after:.3f} on the artifact's fingerprint, {before:.3f} before")
            moved += [str(now.tap)] if (was.mean != now.mean).any() else []
    say(f"wrote {args.out}")
    if moved:
        say(f"the mean key of {', '.join(moved)} has changed: calibrate the artifact again")


def _read_statistics(saes: Path, given: Path | None) -> dict[Path, TapStatistics]:
    """Return the folders of SAEs with what is known about their inputs."""
    from s3_retriever.training.saelens import CONFIG_FILE, STATISTICS_FILE, TapStatistics

    inner = sorted(path.parent for path in saes.glob(f"*/{CONFIG_FILE}"))
    folders = [saes] if (saes / CONFIG_FILE).is_file() else inner
    if not folders:
        msg = f"{saes} holds no SAE: there is no {CONFIG_FILE}, neither in it nor in a folder in it"
        raise InvalidInputError(msg)
    if given is not None and len(folders) > 1:
        msg = f"--statistics is for one SAE, and {saes} holds {len(folders)}; name the folder of one"
        raise InvalidInputError(msg)
    found: dict[Path, TapStatistics] = {}
    for folder in folders:
        statistics = TapStatistics.read(given or folder / STATISTICS_FILE)
        for other, earlier in found.items():
            if earlier.tap == statistics.tap:
                msg = f"{other} and {folder} are both for tap {statistics.tap}; import one of them"
                raise InvalidInputError(msg)
        found[folder] = statistics
    return found


IMPORT = Command(
    "import",
    "put sparse autoencoders of SAELens or sparsify in the place of an artifact's",
    ("import saes --into fast --out my-artifact",),
    {
        "saes SAES_DIR": "folder of a sparse autoencoder (SAELens or sparsify, Top-k), or a folder of such "
        "folders, as 'export' writes",
        "--into ARTIFACT": required("artifact with the taps: tiny, fast, best, or a folder"),
        "--out DIR": required("folder for the new artifact"),
        **common("--name"),
        "--statistics FILE": "for one autoencoder: its tap and the mean of its keys (default: "
        "s3_retriever.json in its folder)",
    },
    _import,
)


def _analyze(args: argparse.Namespace) -> None:
    from s3_retriever.analysis.analyze import AnalyzeConfig, analyze
    from s3_retriever.analysis.report import draw, to_markdown
    from s3_retriever.host.model import Host
    from s3_retriever.training.pairs import read_texts

    args.layers = _numbers("--layers", args.layers)
    args.k = _numbers("-k", args.k)
    config = settings(AnalyzeConfig, args, budgets="-k", n_features="--features")
    if args.plots:
        check_plots()
    refuse_foreign(args.out, "an analysis", lambda _: False, marker=_ANALYSIS)
    next(read_texts(args.text), None)  # fails now rather than after the host is loaded
    host = Host.load(args.host)
    results = analyze(host, read_texts(args.text), config, show_progress=shows_progress(args))
    report = to_markdown(results)
    with new_folder(args.out, follow=True) as folder:
        write_json(folder / _ANALYSIS, results.to_json(), fresh=True)
        write_file(folder / "report.md", report.encode(), fresh=True)
        if args.plots:
            draw(results, folder)
    say(f"{report}\nwrote {args.out}")


def _numbers(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    items = [item.strip() for item in text.split(",")]
    if not all(item.isdecimal() for item in items):
        msg = f"{option} takes whole numbers, such as 2,8, not {text!r}"
        raise InvalidInputError(msg)
    return list(map(int, items))


ANALYZE = Command(
    "analyze",
    "measure how few features a host's keys and values need (STA-Attention)",
    ("analyze --text text.jsonl --out analysis --plots",),
    {
        **common("host", "--text"),
        "--out DIR": required("folder for the results"),
        "--layers L,L,...": "layers to analyse (default: four, evenly spread)",
        "-k K,K,...": "features per vector to try (default: 2,4,8,16,32)",
        "--features N": "features per autoencoder (default: 512)",
        "--steps N": "training steps (default: 1000)",
        "--tokens N": "tokens to train on (default: 60000)",
        "--held-out-tokens N": "tokens to measure on (default: 8192)",
        "--row-tokens N": "tokens that see each other (default: 256)",
        "--tolerance SHARE": {
            "type": float,
            "help": "share by which perplexity may rise at the dual budget (default: 0.02)",
        },
        **common("--seed"),
        "--plots": 'draw pictures; needs "s3-retriever[plots]"',
        **common("--no-progress"),
    },
    _analyze,
)
