"""Needle in a haystack: which sentences a method finds, by the length of the text and their depth in it.

All needles of a length are hidden at once, in as few haystacks as leave room between them, so that a length
costs one scan or a few. Haystacks are evaluation sets, and a run's records are those of ``evaluate``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from s3_retriever.checks import check_settings, each, instance, whole
from s3_retriever.disk import hash_values, write_json
from s3_retriever.documents import Document
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.methods import WINDOW_BM25, System, make_systems
from s3_retriever.evaluation.needles.facts import FactMaker
from s3_retriever.evaluation.needles.haystack import Buried, Supply, bury
from s3_retriever.evaluation.needles.report import write_needle_report
from s3_retriever.evaluation.needles.scores import Haystack, NeedleScores, score
from s3_retriever.evaluation.records import REPORT, SUMMARY, RunFolder
from s3_retriever.evaluation.report.html import check_jinja
from s3_retriever.evaluation.runner import fingerprint, run_systems
from s3_retriever.host.model import Host

_SETTINGS = ("depths", "per_depth", "needles", "distractors", "seed")  # on which the haystacks depend
_SHARE = 3  # a haystack holds at most one token of needles and distractors in three


@dataclass(frozen=True)
class NeedleConfig:
    """What to hide, and who looks for it.

    Attributes:
        lengths: Tokens of the haystacks.
        depths: How many depths, evenly spaced from 0 to 100 %.
        per_depth: Needles at each depth, of each of the numbers in ``needles``; on average where a question
            needs several.
        needles: How many needles a question needs.
        distractors: Sentences beside each needle that share the question's words.
        methods: Names, as :func:`s3_retriever.evaluation.methods.make_systems` takes them.
        windows: Tokens per window of the methods that cut windows.
        budget: Tokens of the host that a method may return.
        artifact: Of our retriever: a name or a folder.
        seed: Fixes the needles and their places.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    lengths: tuple[int, ...] = (2_000, 8_000, 32_000, 128_000, 1_000_000)
    depths: int = 11
    per_depth: int = 20
    needles: tuple[int, ...] = (1, 2, 3)
    distractors: int = 4
    methods: tuple[str, ...] = ("hybrid", "s3", "bm25", WINDOW_BM25)
    windows: tuple[int, ...] = (128,)
    budget: int = 512
    artifact: str = "fast"
    seed: int = 0

    def __post_init__(self) -> None:
        names, sizes = each(instance(str, "a name"), distinct=True), each(whole(1), distinct=True)
        check_settings(
            self,
            lengths=sizes,
            depths=whole(1),
            per_depth=whole(1),
            needles=sizes,
            distractors=whole(),
            methods=names,
            windows=sizes,
            budget=whole(1),
            seed=whole(),
        )
        if max(self.needles) > self.depths:
            msg = f"{max(self.needles)} needles of a question need as many depths, not {self.depths}"
            raise InvalidInputError(msg)

    def depth(self, number: int) -> float:
        """Return a depth in [0, 1]; the only one, if there is one, lies in the middle."""
        return number / (self.depths - 1) if self.depths > 1 else 0.5


