"""Starts a Ray cluster of this machine."""

from __future__ import annotations

import ray


def start_cluster(attempts: int = 4) -> None:
    """Two CPUs, and little memory for objects.

    Ray gives up a node that is not up within 30 seconds, which happens where much else runs.
    """
    try:
        ray.init(
            "local",  # not one that runs on this machine
            num_cpus=2,
            object_store_memory=150_000_000,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:
        ray.shutdown()
        if "timed out during startup" not in str(error) or attempts == 1:
            raise
        start_cluster(attempts - 1)
