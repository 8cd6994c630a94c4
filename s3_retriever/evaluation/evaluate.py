"""The evaluation as a whole: sets and settings in, records, summary and report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

from s3_retriever.checks import check, check_settings, choice, each, instance, optional, whole
from s3_retriever.disk import write_json
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.ablations import REFERENCE, make_ablations
from s3_retriever.evaluation.answering import answer_questions
from s3_retriever.evaluation.contexts import write_contexts
from s3_retriever.evaluation.datasets import EvaluationSet, load_sets, nowhere
from s3_retriever.evaluation.dense import DenseSystem, dense_variants
from s3_retriever.evaluation.lengths import length_notes, pooled, run_pools, summarize
from s3_retriever.evaluation.methods import (
    FULL_CONTEXT,
    FUSED,
    OWN_METHODS,
    WINDOW_BM25,
    Method,
    System,
    make_systems,
)
from s3_retriever.evaluation.pools import make_pools
from s3_retriever.evaluation.readability import readability
from s3_retriever.evaluation.reader import EXAMPLE, INSTRUCTION, MAX_NEW_TOKENS, Reader
from s3_retriever.evaluation.records import REPORT, SUMMARY, RunFolder
from s3_retriever.evaluation.report.failures import bad_passages, worst
from s3_retriever.evaluation.report.html import Report, check_jinja, write_html
from s3_retriever.evaluation.rivals.embeddings import E5_SMALL, MINILM
from s3_retriever.evaluation.rivals.saved_runs import RUN, SavedRun
from s3_retriever.evaluation.rivals.windows import WINDOW_SIZES
from s3_retriever.evaluation.runner import BUDGETS, every_nth, fingerprint, part_of, run_systems
from s3_retriever.evaluation.summary import Evaluation, best_windows, compare, costs, default_reference
from s3_retriever.host.model import Host

READING = ("infiniretri", "infiniretri:17", "infiniretri:21")
"""InfiniRetri with the last layer, and with two that find more in the default host."""

_FAILING = "hybrid"
_EMBEDDING = tuple(name + end for name in (MINILM, E5_SMALL) for end in ("", FUSED))


def _part(value: object) -> str:
    match value:
        case (int(k), int(n)) if 1 <= k <= n:
            return ""
    return "(k, n) with k from 1 to n"


@dataclass(frozen=True)
class EvaluateConfig:
    """What to compare, and on how much.

    Attributes:
        methods: Names, as :func:`s3_retriever.evaluation.methods.make_systems` takes them.
        reference: Method that the others are compared with. None takes the first embedding model fused with
            BM25, or the last method where there is none.
        sets: Names of the sets; all if empty.
        part: ``(k, n)``: ask only every n-th question of a set, beginning with the k-th, so that what is
            chosen on one part can be reported on another; None: all.
        questions: Ask only so many questions per set, evenly spaced.
        tokens: Search only about so many tokens of each set's documents, those that the questions need first.
        budgets: Tokens of the host that a method may return.
        windows: Tokens per window of the methods that cut windows.
        artifact: Of our retriever: a name or a folder.
        answers: Whether the host answers from what was found at the middle budget.
        ablations: Whether to compare variants of our retriever instead of ``methods``.
        lengths: Pool the sets' documents to contexts of so many tokens; empty: search whole sets.
        read_up_to: Longest context for methods that read all of it for every question.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    methods: tuple[str, ...] = (*OWN_METHODS, WINDOW_BM25, *_EMBEDDING, FULL_CONTEXT)
    reference: str | None = None
    sets: tuple[str, ...] = ()
    part: tuple[int, int] | None = None
    questions: int | None = None
    tokens: int | None = None
    budgets: tuple[int, ...] = BUDGETS
    windows: tuple[int, ...] = WINDOW_SIZES
    artifact: str = "fast"
    answers: bool = False
    ablations: bool = False
    lengths: tuple[int, ...] = ()
    read_up_to: int = 8_000

    def __post_init__(self) -> None:
        names, sizes = each(instance(str, "a name"), distinct=True), each(whole(1), distinct=True)
        check_settings(
            self,
            methods=names,
            reference=optional(instance(str, "a name")),
            sets=each(instance(str, "a name"), least=0),
            budgets=sizes,
            windows=sizes,
            lengths=each(whole(1), least=0),
            questions=optional(whole(1)),
            tokens=optional(whole(1)),
            read_up_to=whole(1),
            part=optional(_part),
        )
        if self.lengths and (self.ablations or self.tokens is not None):
            msg = "lengths cannot go together with ablations or with a part of each set's tokens"
            raise InvalidInputError(msg)
        if self.reference is not None and not self.ablations:
            check("reference", self.reference, choice(self.methods))

    @property
    def base(self) -> str:
        """Name of the reference."""
        return self.reference or (REFERENCE if self.ablations else default_reference(self.methods))

    @property
    def middle_budget(self) -> int:
        """The budget of answers and failures."""
        return sorted(self.budgets)[len(self.budgets) // 2]


QUICK = EvaluateConfig(
    methods=("s3", "hybrid", WINDOW_BM25, "minilm+bm25"), questions=10, tokens=20_000, windows=(128,)
)
"""A first look within three minutes on two cores, a slow machine's included."""

BY_LENGTH = EvaluateConfig(
    methods=("s3", "hybrid", "paper", "minilm", "minilm+bm25", *READING, FULL_CONTEXT),
    questions=6,
    budgets=(512,),
    windows=(128,),
    lengths=(2_000, 8_000, 32_000, 128_000),
)
"""The comparisons of the S3-Attention paper that a small host allows."""


def run_evaluation(
    data: str | Path,
    out: str | Path,
    config: EvaluateConfig,
    *,
    host: Host | None = None,
    systems: Sequence[System] | None = None,
    say: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure, or go on with what a killed run has left, and write records, summary and report.

    Args:
        data: Folder of sets, or of one set.
        out: Folder for the files.
        config: What to compare.
        host: Of the artifact; the default one if None.
        systems: What to compare instead of what ``config.methods`` names; theirs must be those names.
        say: Called with what is about to be done.

    Raises:
        S3RetrieverError: The data, the artifact, the host or an embedding model cannot be loaded, Jinja2 is
            missing, or ``out`` holds something else.
    """
    check_jinja()
    say = say or (lambda _: None)
    sets = load_sets(data, config.sets)
    for sentence in nowhere(sets):
        say(sentence)
    if config.part is not None:
        sets = [every_nth(one, *config.part) for one in sets]
    artifact = Artifact.load(config.artifact)
    host = host or Host.load()
    pools = make_pools(sets, config.lengths, config.questions, host)
    searched = [pool.data for pool in pools] or [
        part_of(one, config.questions, config.tokens, host) for one in sets
    ]
    if systems is None:
        systems = _systems(config, artifact, searched, host)
    names = dict.fromkeys(method.name for system in systems for method in system.methods)
    if config.base not in names:  # now, not after the run
        msg = f"the reference {config.base!r} is none of the methods {', '.join(names)}"
        raise InvalidInputError(msg)
    settings = fingerprint(searched, systems, config.budgets, host)
    settings |= {"artifact": artifact.digest, "prompt": [INSTRUCTION, *EXAMPLE], "new_tokens": MAX_NEW_TOKENS}
    if runs := {name: one.digest for one in systems if isinstance(one, SavedRun) for name, _ in one.methods}:
        settings |= {"runs": runs}
    folder = RunFolder(Path(out), settings)
    if pools:
        reach = config.read_up_to
        run_pools(pools, systems, folder, host=host, budgets=config.budgets, read_up_to=reach, say=say)
        write_contexts(pools, folder, config.middle_budget, host)
    else:
        run_systems(searched, systems, folder, host=host, budgets=config.budgets, say=say)
    if config.answers:
        chosen = _answered(systems, folder, config.middle_budget)
        answer_questions(searched, chosen, folder, Reader(host), say)
    if pools:
        comparisons, spent = summarize(pools, folder, config.middle_budget, config.base)
    else:
        results = folder.results.all()
        # The full context, whose budget is its own, is compared with the others' answers all the same.
        answers = [replace(one, budget=config.middle_budget) for one in folder.answers.all()]
        comparisons = [*compare(results, config.base), *compare(answers, config.base)]
        timed = [one for one in results if not one.method.startswith(RUN)]  # reading a file costs nothing
        spent = costs(folder.builds.all(), timed)
    methods = best_windows(folder.results.all(), config.middle_budget)
    rows, faults = readability(searched, folder.results.all(), config.middle_budget, methods)
    evaluation = Evaluation(tuple(comparisons), tuple(spent), config.base, tuple(rows))
    write_json(folder.path / SUMMARY, asdict(evaluation))
    report = _report(searched, config, folder, evaluation, host)
    report = replace(report, bad_passages=bad_passages(faults.get(_failing(methods), ()), searched))
    if pools:
        notes = length_notes(pools, folder.answers.all(), host, config.read_up_to)
        notes = [*nowhere(sets), *notes]
        report = replace(report, sets=pooled(sets, pools), failures={}, notes=notes)
    write_html(folder.path / REPORT, report)
    return evaluation


def _systems(
    config: EvaluateConfig, artifact: Artifact, sets: Sequence[EvaluationSet], host: Host
) -> list[System]:
    """Return what offers the methods that the settings name."""
    if config.ablations:
        return [*make_ablations(artifact), DenseSystem(dense_variants(artifact, host))]
    runs = [name for name in config.methods if name.startswith(RUN)]
    made = [name for name in config.methods if name not in runs]
    return [
        *make_systems(made, artifact, config.windows, host),
        *(SavedRun(name, sets) for name in runs),
    ]


def _answered(systems: Sequence[System], folder: RunFolder, budget: int) -> list[tuple[Method, int]]:
    """Return what the host answers from: methods at their best windows, and those with their own budget."""
    own = [(method, system.budget) for system in systems if system.budget for method in system.methods]
    return [(method, budget) for method in best_windows(folder.results.all(), budget)] + own


def _failing(methods: Sequence[Method]) -> Method:
    """Return the method whose failures are shown: ours if it was asked."""
    return next((one for one in methods if one.name == _FAILING), methods[0])


def _report(
    sets: Sequence[EvaluationSet],
    config: EvaluateConfig,
    folder: RunFolder,
    evaluation: Evaluation,
    host: Host,
) -> Report:
    results, budget = folder.results.all(), config.middle_budget
    best = {method.name: method for method in best_windows(results, budget)}
    failing = _failing([*best.values()])
    notes = nowhere(sets)
    if config.tokens is not None:
        notes.append(
            f"A quick look: of each set only the documents that the questions need and others up to about "
            f"{config.tokens:,} tokens were searched. Figures of whole sets are lower."
        )
    kept = [one.kept for one in folder.answers.all() if one.method == FULL_CONTEXT]
    if kept:
        notes.append(
            f"Of the full context, the host's window of {host.max_tokens:,} tokens held {fmean(kept):.0%} "
            "of a set's text, mean over the questions; the rest was cut off."
        )
    return Report(
        sets=sets,
        settings=folder.settings,
        evaluation=evaluation,
        failures={
            one.name: worst(one, results, failing, best.get(evaluation.reference), budget) for one in sets
        },
        failing=f"{failing} within {budget} tokens",
        notes=notes,
    )
