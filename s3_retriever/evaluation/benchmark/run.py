"""The benchmark: everything that is claimed of the retriever, measured in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from s3_retriever.checks import check_settings, each, instance, optional, whole
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.benchmark.memory import ScanMemory, measure_memory
from s3_retriever.evaluation.benchmark.speed import (
    DiskSize,
    Latency,
    Throughput,
    in_turns,
    limited,
    measure_disk_size,
    measure_latency,
    measure_throughput,
    repeated_corpus,
)
from s3_retriever.evaluation.datasets import EvaluationSet, load_sets
from s3_retriever.evaluation.hosts import AskedOnceHost
from s3_retriever.evaluation.methods import FUSED, WINDOW_BM25, Built, Corpus, Method, WindowSystem, searcher
from s3_retriever.evaluation.records import Result
from s3_retriever.evaluation.rivals.embeddings import MINILM
from s3_retriever.evaluation.rivals.minilm import MiniLM
from s3_retriever.evaluation.rivals.windows import WINDOW_SIZES
from s3_retriever.evaluation.runner import BUDGETS, ask
from s3_retriever.evaluation.summary import Comparison, compare
from s3_retriever.host.model import Host
from s3_retriever.retriever import S3Retriever

THROUGHPUT_TOKENS = 40_000
"""About how much text the throughput is measured on."""

LARGE_CORPUS = 1_000_000
"""Tokens of the corpus that shows the latency at size."""

_LATENCY_QUESTIONS = 50  # per corpus
_WITH_ARTIFACT = ("s3", "hybrid", "paper")


@dataclass(frozen=True)
class BenchConfig:
    """What to measure.

    Attributes:
        artifacts: Names or folders.
        sets: Names of the sets; all if empty.
        questions: Ask only so many questions per set, for a quick look.
        minilm: Whether to compare with the embedding model.
        speed: Whether to measure throughput and latency.
        memory: Whether to measure the memory of the scan.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    artifacts: tuple[str, ...]
    sets: tuple[str, ...] = ()
    questions: int | None = None
    minilm: bool = True
    speed: bool = True
    memory: bool = False

    def __post_init__(self) -> None:
        names = instance(str, "a name")
        check_settings(self, artifacts=each(names), sets=each(names, least=0), questions=optional(whole(1)))


@dataclass(frozen=True)
class Results:
    """What was measured; a field stays empty where it was not asked for.

    Attributes:
        comparisons: Of all methods by every measure and budget; those of our retriever that use an artifact
            begin with its name, and every window size is a method of its own.
        baselines: Names of the methods that S3 is compared with.
        sizes: Of saved indexes.
        latencies: Of questions.
        throughputs: Of scans.
        memory: Of scans.
    """

    comparisons: tuple[Comparison, ...]
    baselines: tuple[str, ...]
    sizes: tuple[DiskSize, ...]
    latencies: tuple[Latency, ...]
    throughputs: tuple[Throughput, ...]
    memory: tuple[ScanMemory, ...]


def run_bench(
    data: str | Path,
    config: BenchConfig,
    *,
    host: Host | None = None,
    say: Callable[[str], None] | None = None,
) -> Results:
    """Measure.

    Args:
        data: Folder of evaluation sets.
        config: What to measure.
        host: The artifacts' host; the default one if None.
        say: Called with what is about to be done.

    Raises:
        S3RetrieverError: The data, an artifact, the host or the embedding model cannot be loaded.
    """
    sets = load_sets(data, config.sets)
    for one in sets:
        if not all(question.evidence for question in one.questions):
            msg = f"{one.name} has questions without evidence, which 's3-retriever evaluate' can measure"
            raise InvalidInputError(msg)
    if config.questions is not None:
        sets = [replace(one, questions=one.questions[: config.questions]) for one in sets]
    bench = _Bench(config, host or Host.load(), say or (lambda _: None))
    for one in sets:
        bench.measure_set(one)
    if config.speed:
        bench.measure_speed(sets)
    if config.memory:
        bench.measure_memory(data)
    return bench.results()


