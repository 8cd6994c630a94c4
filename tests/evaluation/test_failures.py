"""Excerpts of documents as a report shows them."""

from __future__ import annotations

from s3_retriever import Document
from s3_retriever.evaluation.datasets import EvaluationSet
from s3_retriever.evaluation.metrics import Region
from s3_retriever.evaluation.readability import Fault
from s3_retriever.evaluation.report.failures import bad_passages


def test_what_stands_around_an_excerpt_begins_and_ends_with_whole_words() -> None:
    words = [f"word{number:03}" for number in range(200)]
    text = " ".join(words)
    documents = (Document("a", text), Document("b", "x" * 500))
    data = EvaluationSet("set", documents, ())
    for start, end in ((0, 7), (400, 407), (403, 405), (200, 900), (1592, 1599)):
        (shown,) = bad_passages([Fault("short", "set", "?", Region("a", start, end))], [data])
        passage = shown.passage
        assert text[start:end].startswith(passage.text.removesuffix(" …"))
        assert text[:start].endswith(passage.before)
        assert text[end:].startswith(passage.after)
        assert set(passage.before.split()[: -1 if start % 8 else None]) <= set(words)
        assert set(passage.after.split()[1 if end % 8 != 7 else 0 :]) <= set(words)
        assert set(passage.text.removesuffix(" …").split()[1:-1]) <= set(words)
    (shown,) = bad_passages([Fault("short", "set", "?", Region("b", 100, 480))], [data])
    assert shown.passage.text == f"{'x' * 320} …"
