"""What a server has done, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from s3_retriever.server.served import Served

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of what :meth:`Metrics.text` returns."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts and times of one server, in a registry of its own.

    Args:
        served: Whose documents are counted.
    """

    def __init__(self, served: Served) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "requests",
            "Requests answered.",
            ("method", "route", "status"),
            namespace="s3_retriever",
            registry=registry,
        )
        self._seconds = Histogram(
            "request_seconds",
            "Seconds from a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            namespace="s3_retriever",
            registry=registry,
        )
        self._questions = Counter(
            "questions", "Questions answered.", namespace="s3_retriever", registry=registry
        )
        self._batch = Histogram(
            "batch_questions",
            "Questions answered together.",
            buckets=_SIZES,
            namespace="s3_retriever",
            registry=registry,
        )
        self._waited = Histogram(
            "wait_seconds",
            "Seconds that a batch waited for the one before.",
            buckets=_SECONDS,
            namespace="s3_retriever",
            registry=registry,
        )
        self._searched = Histogram(
            "search_seconds",
            "Seconds that a batch was searched for.",
            buckets=_SECONDS,
            namespace="s3_retriever",
            registry=registry,
        )
        self._waiting = Gauge(
            "waiting_questions", "Questions that wait.", namespace="s3_retriever", registry=registry
        )
        documents = Gauge("documents", "Documents of the index.", namespace="s3_retriever", registry=registry)
        documents.set_function(lambda: len(served.newest.snapshot))
        tokens = Gauge("tokens", "Tokens of the index.", namespace="s3_retriever", registry=registry)
        tokens.set_function(lambda: served.newest.snapshot.n_tokens)
        stale = Gauge(
            "index_stale",
            "1 where the folder's newest version cannot be read.",
            namespace="s3_retriever",
            registry=registry,
        )
        stale.set_function(lambda: float(bool(served.stale)))

    def watch(self, waiting: Callable[[], int]) -> None:
        """Tell how many questions wait, whenever asked."""
        self._waiting.set_function(waiting)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; ``route`` is the pattern, so that the series stay few."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def answered(self, questions: int) -> None:
        """Count questions."""
        self._questions.inc(questions)

    def batch(self, questions: int, waited: float) -> None:
        """Count a batch and how long it waited, in seconds."""
        self._batch.observe(questions)
        self._waited.observe(waited)

    def searched(self, seconds: float) -> None:
        """Count how long a batch was searched for."""
        self._searched.observe(seconds)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)
