"""What another retriever found, from files: it takes part in a comparison without being called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import index
from pathlib import Path

from s3_retriever.disk import hash_values
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import EvaluationSet
from s3_retriever.evaluation.methods import Built, Corpus, Method, Searcher
from s3_retriever.evaluation.metrics import Region
from s3_retriever.host.model import Host
from s3_retriever.sources.jsonl import read_objects

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
        self.digest = hash_values(repr([run for _, run in self._runs]))[:16]

    def build(self, corpus: Corpus) -> Built:
        """Look up the set whose documents these are."""
        run = next((run for documents, run in self._runs if documents == corpus.documents), {})
        texts = {document.id: document.text for document in corpus.documents}

        def find(method: Method, question: str, budget: int) -> list[Region]:
            found = []
            for region in run[question]:
                kept = _cut(region, texts[region.doc_id], budget, corpus.host)
                if kept is None:
                    break
                found.append(kept)
                budget -= corpus.host.count_tokens(texts[kept.doc_id][kept.start : kept.end])
            return found

        return Searcher(0, find)


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
