"""The benchmark: everything that is claimed of the retriever, measured in one run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.benchmark.memory import ScanMemory, measure_memory
from s3_retriever.evaluation.benchmark.recall import (
    ByBudget,
    SystemScore,
    score_baselines,
    score_bm25_mode,
    score_retriever,
)
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
from s3_retriever.evaluation.rivals.minilm import MiniLM
from s3_retriever.features.artifact import Artifact
from s3_retriever.host.model import Host
from s3_retriever.retriever import S3Retriever

THROUGHPUT_TOKENS = 40_000
"""About how much text the throughput is measured on."""

LARGE_CORPUS = 1_000_000
"""Tokens of the corpus that shows the latency at size."""

_LATENCY_QUESTIONS = 50  # per corpus


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
    """

    artifacts: tuple[str, ...]
    sets: tuple[str, ...] = ()
    questions: int | None = None
    minilm: bool = True
    speed: bool = True
    memory: bool = False

    def __post_init__(self) -> None:
        if not self.artifacts:
            msg = "name at least one artifact to measure"
            raise InvalidInputError(msg)
        if self.questions is not None and self.questions < 1:
            msg = f"the number of questions must be at least 1, not {self.questions}"
            raise InvalidInputError(msg)


@dataclass(frozen=True)
class Results:
    """What was measured; a field stays empty where it was not asked for."""

    scores: tuple[SystemScore, ...]
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
        S3RetrieverError: The data, an artifact, the host or the embedding model cannot be had.
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
        self._systems: defaultdict[str, dict[str, ByBudget]] = defaultdict(dict)
        self._baselines: defaultdict[str, dict[str, ByBudget]] = defaultdict(dict)
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
            for mode, score in score_retriever(retriever, data.questions).items():
                self._systems[f"{artifact.name} {mode}"][data.name] = score
            self._sizes.append(measure_disk_size(retriever, data.name))
        self._say(f"{data.name}: BM25 and baselines")
        self._systems["bm25 mode"][data.name] = score_bm25_mode(retriever, data.questions)
        for name, score in score_baselines(data, self._host, self._minilm).items():
            self._baselines[name][data.name] = score

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
        systems = [SystemScore(name, False, sets) for name, sets in self._systems.items()]
        baselines = [SystemScore(name, True, sets) for name, sets in self._baselines.items()]
        return Results(
            scores=(*systems, *baselines),
            sizes=tuple(self._sizes),
            latencies=tuple(self._latencies),
            throughputs=tuple(self._throughputs),
            memory=tuple(self._memory),
        )


def _questions(sets: Sequence[EvaluationSet]) -> list[str]:
    """Return a few questions, from all sets alike."""
    return [question.text for question in islice(in_turns([s.questions for s in sets]), _LATENCY_QUESTIONS)]
