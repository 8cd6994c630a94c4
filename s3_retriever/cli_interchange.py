"""The commands that exchange SAEs with other libraries: ``export`` and ``import``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s3_retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from s3_retriever.features.statistics import TapStatistics


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``export``."""
    parser.add_argument("artifact", metavar="ARTIFACT", help="fast, best, or a folder")
    parser.add_argument(
        "--format",
        choices=("saelens",),
        default="saelens",
        help="layout to write (default: %(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="new folder, for one folder per tap"
    )


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``import``."""
    parser.add_argument(
        "saes",
        type=Path,
        metavar="SAES",
        help="folder of an SAE (SAELens or sparsify, Top-k), or a folder of such folders, as 'export' writes",
    )
    parser.add_argument(
        "--into",
        required=True,
        metavar="ARTIFACT",
        help="fast, best, or a folder: has the taps",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the new artifact")
    parser.add_argument("--name", help="name of the new artifact (default: that of the folder)")
    parser.add_argument(
        "--statistics",
        type=Path,
        metavar="FILE",
        help="for one SAE: its tap and the mean of its keys (default: s3_retriever.json in its folder)",
    )


def export(args: argparse.Namespace) -> None:
    """Run ``export``."""
    from s3_retriever.features.artifact import Artifact
    from s3_retriever.features.interchange import export_saelens

    artifact = Artifact.load(args.artifact)
    export_saelens(artifact, args.out)
    for codec in artifact.codecs:
        sae = codec.sae
        size = f"{sae.n_features} features of {sae.dim} dimensions, k = {sae.k}"
        sys.stdout.write(f"{args.out / str(codec.tap)}: {size}\n")


def import_(args: argparse.Namespace) -> None:
    """Run ``import``."""
    from dataclasses import replace

    from s3_retriever.features.artifact import FORM, Artifact
    from s3_retriever.features.interchange import import_sae, probe_quality, with_sae

    FORM.check_target(args.out)
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
            fvus = f"fvu {after:.3f} on the keys of the artifact's probe, {before:.3f} before"
            sys.stdout.write(f"tap {now.tap}: {fvus}\n")
            moved += [str(now.tap)] if (was.mean != now.mean).any() else []
    sys.stdout.write(f"wrote {args.out}\n")
    if moved:
        sys.stdout.write(f"the mean key of {', '.join(moved)} is another: calibrate the artifact again\n")


def _read_statistics(saes: Path, given: Path | None) -> dict[Path, TapStatistics]:
    """Return the folders of SAEs with what is known about their inputs."""
    from s3_retriever.features.interchange import CONFIG_FILE, STATISTICS_FILE
    from s3_retriever.features.statistics import TapStatistics

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
