"""The files of a run. Each measurement is written at once, so that a killed run can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from s3_retriever.disk import refuse_foreign, write_json
from s3_retriever.durable import writing
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.methods import Method
from s3_retriever.json_form import parse_json

SETTINGS, BUILDS, RESULTS, ANSWERS = "settings.json", "builds.jsonl", "results.jsonl", "answers.jsonl"
SUMMARY, REPORT = "summary.json", "report.html"


@dataclass(frozen=True)
class Build:
    """A system reading a set's documents.

    Attributes:
        set: Name of the set.
        methods: Names of the system's methods.
        window: Tokens per window; 0 where the system has none.
        n_documents: Of the set.
        n_tokens: Of the set, in tokens of the host.
        seconds: Until it could be asked, tokenising for the windows excluded.
        nbytes: Of what is searched, texts excluded; None if unknown.
        peak_bytes: By how much the process' resident memory rose meanwhile, at most; None if unknown.
    """

    set: str
    methods: tuple[str, ...]
    window: int
    n_documents: int
    n_tokens: int
    seconds: float
    nbytes: int | None
    peak_bytes: int | None

    @property
    def key(self) -> tuple[str, ...]:
        """Unique among the builds of a run."""
        return self.set, str(self.window), *self.methods


@dataclass(frozen=True)
class _OfQuestion:
    """What a method did for a question within a budget.

    Attributes:
        set: Name of the set.
        question: Its id.
        method: Name of the method.
        window: Tokens per window; 0 where the method has none.
        budget: Tokens that its passages might have.
    """

    set: str
    question: str
    method: str
    window: int
    budget: int

    @property
    def method_used(self) -> Method:
        """The method with its window."""
        return Method(self.method, self.window)

    @property
    def key(self) -> tuple[str, str, Method, int]:
        """Unique among the results of a run, and among its answers: an answer has its result's key."""
        return self.set, self.question, self.method_used, self.budget


@dataclass(frozen=True)
class Result(_OfQuestion):
    """What a method found for a question within a budget.

    Attributes:
        tokens: Tokens of the passages, each tokenised by itself.
        spans: Document, start and end of each passage, best first.
        metrics: Values by the keys of :data:`s3_retriever.evaluation.metrics.TITLES`.
        ms: Milliseconds until it was found.
    """

    tokens: int
    spans: tuple[tuple[str, int, int], ...]
    metrics: Mapping[str, float]
    ms: float


@dataclass(frozen=True)
class Answer(_OfQuestion):
    """What the host answered from a result's passages.

    Attributes:
        text: The answer.
        kept: Share of the corpus' tokens (full context) or of the passages' tokens that the host was shown.
        metrics: "exact_match" and "f1".
    """

    text: str
    kept: float
    metrics: Mapping[str, float]


Record = TypeVar("Record", Build, Result, Answer)


class Records(Generic[Record]):
    """A file of records of one kind; each is written as soon as it is added.

    A last line without its end, left by a process that was killed, is dropped.

    Args:
        path: The file; made with the first record.
        kind: What its lines hold.

    Raises:
        InvalidInputError: A line is no such record; names file and line.
    """

    def __init__(self, path: Path, kind: type[Record]) -> None:
        self._path = path
        self._records: dict[tuple[Any, ...], Record] = {}
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = kind(**_tuples(parse_json(line)))
            except (AttributeError, TypeError, ValueError) as error:
                msg = f"{path}, line {number} is no record of a run ({error}); delete the folder's files"
                raise InvalidInputError(msg) from error
            self._records[record.key] = record
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))

    def __contains__(self, key: tuple[Any, ...]) -> bool:
        return key in self._records

    def __getitem__(self, key: tuple[Any, ...]) -> Record:
        return self._records[key]

    def all(self) -> list[Record]:
        """Return the records, in the order in which they were added."""
        return list(self._records.values())

    def add(self, record: Record) -> None:
        """Keep a record and write it at once."""
        self._records[record.key] = record
        line = f"{json.dumps(asdict(record), ensure_ascii=False)}\n".encode()
        with writing(self._path, len(line)), self._path.open("ab") as file:
            file.write(line)


class RunFolder:
    """The files of one run.

    Args:
        path: Folder; made if it is not there.
        settings: All that the records depend on, JSON-able.

    Attributes:
        path: The folder.
        settings: As given.
        builds: What was built.
        results: What was found.
        answers: What was answered.

    Raises:
        InvalidInputError: The folder holds a run with other settings, or something else.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = settings
        refuse_foreign(path, "a run of evaluate", lambda _: False, marker=SETTINGS)
        path.mkdir(parents=True, exist_ok=True)
        file = path / SETTINGS
        if file.exists():
            _check_same(path, _read_settings(file), json.loads(json.dumps(settings)))
        else:
            write_json(file, settings)
        self.builds = Records(path / BUILDS, Build)
        self.results = Records(path / RESULTS, Result)
        self.answers = Records(path / ANSWERS, Answer)


def _read_settings(file: Path) -> dict[str, Any]:
    try:
        settings = parse_json(file.read_bytes())
    except ValueError as error:
        msg = f"{file} is no JSON ({error}); delete the folder's files"
        raise InvalidInputError(msg) from error
    if not isinstance(settings, dict):
        msg = f"{file} holds no settings of a run; delete the folder's files"
        raise InvalidInputError(msg)
    return settings


def _check_same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if differing:
        name = differing[0]
        msg = (
            f"{path} holds a run with other settings ({name}: {old.get(name)!r:.200} there, "
            f"{new.get(name)!r:.200} now); choose another folder or delete it"
        )
        raise InvalidInputError(msg)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Make the lists of a record tuples, as they were."""
    return {
        name: tuple(tuple(item) if isinstance(item, list) else item for item in value)
        if isinstance(value, list)
        else value
        for name, value in values.items()
    }
