"""Questions that name a title, a file, a chapter or a class, and say of what they want."""

from __future__ import annotations

import numpy as np
import pytest

from s3_retriever import Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact

PARAGRAPH = "It leaves at nine from the old pier, and it returns at noon. Nobody has ever been late. "
CHAPTER = "{}\n\n" + PARAGRAPH * 20 + "\n\n"
CLASSES = "".join(
    f"class {name}:\n"
    + "".join(
        f"    def step_{i}(self):\n        self.log('step', {i})\n        return self.count + {i}\n"
        for i in range(9)
    )
    for name in ("Ferry", "Tram", "Bus")
)
DOCUMENTS = (
    Document("plain", PARAGRAPH * 6),
    Document("titled", PARAGRAPH * 6, "Trains of the valley"),
    Document("lines/funicular.txt", PARAGRAPH * 6),
    Document("book", "".join(CHAPTER.format(f"# {name}") for name in ("Airships", "Balloons", "Kites"))),
    Document("code", CLASSES),
)

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))


@pytest.fixture(scope="module")
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    return S3Retriever.from_documents(DOCUMENTS, host=tiny_host, artifact=tiny_artifact, config=CONFIG)


@pytest.mark.parametrize("mode", ["bm25", "hybrid"])
@pytest.mark.parametrize(
    ("question", "doc_id", "field", "met"),
    [
        ("trains", "titled", "title", "Trains"),
        ("the funicular", "lines/funicular.txt", "path", "funicular"),
        ("step in Tram", "code", "opening", "Tram"),
    ],
)
def test_what_stands_above_a_passage_finds_it(
    retriever: S3Retriever, mode: str, question: str, doc_id: str, field: str, met: str
) -> None:
    spans = retriever.retrieve(question, 60, mode=mode, explain=True)
    assert spans[0].doc_id == doc_id
    document = retriever.document(doc_id)
    named = {"title": document.title, "path": document.id}.get(field, document.text)
    found = []
    for span in spans:
        for one in span.explanation.words:
            where = {"title": document.title, "path": document.id}.get(one.field, document.text)
            if span.doc_id == doc_id:
                assert where[one.start : one.end] == one.text
            if one.field == "text":
                assert span.start <= one.start < one.end <= span.end
            else:
                assert one.bm25 > 0 == one.s3
                found.append((one.field, one.text))
        if span.explanation.words:
            assert sum(one.share for one in span.explanation.words) == pytest.approx(1)
    assert met in named
    assert mode == "hybrid" or (field, met) in found


def test_a_heading_counts_far_below_it(retriever: S3Retriever) -> None:
    text = retriever.document("book").text
    profile = retriever.profile("Who was late with kites?", "book", mode="bm25")

    def density(chapter: str) -> float:
        at = text.index("late", text.index(chapter) + 15 * len(PARAGRAPH))
        return float(profile.density[int(np.searchsorted(profile.starts, at, side="right")) - 1])

    assert density("Kites") > density("Airships") > 0


def test_where_nothing_stands_above_scores_are_those_of_the_text(retriever: S3Retriever) -> None:
    """A title gives nothing to a question that does not name it."""
    spans = retriever.retrieve("old pier", 2000, mode="bm25", unique=False)
    scores = {span.doc_id: span.score for span in spans}
    assert scores["plain"] == scores["titled"] == scores["lines/funicular.txt"]


def test_a_title_that_is_gone_gives_nothing(tiny_host: Host, tiny_artifact: Artifact) -> None:
    made = S3Retriever.from_documents(DOCUMENTS[:2], host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    assert {span.doc_id for span in made.retrieve("trains", 60, mode="bm25")} == {"titled"}
    made.delete(["titled"])
    assert made.retrieve("trains", 60, mode="bm25") == []


def paged() -> Document:
    texts = [f"Sheet {i + 1}. {PARAGRAPH * 8}\n" for i in range(12)]
    return Document("report", "".join(texts), pages=tuple(np.cumsum([0, *map(len, texts[:-1])]).tolist()))


@pytest.mark.parametrize("question", ["Who was late on page 7?", "Was sagt Seite 7?", "第7页"])
def test_a_page_that_a_question_names_comes_first(
    tiny_host: Host, tiny_artifact: Artifact, question: str
) -> None:
    """And the explanation says so; after the document's pages are gone, nothing of it is left."""
    document = paged()
    made = S3Retriever.from_documents([document], host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    (span,) = made.retrieve(question, 120, mode="bm25", explain=True, top_k=1, unique=False)
    assert 7 in span.pages
    (match,) = (one for one in span.explanation.words if one.field == "page")
    assert (match.word, match.text) == ("7", "7")
    assert document.pages_of(match.start, match.end) == (7,)
    assert document.text[match.start : match.end].startswith("Sheet 7.")
    assert match.bm25 > 0 == match.s3
    made.update([Document("report", document.text)])
    found = made.retrieve(question, 120, mode="bm25", explain=True, unique=False)
    assert not any(word.field == "page" for one in found for word in one.explanation.words)


def test_a_named_page_comes_first_beside_s3(host: Host) -> None:
    made = S3Retriever.from_documents([paged()], host=host)
    for page in (3, 11):
        assert page in made.retrieve(f"Who was late on p. {page}?", unique=False)[0].pages
