"""Evaluation sets of made-up records, two for each form that records have in people's files.

In one a record is looked up by its number, in the other by what else it says. Nothing real is in them, so
anybody can make them, and see what a change does to tables and codes::

    python -m s3_retriever.evaluation.lookups --out sets
    s3-retriever evaluate sets/by-number
    s3-retriever evaluate sets/by-content
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import islice, product
from pathlib import Path

import numpy as np

from s3_retriever.checks import check, choice, whole
from s3_retriever.documents import Document
from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.datasets import EvaluationSet, Question, write_set
from s3_retriever.evaluation.metrics import Region
from s3_retriever.training.pairs import shipped_pairs

TOPICS = 20
"""Topics of the Python reference that stand beside the records."""

WAYS = ("number", "content")
"""What a question names of a record: its number, or what else it says."""

_FILE = files("s3_retriever.evaluation") / "lookups.json"

Record = Mapping[str, str]
"""Values by the names of their columns; the first is the record's number."""


class _Values:
    """Makes values up.

    Args:
        words: To choose from, by their use.
        chance: What decides.
    """

    def __init__(self, words: Mapping[str, Sequence[str]], chance: np.random.Generator) -> None:
        self._words, self._chance = words, chance

    def one_of(self, several: Sequence[str]) -> str:
        """Choose."""
        return several[self.below(len(several))]

    def below(self, end: int) -> int:
        """Draw a whole number from 0 on."""
        return int(self._chance.integers(end))

    def value(self, kind: str | Sequence[str], number: int) -> str:
        """Make a value of a kind, or choose one of several; ``number`` is the record's, for codes."""
        if not isinstance(kind, str):
            return self.one_of(kind)
        made: str = getattr(self, f"_{kind}")(number)
        return made

    def _order(self, number: int) -> str:
        return f"A{1000 + number}"

    def _part(self, number: int) -> str:
        return f"{self.one_of(('BRG', 'MTR', 'VLV'))}-{100 + number}-{10 + self.below(90)}"

    def _ticket(self, number: int) -> str:
        return f"INC{12_040 + 7 * number:07d}"

    def _person(self, _: int) -> str:
        return f"{self.one_of(self._words['first_names'])} {self.one_of(self._words['last_names'])}"

    def _company(self, _: int) -> str:
        return f"{self.one_of(self._words['last_names'])} & {self.one_of(self._words['last_names'])}"

    def _place(self, _: int) -> str:
        return self.one_of(self._words["places"])

    def _thing(self, _: int) -> str:
        return self.one_of(self._words["things"])

    def _fault(self, _: int) -> str:
        return f"{self.one_of(self._words['systems'])} {self.one_of(self._words['faults'])}"

    def _count(self, _: int) -> str:
        return str(1 + self.below(400))

    def _price(self, _: int) -> str:
        return f"{(200 + self.below(90_000)) / 100:.2f}"

    def _weight(self, _: int) -> str:
        return f"{(1 + self.below(900)) / 10:.1f}"

    def _day(self, _: int) -> str:
        return f"2024-{1 + self.below(12):02d}-{1 + self.below(28):02d}"

    def _shelf(self, _: int) -> str:
        return f"{self.one_of('ABCDEFGH')}{1 + self.below(40)}"


def _with_pipes(told: str, records: Sequence[Record]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in _rows(records)]
    return [lines[0], "|" + " --- |" * len(records[0]), *lines[1:]]


def _csv(told: str, records: Sequence[Record]) -> list[str]:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(_rows(records))
    return written.getvalue().splitlines()


def _aligned(told: str, records: Sequence[Record]) -> list[str]:
    rows = _rows(records)
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    return ["".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _rows(records: Sequence[Record]) -> list[list[str]]:
    return [[*records[0]], *([*one.values()] for one in records)]


def _paragraph(record: Record) -> str:
    return "\n".join(f"{name}: {value}" for name, value in record.items()) + "\n"


FORMS: Mapping[str, Callable[[str, Sequence[Record]], list[str]]] = {
    "pipes": _with_pipes,
    "csv": _csv,
    "tabs": lambda told, records: ["\t".join(row) for row in _rows(records)],
    "aligned": _aligned,
    "paragraphs": lambda told, records: [*map(_paragraph, records)],
    "json": lambda told, records: [*map(json.dumps, records)],
    "prose": lambda told, records: [told.format(**one) + "\n" for one in records],
}
"""Write records, given what tells one as prose; the records are the last of the lines, one line each."""


def lookup_set(form: str, by: str, *, rows: int = 300, questions: int = 60, seed: int = 0) -> EvaluationSet:
    """Make a set of records in one form: a document for each kind, beside some of the Python reference.

    Args:
        form: One of :data:`FORMS`. The records and questions of a seed are the same in each.
        by: One of :data:`WAYS`. The records of a seed are the same in each.
        rows: Records of a kind.
        questions: Of all kinds together.
        seed: Of records and questions.

    Raises:
        InvalidInputError: There is no such form or way, or a number is out of range.
    """
    check("form", form, choice(tuple(FORMS)))
    check("by", by, choice(WAYS))
    check("rows", rows, whole(1))
    check("questions", questions, whole(1))
    check("seed", seed, whole())
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    chance = np.random.default_rng(seed)
    told = _Values(content["words"], chance)
    asking = _Values(content["words"], np.random.default_rng([seed, 1 + WAYS.index(by)]))
    documents: list[Document] = []
    asked: list[Question] = []
    kinds = content["kinds"]
    for k, (name, kind) in enumerate(kinds.items()):
        records = [
            {column: told.value(of, i) for column, of in kind["columns"].items()}
            for i in chance.permutation(rows).tolist()
        ]
        lines = FORMS[form](kind["told"], records)
        first = len(lines) - rows
        text = "\n".join([f"# {name.capitalize()}\n", content["prose"], "", *lines[:first], ""])
        starts = []
        for line in lines[first:]:
            starts.append(len(text))
            text += line + "\n"
        documents.append(Document(name, f"{text}\n{content['prose']}\n", name.capitalize()))
        n_own = len(range(k, questions, len(kinds)))
        for at, question in islice(_questions(kind[f"by_{by}"], records, asking), n_own):
            end = starts[at] + len(lines[first + at].rstrip("\n"))
            asked.append(Question(f"{name}-{len(asked)}", question, (Region(name, starts[at], end),)))
    prose, _ = shipped_pairs()
    return EvaluationSet(f"{form}-by-{by}", (*documents, *prose[:TOPICS]), tuple(asked))


def _questions(forms: Sequence[str], records: Sequence[Record], values: _Values) -> Iterator[tuple[int, str]]:
    """Yield the place of a record and a question for it, without end."""
    while True:
        at = values.below(len(records))
        number = next(iter(records[at].values()))
        yield at, values.one_of(forms).format(number, **records[at])


def main(argv: Sequence[str] | None = None) -> int:
    """Write two sets for each form."""
    parser = argparse.ArgumentParser(
        prog="python -m s3_retriever.evaluation.lookups",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the sets")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=[*FORMS], help="default: all")
    parser.add_argument("--rows", type=int, default=300, help="of a kind of records (default: %(default)s)")
    parser.add_argument("--questions", type=int, default=60, help="of a set (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is made up (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        for form, by in product(args.forms, WAYS):
            made = lookup_set(form, by, rows=args.rows, questions=args.questions, seed=args.seed)
            write_set(made, args.out / f"by-{by}" / made.name)
    except (S3RetrieverError, OSError) as error:
        parser.error(str(error))
    sys.stdout.write(f"{args.out}: {len(args.forms)} sets by number and {len(args.forms)} by content\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
