"""Two builds of s3_retriever beside each other: ``python -m s3_retriever.evaluation.benchmark.builds``.

Each figure is a ratio of this build to another checkout, measured in turn (A B A B) in fresh processes of one
interpreter. It writes every value, medians and spreads as JSON, a table, and a plot.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s3_retriever.disk import write_json
from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.datasets import load_sets

_CHILD = Path(__file__).with_name("child.py")
_THIS = Path(__file__).parents[3]
_HIGHER_IS_BETTER = ("tokens_per_s", "tokens_per_s_busy")


class _Turns:
    """Runs a task of each build in turn, and keeps every value.

    Args:
        builds: Checkout of each build, by its name.
        out: Folder that has an index of each build.

    Attributes:
        values: Of each quantity, by build.
    """

    def __init__(self, builds: Mapping[str, Path], out: Path) -> None:
        self._builds, self._out = builds, out
        self.values: dict[str, dict[str, list[float]]] = {}

    def take(self, task: str, *arguments: object, index: str = "", name: str = "{}") -> dict[str, Any]:
        """Run a task of both builds.

        Args:
            task: A function of ``child.py``.
            arguments: For it.
            index: Name of an index; each build gets its own as the first argument.
            name: What the quantities are called, around their own name.

        Returns:
            What each build printed.
        """
        found = {}
        for build, checkout in self._builds.items():
            own = [self._out / build / index] if index else []
            found[build] = _child(checkout, task, *own, *arguments)
            for key, value in found[build].items():
                if isinstance(value, (int, float)):
                    self.values.setdefault(name.format(key), {}).setdefault(build, []).append(value)
        return found


def measure(
    data: str, base: Path, out: Path, sizes: Sequence[int], rounds: int, scanned: int
) -> dict[str, Any]:
    """Measure both builds in turn and return all figures, by name.

    Args:
        data: Folder of evaluation sets.
        base: Checkout of the older build.
        out: Folder for the indexes; those that are there are used again.
        sizes: Tokens of the corpora that are searched.
        rounds: Turns.
        scanned: Tokens that are scanned in each turn.

    Raises:
        S3RetrieverError: A child failed; its last lines are in the message.
    """
    builds = {"old": base, "new": _THIS}
    turns = _Turns(builds, out)
    questions, same = _questions(data, out), {}
    for size in map(str, sizes):
        for build, checkout in builds.items():
            if not (out / build / size).exists():
                _child(checkout, "build", data, out / build / size, size)
        for _ in range(rounds):
            found = turns.take("ask", questions, index=size, name=size + " {}")
            same[f"{size} same_spans"] = _share_equal(found["old"]["spans"], found["new"]["spans"])
            turns.take("cold", "What is this about?", index=size, name=size + " {}")
        turns.take("size", index=size, name=size + " {}")
    for _ in range(rounds):
        turns.take("scan", data, scanned)
        with _busy(2):
            turns.take("scan", data, scanned, name="{}_busy")
    turns.take("adds", 400)
    return {name: summary(**values) for name, values in turns.values.items()} | same


def summary(old: Sequence[float], new: Sequence[float]) -> dict[str, Any]:
    """Return the values of both builds, their medians and spreads, and the ratio of the medians."""
    medians = statistics.median(old), statistics.median(new)
    return {
        "old": old,
        "new": new,
        "old_median": medians[0],
        "new_median": medians[1],
        "new_over_old": medians[1] / medians[0],
        "old_spread": [min(old), max(old)],
        "new_spread": [min(new), max(new)],
    }


def _questions(data: str, out: Path) -> Path:
    texts = [question.text for one in load_sets(data) for question in one.questions[:16]]
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "questions.json", texts)
    return out / "questions.json"


def _share_equal(old: Sequence[Sequence[str]], new: Sequence[Sequence[str]]) -> float:
    return sum(set(a) == set(b) for a, b in zip(old, new, strict=True)) / len(old)


def _child(checkout: Path, *arguments: object) -> dict[str, Any]:
    """Run a task of ``child.py`` with the build of a checkout."""
    run = subprocess.run(  # noqa: S603
        [sys.executable, str(_CHILD), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if run.returncode:
        tail = " | ".join(run.stderr.strip().splitlines()[-3:])
        msg = f"{arguments[0]} of the build in {checkout} failed: {tail}"
        raise S3RetrieverError(msg)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


@contextmanager
def _busy(n: int) -> Iterator[None]:
    """Keep ``n`` other processes busy."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def machine() -> dict[str, Any]:
    """Describe the machine, and what else keeps it busy."""
    import psutil

    own = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    others = [process for process in psutil.process_iter(["name"]) if process.pid not in own]
    for process in others:
        _share(process)
    psutil.cpu_percent(1.0)
    busy = {process.info["name"]: share for process in others if (share := _share(process)) > 10}
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "other_processes": busy,
    }


def _share(process: Any) -> float:
    """Return the per cent of a core that a process took since this was last asked, 0 where it has ended."""
    import psutil

    try:
        return float(process.cpu_percent())
    except psutil.Error:
        return 0.0


def plot(figures: dict[str, Any], path: Path) -> None:
    """Draw each ratio as a bar; longer than 1 is slower or larger."""
    from matplotlib.figure import Figure

    ratios = {name: one["new_over_old"] for name, one in figures.items() if isinstance(one, dict)}
    ratios = {name: 1 / r if name in _HIGHER_IS_BETTER else r for name, r in ratios.items()}
    figure = Figure(figsize=(8, 0.4 * len(ratios) + 1), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(ratios), list(ratios.values()), color="#2a6fbb")
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("this build over the older one (speeds inverted); less is better")
    figure.savefig(path)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write ``speed.json`` and ``speed.svg``; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", help="folder of evaluation sets")
    parser.add_argument("--base", type=Path, required=True, help="checkout of the older build")
    parser.add_argument("--out", type=Path, required=True, help="folder for indexes and results")
    parser.add_argument("--sizes", type=int, nargs="+", default=[130_000, 1_000_000], help="tokens searched")
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    parser.add_argument("--scan-tokens", type=int, default=30_000, help="tokens scanned in each turn")
    args = parser.parse_args(argv)
    before = machine()
    figures = measure(
        args.data, args.base.resolve(), args.out.resolve(), args.sizes, args.rounds, args.scan_tokens
    )
    write_json(args.out / "speed.json", {"machine": before, "afterwards": machine(), "figures": figures})
    plot(figures, args.out / "speed.svg")
    for name, one in figures.items():
        if isinstance(one, dict):
            old, new = (
                f"{one[f'{b}_median']:,.4g} ({one[f'{b}_spread'][0]:,.4g}-{one[f'{b}_spread'][1]:,.4g})"
                for b in ("old", "new")
            )
            print(f"{name:34} {old:>32} {new:>32} {one['new_over_old']:8.3f}")  # noqa: T201
        else:
            print(f"{name:34} {one:.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
