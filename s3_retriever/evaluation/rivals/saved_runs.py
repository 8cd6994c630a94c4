"""What another retriever found, from files: it takes part in a comparison without being called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from operator import index
from pathlib import Path

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import EvaluationSet
from s3_retriever.evaluation.methods import Built, Corpus, Method
from s3_retriever.evaluation.metrics import Region
from s3_retriever.files import read_objects
from s3_retriever.host.model import Host

RUN = "run:"
"""How the names of such methods begin; the folder follows."""


class SavedRun:
    """The spans in ``FOLDER/SET.jsonl``, lines ``{query_id, spans: [{doc_id, start, end}]}``, best first.

    That is what ``s3-retriever search --queries`` writes. Within a budget, the first spans count, and the one
    that exceeds it is cut after the last token that fits.

    Args:
        name: :data:`RUN` and the folder.
        sets: What will be asked.

    Attributes:
        digest: Of what was found.

    Raises:
        InvalidInputError: A set has no file, a line is malformed, a question has none, or a span lies outside
            of its document; names the file.
    """

    budget: int | None = None

    def __init__(self, name: str, sets: Sequence[EvaluationSet]) -> None:
        self.methods: tuple[Method, ...] = (Method(name),)
        folder = Path(name.removeprefix(RUN))
        self._runs = [(one.documents, _read(folder / f"{one.name}.jsonl", one)) for one in sets]
        self.digest = sha256(repr([run for _, run in self._runs]).encode()).hexdigest()[:16]

    def build(self, corpus: Corpus) -> Built:
        """Look up the set whose documents these are."""
        found = [run for documents, run in self._runs if documents == corpus.documents]
        return _BuiltRun(found[0] if found else {}, corpus)


class _BuiltRun:
    nbytes: int | None = 0

    def __init__(self, run: Mapping[str, Sequence[Region]], corpus: Corpus) -> None:
        self._run, self._host = run, corpus.host
        self._texts = {document.id: document.text for document in corpus.documents}

    def find(self, method: Method, question: str, budget: int) -> list[Region]:
        found = []
        for region in self._run[question]:
            kept = _cut(region, self._texts[region.doc_id], budget, self._host)
            if kept is None:
                break
            found.append(kept)
            budget -= self._host.count_tokens(self._texts[kept.doc_id][kept.start : kept.end])
        return found


def _cut(region: Region, text: str, budget: int, host: Host) -> Region | None:
    """Return as much of a region as has ``budget`` tokens; None where nothing has."""
    ends = host.encode(text[region.start : region.end]).ends
    if len(ends) <= budget:
        return region
    return region._replace(end=region.start + int(ends[budget - 1])) if budget > 0 else None


def _read(path: Path, data: EvaluationSet) -> dict[str, list[Region]]:
    """Return what was found for each question's text."""
    lengths = {document.id: len(document.text) for document in data.documents}
    by_id: dict[str, list[Region]] = {}
    try:
        for number, fields in read_objects(path):
            try:
                spans = [
                    Region(one["doc_id"], index(one["start"]), index(one["end"])) for one in fields["spans"]
                ]
                by_id[str(fields["query_id"])] = spans
                outside = [one for one in spans if not 0 <= one.start < one.end <= lengths[one.doc_id]]
            except (KeyError, TypeError) as error:
                msg = f"{path}, line {number}: expected {{query_id, spans: [{{doc_id, start, end}}]}}, "
                msg += f"documents being those of {data.name!r}, not {json.dumps(fields)[:80]}"
                raise InvalidInputError(msg) from error
            if outside:
                msg = f"{path}, line {number}: {tuple(outside[0])} does not lie within its document"
                raise InvalidInputError(msg)
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); a run needs a file for every set, as "
        msg += f"'s3-retriever search INDEX --queries {data.name}/queries.jsonl --out {path.name}' writes it"
        raise InvalidInputError(msg) from error
    missing = [question.id for question in data.questions if question.id not in by_id]
    if missing:
        msg = f"{path} has no line for question {missing[0]!r} of {data.name!r} ({len(missing)} are missing)"
        raise InvalidInputError(msg)
    return {question.text: by_id[question.id] for question in data.questions}
