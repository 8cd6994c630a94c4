"""Sections that the best passages name count more."""

from __future__ import annotations

import numpy as np
import pytest

from s3_retriever import Artifact, Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.index.layout import CELL
from s3_retriever.search.references import (
    FIRST_CELLS,
    LIFT,
    MOST_SECTIONS,
    Naming,
    Raised,
    Section,
    lift,
    name_of,
    naming_of,
    raised,
)
from s3_retriever.search.spans import SelectedSpan

FILM = (
    "The Lighthouse of Dunmore\nThe Lighthouse of Dunmore is a film of 1974 that Marek Ostrowski directed. "
    "It was shot in eleven days on the coast of Fife, and shown first at the festival of that summer.\n\n"
)
SONGS = (
    "Harbour Songs\n"
    + "Harbour Songs is a record of shanties that the choir of Whitby sang in 1981. " * 3
    + "\n\n"
)
MAREK = (
    "Marek Ostrowski\nMarek Ostrowski was born in Gdynia on the fourth of May 1931, and worked in Warsaw and "
    "Paris. The pianist Alina Brandt raised him alone.\n\n"
)
CANALS = (
    "Edwin Clarke\n"
    + "The surveyor Edwin Clarke kept a diary of the works on canals in the north. " * 6
    + "\n\n"
)
QUESTION = "Who was the mother of the man that directed The Lighthouse of Dunmore?"


def span(document: int, first: int, last: int, peak: int | None = 0) -> SelectedSpan:
    return SelectedSpan(document, first, last, 0, 1, 1.0, peak)


NAMING = Naming(["He met Neil\n Peart there.", "See neil peart and Oil Change."])
ELSEWHERE = span(0, 0, 9)


def raises(sections: list[Section], first: SelectedSpan, second: SelectedSpan = ELSEWHERE) -> list[Raised]:
    rarity = {"neil": 0.25, "peart": 0.5, "oil": 0.0, "change": 0.0}
    passages = [(0, first), (0, second)]
    (found,) = raised(NAMING, passages, [sections], rarity.__getitem__, (-2.0, 6.0))
    return found


def test_a_section_rises_by_the_rarity_of_its_name() -> None:
    (one,) = raises([Section("=neil peart", 3, 7, 90)], span(2, 0, 999))
    assert one == Raised("Neil\n Peart", 3, 7, 7 + FIRST_CELLS, LIFT * 0.5 * 8, 6.0)
    (short,) = raises([Section("=oil change", 3, 7, 8)], ELSEWHERE)
    assert short == Raised("Oil Change", 3, 7, 8, 0.0, 6.0)


@pytest.mark.parametrize(
    ("passage", "is_raised"),
    [
        (span(3, 7 * CELL, 8 * CELL), False),
        (span(3, 8 * CELL + 5, 8 * CELL + 9), False),
        (span(3, 2 * CELL, 8 * CELL - 1), True),  # it ends where the section may begin
        (span(3, 2 * CELL, 8 * CELL), False),
        (span(3, 9 * CELL - 1, 20 * CELL), True),
        (span(2, 7 * CELL, 8 * CELL), True),
    ],
)
def test_no_passage_refers_to_its_own_section(passage: SelectedSpan, is_raised: bool) -> None:
    section = [Section("=neil peart", 3, 7, 9)]
    assert bool(raises(section, passage, passage)) == is_raised
    names = [one.name for one in raises(section, passage)]
    assert names == ["Neil\n Peart" if is_raised else "neil peart"]  # to that of another it does


def test_what_many_sections_are_called_names_none() -> None:
    few = [Section("=neil peart", 1 + i, 0, 1) for i in range(MOST_SECTIONS)]
    assert [one.document for one in raises(few, ELSEWHERE)] == [one.document for one in few]
    assert raises([*few, Section("=neil peart", 9, 0, 1)], ELSEWHERE) == []


@pytest.mark.parametrize(
    ("text", "name", "is_raised"),
    [
        ("Then Peart came.", "=peart", True),
        ("Then PEART came.", "=peart", True),
        ("Then peart came.", "=peart", False),
        ("see neil peart", "=neil peart", True),
        ("他说过概要吗", "=概要", False),
        ("他说过概要图吗", "=概要 要图", True),
    ],
)
def test_one_word_is_a_name_with_a_capital_only(text: str, name: str, is_raised: bool) -> None:
    sections = [Section(name, 3, 0, 1)]
    found = raised(Naming([text]), [(0, ELSEWHERE)], [sections], lambda _: 1.0, (0.0, 1.0))
    assert bool(found[0]) == is_raised


