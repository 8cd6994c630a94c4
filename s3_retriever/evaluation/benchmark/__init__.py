"""Recall, throughput, latency, size and memory of artifacts: ``python -m s3_retriever.evaluation``."""
