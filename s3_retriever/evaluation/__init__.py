"""How good and how fast: evaluation sets, metrics, baselines and the benchmark.

``python -m s3_retriever.evaluation FOLDER`` runs it all; see :mod:`s3_retriever.evaluation.benchmark.run`.
"""

from s3_retriever.evaluation.datasets import EvaluationSet, Question, load_set, load_sets
from s3_retriever.evaluation.metrics import Overlap, Region, evidence_recall, overlap

__all__ = [
    "EvaluationSet",
    "Overlap",
    "Question",
    "Region",
    "evidence_recall",
    "load_set",
    "load_sets",
    "overlap",
]
