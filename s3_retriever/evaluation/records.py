"""What a run writes: one JSON line per measurement at once, so that a killed run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.methods import Method
from s3_retriever.files import new_file

SETTINGS, BUILDS, RESULTS, ANSWERS = "settings.json", "builds.jsonl", "results.jsonl", "answers.jsonl"


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
        """What no two builds of a run share."""
        return self.set, str(self.window), *self.methods


@dataclass(frozen=True)
class Result:
    """What a method found for a question within a budget.

    Attributes:
        set: Name of the set.
        question: Its id.
        method: Name of the method.
        window: Tokens per window; 0 where the method has none.
        budget: Tokens that it might return.
        tokens: Tokens of the passages, each tokenised by itself.
        spans: Document, start and end of each passage, best first.
        metrics: Values by the keys of :data:`s3_retriever.evaluation.measures.TITLES`.
        ms: Milliseconds until it was found.
    """

    set: str
    question: str
    method: str
    window: int
    budget: int
    tokens: int
    spans: tuple[tuple[str, int, int], ...]
    metrics: Mapping[str, float]
    ms: float

    @property
    def key(self) -> tuple[str, str, Method, int]:
        """What no two results of a run share."""
        return self.set, self.question, Method(self.method, self.window), self.budget


@dataclass(frozen=True)
class Answer:
    """What the host answered from a result's passages.

    Attributes:
        set: Name of the set.
        question: Its id.
        method: Name of the method.
        window: Tokens per window; 0 where the method has none.
        budget: Tokens that the passages might have.
        text: The answer.
        kept: Share of the corpus' tokens (full context) or of the passages' tokens that the host was shown.
        metrics: "exact_match" and "f1".
    """

    set: str
    question: str
    method: str
    window: int
    budget: int
    text: str
    kept: float
    metrics: Mapping[str, float]

    @property
    def key(self) -> tuple[str, str, Method, int]:
        """What no two answers of a run share: the key of the result."""
        return self.set, self.question, Method(self.method, self.window), self.budget


Record = TypeVar("Record", Build, Result, Answer)


class Records(Generic[Record]):
    """A file of records of one kind, to which each is added as soon as it is known.

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
                record = kind(**_tuples(json.loads(line)))
            except (TypeError, ValueError) as error:
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
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{json.dumps(asdict(record), ensure_ascii=False)}\n")


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
        path.mkdir(parents=True, exist_ok=True)
        file = path / SETTINGS
        if file.exists():
            _check_same(path, json.loads(file.read_text(encoding="utf-8")), json.loads(json.dumps(settings)))
        elif any(path.iterdir()):
            msg = f"{path} holds no run of evaluate and is not empty; choose another folder"
            raise InvalidInputError(msg)
        else:
            with new_file(file) as out:
                json.dump(settings, out, indent=1)
        self.builds = Records(path / BUILDS, Build)
        self.results = Records(path / RESULTS, Result)
        self.answers = Records(path / ANSWERS, Answer)


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
