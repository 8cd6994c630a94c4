"""Passages that a question names by a word and a number, or by a code whose parts stand everywhere."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from found_records import n_found

from s3_retriever import Artifact, Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.evaluation.datasets import Question
from s3_retriever.evaluation.metrics import Region
from s3_retriever.index.context import HEADING
from s3_retriever.index.designations import DESIGNATION, designations
from s3_retriever.search.lookup import BEGINNING, TermLookup

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16))

WHO = ["The tenant", "The supplier", "Each member", "The owner", "An applicant", "The inspector"]
DOES = ["shall notify", "must inspect", "may replace", "has to clean", "may inform", "is to record"]
WHAT = ["the drain hose", "the annual report", "the deposit", "the bearing", "the access log", "the parcel"]
HOW = ["within ten days", "before each start", "in writing", "once a quarter", "at its own expense"]


def test_a_part_number_is_found_whose_parts_stand_in_every_row(host: Host) -> None:
    draw = random.Random(0)  # noqa: S311
    stock = "part,name,in stock,minimum,place\n"
    rows: dict[str, tuple[int, int]] = {}
    while len(rows) < 150:
        number = f"{draw.choice(['BRG', 'MTR'])}-{draw.randint(100, 160)}-{draw.randint(10, 30)}"
        values = draw.randint(100, 160), draw.randint(10, 30), f"aisle {draw.randint(10, 30)}"
        row = ",".join([number, "gate valve", *map(str, values)])
        if number not in rows:
            rows[number] = len(stock), len(stock) + len(row)
            stock += row + "\n"
    retriever = S3Retriever.from_documents([Document("stock", stock)], host=host)
    questions = [
        Question(number, f"How many of {number} are in stock?", (Region("stock", *rows[number]),))
        for number in draw.sample([*rows], 30)
    ]
    assert n_found(retriever, questions, 128) == len(questions)


@pytest.mark.parametrize(
    ("heading", "asked", "cited"),
    [
        ("## Article {}", "What does article {} provide?", "Article {}"),
        ("{}.1 Costs", "Whom does section {}.1 concern?", "section {}.1"),
        ("§ {} Costs", "What is laid down in §{}?", "§ {}"),
    ],
)
def test_a_section_is_found_by_its_number_among_others_that_cite_it(
    host: Host, heading: str, asked: str, cited: str
) -> None:
    draw = random.Random(1)  # noqa: S311
    law, questions = "", []
    for number in range(1, 61):
        other = cited.format(1 + (number + 17) % 60)
        law += heading.format(number) + "\n\n"
        begin = len(law)
        law += f"{' '.join(map(draw.choice, (WHO, DOES, WHAT, HOW)))}, as {other} provides.\n\n"
        region = Region("law", begin, len(law) - 2)
        if number % 3 == 0:
            questions.append(Question(str(number), asked.format(number), (region,)))
    retriever = S3Retriever.from_documents([Document("law", law)], host=host)
    assert n_found(retriever, questions, 128) >= 0.95 * len(questions)


@pytest.mark.parametrize("written", ["XR-{}", "XR {}", "XR{}"])
def test_a_manual_is_found_by_what_its_first_lines_name(host: Host, written: str) -> None:
    """However the question writes it, and though another manual mentions it."""
    draw = random.Random(2)  # noqa: S311
    parts = ["inlet filter", "drain hose", "door seal"]
    numbers = [100 + 25 * i for i in range(9)]
    documents, wanted = [], []
    for i, number in enumerate(numbers):
        text = f"This manual is about the {written.format(number)}. Keep it near the machine.\n\n"
        for part in parts:
            text += (
                f"## {part.capitalize()}\n\nTo clean the {part}, wait for {draw.randint(2, 30)} minutes, "
                f"remove the cover and rinse the {part} under running water. "
                f"{' '.join(map(draw.choice, (WHO, DOES, WHAT, HOW)))}.\n\n"
            )
            wanted.append((f"How do I clean the {part} of the XR {number}?", f"manual {i}"))
        text += f"The parts of the {written.format(numbers[i - 1])} fit as well.\n"
        documents.append(Document(f"manual {i}", text))
    retriever = S3Retriever.from_documents(documents, host=host)
    found = retriever.retrieve_batch([question for question, _ in wanted], 256, unique=False)
    right = [
        doc_id in {span.doc_id for span in spans} for (_, doc_id), spans in zip(wanted, found, strict=True)
    ]
    assert sum(right) >= 0.9 * len(right)


@pytest.mark.parametrize("seed", range(6))
def test_a_designation_is_in_the_cell_in_which_it_ends(
    tiny_host: Host, tiny_artifact: Artifact, seed: int
) -> None:
    """In all segments, without what was deleted; and above all of a document that begins with it."""
    draw = random.Random(seed)  # noqa: S311
    said: list[Callable[[], str]] = [
        lambda: f"pier {draw.randint(1, 4)}",
        lambda: f"XR-{draw.randint(1, 4)}",
        lambda: "grey boats of 1 to 4 men",
        lambda: f"\n\n## Pier {draw.randint(1, 4)}\n\n",
    ]
    documents = [
        Document(str(i), " ".join(draw.choice(said)() for _ in range(draw.randint(0, 200)))) for i in range(7)
    ]
    retriever = S3Retriever.from_documents(
        documents[:4], host=tiny_host, artifact=tiny_artifact, config=CONFIG
    )
    retriever.add(documents[4:])
    retriever.delete(["1", "5"])
    snapshot = retriever.index.snapshot
    borders = snapshot.document_cells.tolist()
    lookup = TermLookup(snapshot)
    for name in ("pier 3", "xr 2", "pier 9"):
        expected: set[int] = set()
        begun = []
        for number in range(snapshot.n_documents):
            starts = np.asarray(snapshot.token_starts(number)[::32])
            ends = [
                one.end
                for one in designations(snapshot.document(number).text)
                if one.term == DESIGNATION + name
            ]
            cells = {max(0, int((starts < end).sum()) - 1) for end in ends}
            expected |= {borders[number] + cell for cell in cells}
            if any(cell < BEGINNING for cell in cells):
                begun.append([borders[number], borders[number + 1]])
        found = lookup.inside(DESIGNATION + name)
        assert found.cells.tolist() == sorted(expected)
        assert found.counts.tolist() == [1] * len(expected)
        assert lookup.above(DESIGNATION + name, "").tolist() == begun
    below_pier = lookup.below(DESIGNATION + "pier 3", HEADING).tolist()
    both = [set(range(*one)) for one in below_pier]
    assert set().union(*both) == {
        cell
        for first, end in snapshot.ranges_above(HEADING + "pier").tolist()
        for cell in range(first, end)
        if any(a <= cell < b for a, b in snapshot.ranges_above(HEADING + "3").tolist())
    }
