"""Rows of tables count for what their header says."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from found_records import n_found

from s3_retriever import Artifact, Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.evaluation.lookups import lookup_set
from s3_retriever.search import headers
from s3_retriever.search.headers import BEST_ROWS, HEADER_CELLS, PART

NAMES = ["Order", "Customer", "City", "Product", "Quantity", "Unit price", "Status", "Due date"]
PROSE = (
    "The warehouse in the north was opened in spring and serves all branches of the company. Its staff works "
    "in two shifts, and a third one is planned for the busy months before the holidays. Visitors report to "
    "the gate, where they are given a badge.\n\n"
)


def word(i: int) -> str:
    """Return a word for a number, which is no code: codes are found without a header."""
    syllables = [
        "ba",
        "ke",
        "lo",
        "mi",
        "nu",
        "ra",
        "so",
        "ti",
        "va",
        "zo",
        "dar",
        "fen",
        "gol",
        "hin",
        "jor",
    ]
    return (syllables[i % 15] + syllables[(7 * i + i // 15) % 15] + syllables[i // 15]).capitalize()


def orders(n: int) -> list[list[str]]:
    draw = random.Random(3)  # noqa: S311
    people = ["Anna Keller", "Bruno Silva", "Carla Novak", "David Hansen", "Elena Rossi", "Felix Moreau"]
    cities = ["Lisbon", "Hamburg", "Lyon", "Turin", "Oslo", "Ghent", "Porto", "Graz"]
    goods = ["hydraulic pump", "ball bearing", "torque wrench", "gear motor", "cable drum", "air filter"]
    states = ["shipped", "open", "cancelled", "returned", "on hold"]
    return [
        [
            f"A{1000 + i}",
            draw.choice(people),
            draw.choice(cities),
            draw.choice(goods),
            str(draw.randint(1, 400)),
            f"{draw.randint(200, 90000) / 100:.2f}",
            draw.choice(states),
            f"2024-05-{draw.randint(1, 28):02d}",
        ]
        for i in range(n)
    ]


def pipes(rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in [NAMES, *rows]]
    return [lines[0], "|" + "---|" * len(NAMES), *lines[1:]]


def aligned(rows: list[list[str]]) -> list[str]:
    return ["".join(cell.ljust(16) for cell in row).rstrip() for row in [NAMES, *rows]]


def tabs(rows: list[list[str]]) -> list[str]:
    return ["\t".join(row) for row in [NAMES, *rows]]


@pytest.mark.parametrize("form", [pipes, aligned, tabs])
def test_a_row_is_found_by_its_key_and_the_names_of_columns(
    host: Host, form: Callable[[list[list[str]]], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [[word(i), *rest] for i, (_, *rest) in enumerate(orders(160))]
    lines = form(rows)
    text = "# Overview\n\n" + PROSE * 2 + "## List\n\n" + "\n".join(lines) + "\n\n## Notes\n\n" + PROSE * 4
    retriever = S3Retriever.from_documents([Document("orders", text)], host=host)
    asked = {
        "What is the status of order {}?": [17, 48, 81, 140],
        "Which customer placed order {}?": [23, 64, 99, 155],
        "What is the unit price of order {}?": [31, 76, 110, 128],
        "What quantity does order {} have?": [40, 58, 93, 133],
    }
    questions = {
        phrase.format(rows[i][0]): lines[i - len(rows)] for phrase, some in asked.items() for i in some
    }

    def n_found() -> int:
        found = retriever.retrieve_batch(list(questions), 200)
        return sum(
            any(line in span.text for span in spans)
            for line, spans in zip(questions.values(), found, strict=True)
        )

    with_header = n_found()
    monkeypatch.setattr(headers, "PART", 0.0)
    assert with_header >= 10
    assert with_header >= n_found() + 3


def test_a_row_of_a_large_table_is_found_by_what_it_says(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    made = lookup_set("tabs", "content", rows=150, questions=30)
    retriever = S3Retriever.from_documents(made.documents, host=host)

    with_rows = n_found(retriever, made.questions)
    monkeypatch.setattr(headers, "LARGE_TABLE", 1 << 20)
    assert with_rows >= n_found(retriever, made.questions) + 3


@pytest.mark.parametrize("seed", range(4))
def test_the_best_rows_rise_by_a_part_of_what_the_header_is_above_them(
    tiny_host: Host, tiny_artifact: Artifact, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311
    texts = [draw.choice([PROSE, "\n".join(pipes(orders(draw.randint(1, 9)))) + "\n\n"]) for _ in range(24)]
    documents = [Document(str(i), "".join(texts[3 * i : 3 * i + 3])) for i in range(8)]
    config = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16))
    retriever = S3Retriever.from_documents(
        documents[:5], host=tiny_host, artifact=tiny_artifact, config=config
    )
    retriever.add(documents[5:])
    retriever.delete(["1", "6"])
    snapshot = retriever.index.snapshot
    before = np.random.default_rng(seed).normal(size=snapshot.n_cells).astype(np.float32)
    expected = before.copy()
    borders = snapshot.document_cells.tolist()
    n_tables = 0
    for number in range(snapshot.n_documents):
        text, starts = snapshot.document(number).text, snapshot.token_starts(number)[::32].tolist()
        at = text.find("| Order")
        last = -1
        while at >= 0:
            end = text.find("\n\n", at)
            first = max(last + 1, sum(start <= at for start in starts) - 1)
            final = sum(start <= end for start in starts) - 1
            if final - first + 1 >= 4:
                last, n_tables = final, n_tables + 1
                cells = range(borders[number] + first, borders[number] + final + 1)
                header, own = before[cells[:HEADER_CELLS]].max(), before[cells[HEADER_CELLS:]]
                gain = max(0.0, PART * (float(header) - float(own.astype(np.float64).mean())))
                excess = own - np.minimum.accumulate(before[cells[HEADER_CELLS - 1 : -1]])
                for place in np.argsort(-excess, kind="stable")[:BEST_ROWS].tolist():
                    if excess[place] > 0:
                        expected[cells[HEADER_CELLS + place]] += np.float32(gain)
            at = text.find("| Order", end)
    headers.raise_rows(before, snapshot)
    assert n_tables > 2
    np.testing.assert_allclose(before, expected, rtol=1e-6)


def test_a_filter_and_the_other_modes_are_left_alone(tiny_host: Host, tiny_artifact: Artifact) -> None:
    table = "\n".join(pipes(orders(9)))
    documents = [Document("a", table, metadata={"kind": 1}), Document("b", PROSE * 2, metadata={"kind": 2})]
    config = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16))
    retriever = S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=config)
    question = "What is the status of order A1005?"
    assert {span.doc_id for span in retriever.retrieve(question, where={"kind": 2})} == {"b"}
    for mode in ("s3", "bm25"):
        profile = retriever.profile(question, "a", mode=mode)
        side = profile.s3 if mode == "s3" else profile.bm25
        np.testing.assert_array_equal(profile.density, side)
