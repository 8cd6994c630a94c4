"""What finding and checking the default host's keys costs, as a program: CPU time of one core."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from s3_retriever.host import Host
from s3_retriever.host.discovery import discover, probe_ids
from s3_retriever.host.projections import Projections
from s3_retriever.host.verification import _Singles, verify


def seconds(step: Callable[[], object]) -> float:
    """Return the median of seven."""
    taken = []
    for _ in range(7):
        began = time.process_time()
        step()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def main() -> None:
    """Print the cost of each step."""
    torch.set_num_threads(1)
    host = Host.load()
    decoder = host._reading.decoder
    with torch.inference_mode():
        ids, found = probe_ids(decoder), Projections(decoder, host.places)
        steps = {
            "a bare pass over the single tokens": lambda: decoder(input_ids=ids, use_cache=False),
            "finding what is read in that pass": lambda: discover(host.name, decoder, None),
            "checking it in that pass, were it known": lambda: _Singles(host.name, found).run(decoder, ids),
            "checking it in the pass over sequences": lambda: verify(host.name, decoder, found),
        }
        for name, step in steps.items():
            sys.stdout.write(f"{name}: {seconds(step):.2f} s\n")


if __name__ == "__main__":
    main()
