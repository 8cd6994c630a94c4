"""Judgments of documents as BEIR writes them: ``qrels/SPLIT.tsv``, lines of question, document and grade."""

from __future__ import annotations

import csv
from pathlib import Path

from s3_retriever.errors import InvalidInputError

_FOLDER, _PREFERRED = "qrels", "test.tsv"


def read_qrels(folder: Path) -> dict[str, dict[str, int]] | None:
    """Read the grades of documents by question and document.

    Args:
        folder: Of a set; its ``qrels/test.tsv`` is read or, where there is none, every ``qrels/*.tsv``.

    Returns:
        Grades, 0 where a document was judged to be irrelevant; None where there are no judgments.

    Raises:
        InvalidInputError: A line is malformed or a file cannot be read; names file and line.
    """
    paths = sorted((folder / _FOLDER).glob("*.tsv"))
    paths = [path for path in paths if path.name == _PREFERRED] or paths
    grades: dict[str, dict[str, int]] = {}
    for path in paths:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1))
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path} cannot be read ({error})"
            raise InvalidInputError(msg) from error
        for number, row in rows:
            if not row or (number == 1 and row[-1] == "score"):
                continue
            try:
                question, document, grade = row
                grades.setdefault(question, {})[document] = int(grade)
            except ValueError as error:
                wanted = "question, document and a whole number, between tabs"
                msg = f"{path}, line {number}: expected {wanted}, not {row!r:.80}"
                raise InvalidInputError(msg) from error
    return grades if paths else None