class _Bench:
    """Collects measurements."""

    def __init__(self, config: BenchConfig, host: Host, say: Callable[[str], None]) -> None:
        self._config = config
        self._host = host
        self._say = say
        # Called as they were asked for: two folders may hold artifacts of one name.
        self._artifacts = [replace(Artifact.load(name), name=name) for name in config.artifacts]
        self._minilm = MiniLM.load() if config.minilm else None
        names = (WINDOW_BM25, *((MINILM, MINILM + FUSED) if config.minilm else ()))
        self._baselines = [WindowSystem(size, names, self._minilm) for size in WINDOW_SIZES]
        self._found: list[Result] = []
        self._sizes: list[DiskSize] = []
        self._latencies: list[Latency] = []
        self._throughputs: list[Throughput] = []
        self._memory: list[ScanMemory] = []

    def measure_set(self, data: EvaluationSet) -> None:
        """Measure recall, size and latency on a set."""
        for artifact in self._artifacts:
            self._say(f"{data.name}: {artifact.name}")
            host = AskedOnceHost(self._host)
            retriever = S3Retriever.from_documents(data.documents, host=host, artifact=artifact)
            if self._config.speed:  # first: later on the questions are known
                self._latencies.append(measure_latency(retriever, _questions([data]), data.name))
            built = searcher(retriever)
            self._ask(built, data, map(Method, _WITH_ARTIFACT), f"{artifact.name} ")
            self._sizes.append(measure_disk_size(retriever, data.name))
        self._say(f"{data.name}: BM25 and baselines")
        self._ask(built, data, [Method("bm25")])  # which is the same for every artifact
        corpus = Corpus(data.documents, self._host)
        for system in self._baselines:
            self._ask(system.build(corpus), data, system.methods)

    def _ask(self, built: Built, data: EvaluationSet, methods: Iterable[Method], prefix: str = "") -> None:
        """Ask methods every question at every budget; a record's method name then holds its window."""
        wanted = ((one, method, n) for method in methods for n in BUDGETS for one in data.questions)
        for result in ask(built, data, self._host, wanted):
            self._found.append(replace(result, method=f"{prefix}{result.method_used}", window=0))

    def measure_speed(self, sets: Sequence[EvaluationSet]) -> None:
        """Measure throughput on text of all sets, and latency over a large corpus made of it."""
        documents = in_turns([one.documents for one in sets])
        # Two sets may use the same ids.
        unique = (replace(document, id=f"{n}") for n, document in enumerate(documents))
        sample = list(limited(unique, THROUGHPUT_TOKENS, self._host))
        for artifact in self._artifacts:
            self._say(f"throughput: {artifact.name}")
            self._throughputs.append(measure_throughput(sample, self._host, artifact, self._minilm))
            self._say(f"latency over {LARGE_CORPUS:,} tokens: {artifact.name}")
            large = repeated_corpus(sample, LARGE_CORPUS, self._host, artifact)
            self._latencies.append(measure_latency(large, _questions(sets), "repeated text"))

    def measure_memory(self, data: str | Path) -> None:
        """Measure the memory of scans in fresh processes."""
        for artifact in self._artifacts:
            self._say(f"memory: {artifact.name}")
            self._memory += measure_memory(data, artifact.name)

    def results(self) -> Results:
        """Return what was measured so far."""
        return Results(
            comparisons=tuple(compare(self._found, None)),
            baselines=tuple(str(method) for system in self._baselines for method in system.methods),
            sizes=tuple(self._sizes),
            latencies=tuple(self._latencies),
            throughputs=tuple(self._throughputs),
            memory=tuple(self._memory),
        )


def _questions(sets: Sequence[EvaluationSet]) -> list[str]:
    """Return a few questions, from all sets alike."""
    return [question.text for question in islice(in_turns([s.questions for s in sets]), _LATENCY_QUESTIONS)]