def run_needles(
    documents: Sequence[Document],
    out: str | Path,
    config: NeedleConfig,
    *,
    host: Host | None = None,
    systems: Sequence[System] | None = None,
    say: Callable[[str], None] | None = None,
) -> NeedleScores:
    """Hide needles, look for them, and write records and a report. A run that was killed goes on.

    Args:
        documents: The text; used again, with paragraphs shuffled, where it does not suffice.
        out: Folder for the files.
        config: What to hide, and who looks for it.
        host: Of the artifact; the default one if None.
        systems: What looks instead of what ``config.methods`` names.
        say: Called with what is about to be done.

    Raises:
        S3RetrieverError: The artifact, the host or an embedding model cannot be loaded, Jinja2 is missing, a
            length is too short or the text too poor in sentences for the needles, or ``out`` holds
            something else.
    """
    check_jinja()
    say = say or (lambda _: None)
    host = host or Host.load()
    artifact = Artifact.load(config.artifact)
    if systems is None:
        systems = make_systems(config.methods, artifact, config.windows, host)
    haystacks = [one for length in config.lengths for one in make_haystacks(documents, length, config, host)]
    settings = fingerprint([one.set for one in haystacks], systems, (config.budget,), host)
    settings |= _contents(haystacks, settings["sets"])
    settings |= {name: getattr(config, name) for name in _SETTINGS} | {"artifact": artifact.digest}
    folder = RunFolder(Path(out), settings)
    for length in config.lengths:
        these = [one.set for one in haystacks if one.length == length]
        n_questions = sum(len(one.questions) for one in these)
        say(f"{length:,} tokens: {n_questions} questions, {len(these)} haystack{'s'[: len(these) > 1]}")
        tell = say if len(these) == 1 else (lambda _: None)  # there may be hundreds
        run_systems(these, systems, folder, host=host, budgets=(config.budget,), say=tell)
    results = folder.results.all()
    scores = score(haystacks, results)
    write_json(folder.path / SUMMARY, asdict(scores))
    builds = folder.builds.all()
    write_needle_report(folder.path / REPORT, haystacks, scores, results, builds, settings, config.budget)
    return scores


def make_haystacks(
    documents: Sequence[Document], length: int, config: NeedleConfig, host: Host
) -> list[Haystack]:
    """Return the haystacks of one length, with all its needles; equal arguments give equal haystacks.

    Raises:
        InvalidInputError: The length is too short for a question's needles, or the text too poor in
            sentences.
    """
    random = Random(f"{config.seed} {length}")  # noqa: S311 - nothing secret
    supply = Supply(documents, host, random)
    haystacks: list[Haystack] = []
    spread = 0.5 / max(config.depths - 1, 1)
    for part, n_tokens in _parts(_questions(config, random), length, host):
        name = f"{length}-{len(haystacks)}"
        made = bury(name, supply.take(length - n_tokens), part, random, spread)
        haystacks.append(Haystack(length, made, {one.id: one.depths for one in part}))
    return haystacks


def _questions(config: NeedleConfig, random: Random) -> Iterator[Buried]:
    """Yield all questions of a length, those with one needle by turns at every depth."""
    facts = FactMaker(random)
    for n_needles in config.needles:
        for number in range(-(-config.depths * config.per_depth // n_needles)):
            turn = number % config.depths
            chosen = [turn] if n_needles == 1 else random.sample(range(config.depths), n_needles)
            yield Buried(
                f"{n_needles}-{number}",
                facts.question(n_needles, config.distractors),
                tuple(map(config.depth, chosen)),
            )


def _parts(questions: Iterator[Buried], length: int, host: Host) -> Iterator[tuple[list[Buried], int]]:
    """Yield the questions for each haystack, and the tokens of their needles and distractors."""
    part: list[Buried] = []
    used = 0
    for one in questions:
        facts = (*one.question.needles, *one.question.distractors)
        needed = sum(host.count_tokens(f" {fact.sentence}") for fact in facts)
        if needed > length // 2:
            msg = f"{length} tokens are too few for a question whose needles and distractors have {needed}"
            raise InvalidInputError(msg)
        if part and used + needed > length // _SHARE:
            yield part, used
            part, used = [], 0
        part.append(one)
        used += needed
    if part:
        yield part, used


def _contents(haystacks: Sequence[Haystack], digests: Mapping[str, str]) -> dict[str, Any]:
    """Return what the haystacks are by length, for there may be hundreds."""
    contents: defaultdict[str, list[str]] = defaultdict(list)
    questions: Counter[str] = Counter()
    for one in haystacks:
        contents[str(one.length)].append(digests[one.set.name])
        questions[str(one.length)] += len(one.set.questions)
    hashes = {length: hash_values(" ".join(all_))[:16] for length, all_ in contents.items()}
    return {"sets": hashes, "questions": dict(questions)}