def test_the_more_names_there_are_the_less_each_says() -> None:
    naming = Naming(["Oil Change, Neil Peart, the First Part and the Second Part"])
    names = ["=oil change", "=neil peart", "=first part", "=second part"]
    for n in range(1, 5):
        sections = [Section(name, 3 + i, 0, 1) for i, name in enumerate(names[:n])] * 2
        (found,) = raised(naming, [(0, ELSEWHERE)], [sections], lambda _: 1.0, (0.0, 1.0))
        assert [one.by for one in found] == pytest.approx([LIFT / n**0.5] * 2 * n)


def test_parts_of_a_corpus_are_numbered_apart_and_their_names_counted_together() -> None:
    parts = [[Section("=neil peart", i, 0, 1) for i in range(2)] for _ in range(2)]
    passages = [(1, ELSEWHERE), (1, ELSEWHERE)]
    assert raised(NAMING, passages, parts, lambda _: 1.0, (0.0, 1.0)) == [[], []]
    found = raised(NAMING, passages, [parts[0][:1], parts[1]], lambda _: 1.0, (0.0, 1.0))
    assert [[one.document for one in own] for own in found] == [[0], [1]]


def test_what_is_raised_stays_below_the_best_and_what_is_excluded_stays_so() -> None:
    density = np.array([1, 2, 9, -np.inf, 3, 4, 5], np.float32)
    sections = [
        Raised("a", 1, 0, 2, 5.0, 9.0),
        Raised("b", 1, 1, 3, 1.0, 9.0),
        Raised("c", 0, 0, 2, 100.0, 9.0),
    ]
    lift(density, np.array([0, 3, 7]), sections)
    below = np.nextafter(np.float32(9), np.float32(0))
    np.testing.assert_array_equal(density, np.array([below, below, 9, -np.inf, 8, 5, 5], np.float32))
    assert [name_of(sections, 1, cell) for cell in range(4)] == ["a", "a", "b", ""]
    assert name_of(sections, 2, 0) == ""


def test_the_best_passages_name() -> None:
    spans = [span(0, 0, 9), span(0, 9, 12, None), span(1, 0, 9), span(2, 0, 9)]
    assert naming_of(spans) == [spans[0], spans[2]]
    assert naming_of([]) == []


def test_the_second_step_of_a_question_is_found(host: Host) -> None:
    """It shares no word with the question, and another mother is nearer."""
    documents = [Document("notes", FILM + SONGS + CANALS + MAREK + SONGS.replace("Whitby", "Hull"))]
    retriever = S3Retriever.from_documents(documents, host=host)
    found = retriever.retrieve(QUESTION, 128, explain=True)
    (second,) = [one for one in found if "Alina Brandt" in one.text]
    assert second.explanation is not None
    assert second.explanation.named == "Marek Ostrowski"
    assert "directed" in found[0].text
    assert found[0].explanation is not None
    assert found[0].explanation.named == ""
    for mode in ("s3", "bm25"):
        assert not any(
            one.explanation.named for one in retriever.retrieve(QUESTION, 128, mode=mode, explain=True)
        )


@pytest.mark.parametrize("titled", [True, False])
def test_documents_are_named_by_title_and_file_name(host: Host, titled: bool) -> None:
    body = MAREK.partition("\n")[2]
    named = Document("a", body, "Marek Ostrowski") if titled else Document("people/marek-ostrowski.md", body)
    film = FILM if titled else FILM.replace("Marek Ostrowski", "the man in marek-ostrowski.md")
    documents = [Document("film", film), Document("songs", SONGS * 4), Document("canals", CANALS * 3), named]
    retriever = S3Retriever.from_documents(documents, host=host)
    found = retriever.retrieve(QUESTION, 128, explain=True)
    (second,) = [one for one in found if "Alina Brandt" in one.text]
    assert second.explanation is not None
    assert second.explanation.named == ("Marek Ostrowski" if titled else "marek-ostrowski.md")
    profile = retriever.profile(QUESTION, named.id)
    raised_by = profile.density - (profile.s3 + profile.bm25)
    assert (raised_by[:FIRST_CELLS] > 0).all()


def test_deleted_documents_are_not_named(tiny_host: Host, tiny_artifact: Artifact) -> None:
    documents = [Document(f"d{i}", f"zebra {i} " * 40, f"Title {name}") for i, name in enumerate("abcde")]
    config = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16))
    retriever = S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=config)
    retriever.delete(["d1", "d3"])
    retriever.add([Document("again", "owl " * 90, "Title b")])
    words = ["title", "a", "and", "title", "b", "or", "title", "d", "or", "title", "e"]
    found = {name: ranges.tolist() for name, ranges in retriever.index.snapshot.named_ranges(words)}
    cells = retriever.index.snapshot.document_cells.tolist()
    assert found["=title d"] == []
    assert found["=title a"] == [cells[0:2]]
    assert found["=title e"] == [cells[2:4]]
    assert found["=title b"] == [cells[3:5]]
