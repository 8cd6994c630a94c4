"""Passages that hold the code that a question names."""

from __future__ import annotations

import random

import numpy as np
import pytest
from found_records import n_found

from s3_retriever import Artifact, Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.evaluation.lookups import lookup_set
from s3_retriever.index.codes import TOGETHER
from s3_retriever.index.context import HEADING
from s3_retriever.index.words import Asked, asked, cell_terms
from s3_retriever.search import rank
from s3_retriever.search.lookup import TermLookup

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16))


def test_a_record_among_many_alike_is_found_by_its_number(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lookup_set("prose", "number", rows=60, questions=30)
    retriever = S3Retriever.from_documents(made.documents, host=host)

    with_codes = n_found(retriever, made.questions)
    monkeypatch.setattr(rank, "codes", lambda _: [])
    assert with_codes >= 0.8 * len(made.questions)
    assert with_codes > n_found(retriever, made.questions)


@pytest.mark.parametrize("seed", range(6))
def test_words_together_are_those_of_one_cell_or_of_two_that_follow_each_other(
    tiny_host: Host, tiny_artifact: Artifact, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311
    words = ["red", "green", "blue", *["grey"] * 40]
    documents = [Document(str(i), " ".join(draw.choices(words, k=draw.randint(1, 200)))) for i in range(7)]
    retriever = S3Retriever.from_documents(
        documents[:4], host=tiny_host, artifact=tiny_artifact, config=CONFIG
    )
    retriever.add(documents[4:])
    retriever.delete(["1", "5"])
    snapshot = retriever.index.snapshot
    wanted = draw.sample(["red", "green", "blue"], draw.randint(2, 3))
    expected = []
    for number in range(snapshot.n_documents):
        own: list[set[str]] = [set() for _ in range(int(np.diff(snapshot.document_cells)[number]))]
        starts = np.asarray(snapshot.token_starts(number)[::32])
        for terms, cells in cell_terms(snapshot.document(number).text, starts):
            for term, cell in zip(terms, cells.tolist(), strict=True):
                own[cell].add(term)
        has = [set(wanted) <= cell for cell in own]
        for i, cell in enumerate(own):
            goes_on = i > 0 and not has[i - 1] and not has[i] and set(wanted) <= own[i - 1] | cell
            if has[i] or goes_on:
                expected.append(int(snapshot.document_cells[number]) + i)
    found = TermLookup(snapshot).inside(TOGETHER.join(wanted))
    assert found.cells.tolist() == expected
    assert found.counts.tolist() == [1] * len(expected)


@pytest.mark.parametrize("seed", range(6))
def test_words_together_stand_above_what_each_of_them_stands_above(
    tiny_host: Host, tiny_artifact: Artifact, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311

    def some() -> str:
        return " ".join(draw.sample(["red", "green", "blue"], draw.randint(0, 3)))

    documents = [
        Document(
            str(i),
            "".join(f"{'#' * draw.randint(1, 3)} Part {some()}\n\n{'grey ' * 40}\n\n" for _ in range(9)),
        )
        for i in range(7)
    ]
    documents = [Document(one.id, one.text, f"Manual {some()}") for one in documents]
    retriever = S3Retriever.from_documents(
        documents[:4], host=tiny_host, artifact=tiny_artifact, config=CONFIG
    )
    retriever.add(documents[4:])
    retriever.delete(["1", "5"])
    snapshot = retriever.index.snapshot
    wanted = draw.sample(["red", "green", "blue"], draw.randint(2, 3))
    for mark in ("", HEADING):
        below = [
            {cell for first, end in snapshot.ranges_above(mark + word).tolist() for cell in range(first, end)}
            for word in wanted
        ]
        found = TermLookup(snapshot).above(TOGETHER.join(wanted), mark).tolist()
        cells = [cell for first, end in found for cell in range(first, end)]
        assert cells == sorted(set.intersection(*below))
        assert all(0 <= first < end <= snapshot.n_cells for first, end in found)


@pytest.mark.parametrize("mentioned", [False, True])
@pytest.mark.parametrize("title", ["Manual {}", "{}.md"])
def test_a_code_in_a_title_is_that_of_all_below_it(host: Host, title: str, mentioned: bool) -> None:
    """Also where each manual mentions another one, whose code stands nowhere else."""
    draw = random.Random(0)  # noqa: S311
    parts = ["inlet filter", "drain hose", "door seal"]
    codes = [f"XR-{100 + 25 * i}" for i in range(12)]
    documents = []
    for code, other in zip(codes, [*codes[1:], codes[0]], strict=True):
        said = [
            f"## {part.capitalize()}\n\nTo clean the {part}, wait for {draw.randint(2, 30)} minutes, remove "
            f"the cover and rinse the {part} under running water.\n\nReplace the {part} after "
            f"{draw.randint(100, 900)} hours.\n\n"
            for part in parts
        ]
        if mentioned:
            said.append(f"## Accessories\n\nThose of the {other} fit this machine as well.\n")
        name = title.format(code)
        documents.append(Document(name, "".join(said), "" if name.endswith(".md") else name))
    retriever = S3Retriever.from_documents(documents, host=host)
    wanted = [(code, f"How do I clean the {part} of the {code}?") for code in codes for part in parts]
    found = retriever.retrieve_batch([question for _, question in wanted], 128, unique=False)
    right = [spans[0].doc_id == title.format(code) for (code, _), spans in zip(wanted, found, strict=True)]
    assert sum(right) >= 0.9 * len(right)


def test_documents_with_one_title_are_two(tiny_host: Host, tiny_artifact: Artifact) -> None:
    """A document counts as one cell among those that have what its title says; so does all below a name."""
    code = (
        "".join(f"import module_{i}\n" for i in range(30))
        + "\n\nclass FileReader:\n    def read(self):\n"
        + "".join(f"        self.part_{i} = parse(self.file.read({i}), {i})\n" for i in range(60))
    )
    documents = [Document(f"{i}", "It is cleaned once a week. " * 30, "Manual XR-500") for i in range(2)]
    documents += [
        Document("code", code),
        Document("headed", "First of all. " * 40 + "\n\n# E-512\n\n" + "It is hot. " * 40),
    ]
    retriever = S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    lookup = TermLookup(retriever.index.snapshot)
    cells = np.diff(retriever.index.snapshot.document_cells)
    assert lookup.above("xr 500", "").tolist() == [[0, cells[0]], [cells[0], cells[0] + cells[1]]]
    assert lookup.n_below(Asked("xr 500")) == (cells[:2].sum(), 0, 2, 0, 2)
    plain, named = (lookup.n_below(Asked("filereader", is_name=name)) for name in (False, True))
    assert plain == (plain.titled, 0, plain.titled, 0, 0)
    assert named == (plain.titled, 0, 1, 0, 0)
    assert plain.titled > 10
    plain, named = (lookup.n_below(Asked("e 512", is_name=name)) for name in (False, True))
    assert plain == (0, plain.headed, 0, plain.headed, 0)
    assert named == (0, plain.headed, 0, 1, 0)
    assert plain.headed > 3
    retriever.delete(["0"])
    assert TermLookup(retriever.index.snapshot).n_below(Asked("xr 500")) == (cells[1], 0, 1, 0, 1)


def test_a_question_names_what_source_code_may_be_called() -> None:
    question = "Does read_rows of FileReader call getUser, iOS or the reader of WATER, Anna or _x?"
    named = [question[one.start : one.end] for one in asked(question) if one.is_name and not one.exact]
    assert named == ["read_rows", "FileReader", "getUser", "iOS"]


def test_where_documents_are_empty_nothing_has_a_code(tiny_host: Host, tiny_artifact: Artifact) -> None:
    documents = [Document("none", ""), Document("nor", "")]
    retriever = S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    assert TermLookup(retriever.index.snapshot).inside("brg 204 17").cells.tolist() == []
    retriever.add([Document("some", "BRG-204-17 is made of brass."), Document("last", "")])
    assert TermLookup(retriever.index.snapshot).inside("brg 204 17").cells.tolist() == [0]
    assert retriever.retrieve("What is BRG-204-17?")[0].doc_id == "some"


DOCUMENTS = [
    Document("a", "The pump BRG-204-17 is made of brass. The valve BRG-205-18 is made of steel. " * 3),
    Document("b", "A list of 17 brass parts, BRG among them, has 204 lines and nothing else to tell. " * 3),
    Document("c", "Whoever wants to know what pumps are made of asks the man at the counter. " * 3),
]


def test_an_explanation_lays_a_code_on_its_words(tiny_host: Host, tiny_artifact: Artifact) -> None:
    question = "What is BRG-204-17 made of?"
    retriever = S3Retriever.from_documents(DOCUMENTS, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    best = retriever.retrieve(question, 40, explain=True)[0]
    assert best.doc_id == "a"
    assert best.explanation is not None
    code = range(question.index("BRG"), question.index(" made"))
    met = [one for one in best.explanation.words if one.word_start in code]
    whole = [one for one in met if one.word == "BRG-204-17"]
    assert {one.text for one in whole} == {"BRG", "204", "17"}
    total = sum(one.bm25 for one in best.explanation.words)
    assert sum(one.bm25 for one in whole) > total / 3
    assert sum(one.bm25 for one in met) > total / 2


def test_bm25s_scores_codes_alike(tiny_host: Host, tiny_artifact: Artifact) -> None:
    pytest.importorskip("bm25s")
    own, other = (
        S3Retriever.from_documents(
            DOCUMENTS,
            host=tiny_host,
            artifact=tiny_artifact,
            config=RetrieverConfig(scan=CONFIG.scan, bm25=backend),
        )
        for backend in ("rank_bm25", "bm25s")
    )
    for doc_id in "abc":
        profiles = [one.profile("What is BRG-204-17 made of?", doc_id) for one in (own, other)]
        np.testing.assert_allclose(profiles[0].bm25, profiles[1].bm25, rtol=1e-5)
        assert profiles[0].bm25.max() > 0
