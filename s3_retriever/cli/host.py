"""The command ``host``: what is read of a language model, layer by layer, and why a layer is left out."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from s3_retriever.cli.shared import Command, common, say
from s3_retriever.terminal import printable

if TYPE_CHECKING:
    from s3_retriever.host.readings import LayerHeads

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def _host(args: argparse.Namespace) -> None:
    from s3_retriever.host.model import Host

    host = Host.load(args.host)
    say(
        f"host {printable(host.name)} ({host.identity['model_type']}): {host.n_layers} layers x "
        f"{host.n_query_heads} query heads, {host.n_key_heads} key heads, {host.head_dim} wide; "
        f"takes {host.max_tokens:,} tokens"
    )
    model, tokenizer = host.model, host.tokenizer
    began = time.process_time()
    places = Host(model=model, tokenizer=tokenizer, name=host.name).places
    say(
        f"what its attention gets was {places.source}, and checked on this model, in "
        f"{time.process_time() - began:.1f} s of one core:"
    )
    kinds: dict[tuple[str, ...], list[int]] = {}
    for number, layer in sorted(places.heads.items()):
        kinds.setdefault(_described(layer), []).append(number)
    for lines, numbers in kinds.items():
        say(f"layers {_ranges(numbers)}: {printable(lines[0])}")
        for line in lines[1:]:
            say(f"  {printable(line)}")
    reasons: dict[str, list[int]] = {}
    for number, reason in sorted(places.left_out.items()):
        reasons.setdefault(_NUMBER.sub("*", reason), []).append(number)
    for reason, numbers in reasons.items():
        say(f"layers {_ranges(numbers)} left out: {printable(reason)}")


def _described(layer: LayerHeads) -> tuple[str, ...]:
    n_queries, n_keys = layer.queries.n_heads, layer.keys.n_heads
    lines = [f"{layer.attention}, {n_queries} query heads, {n_keys} key heads, {layer.keys.width} wide"]
    for what, heads in (("queries", layer.queries), ("keys", layer.keys), ("values", layer.values)):
        lines.append(f"{what}: {'not found' if heads is None else heads}")
    return tuple(_NUMBER.sub("*", line) for line in lines)


def _ranges(numbers: Iterable[int]) -> str:
    """Write ascending numbers, runs of them as first-last."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


HOST = Command(
    "host",
    "load a language model and say where its queries and keys are read",
    ("host", "host Qwen/Qwen3-0.6B"),
    {**common("host")},
    _host,
)
