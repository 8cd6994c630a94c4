"""Indexes a Parquet file on a cluster of its own, with a checkpoint; what the tests kill."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ray.data
from ray.data.checkpoint import CheckpointConfig
from ray_cluster import start_cluster  # beside this file

from s3_retriever import Artifact, ClusterConfig, RetrieverConfig, ScanConfig
from s3_retriever.cluster.dataset import index_dataset


def main() -> None:
    """Run the job that the file named as the only argument describes; print lines as it goes on."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    start_cluster()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=job["checkpoint"])
    print("scanning", flush=True)  # noqa: T201
    report = index_dataset(
        ray.data.read_parquet(job["corpus"]),
        job["path"],
        host=job["host"],
        artifact=Artifact.load(job["artifact"]),
        config=RetrieverConfig(scan=ScanConfig(**job["scan"])),
        cluster=ClusterConfig(workers=2, pack_bytes=job["pack_bytes"], patience=300),
    )
    print("done", report.documents, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
