"""What documents and spans say of themselves."""

from __future__ import annotations

import numpy as np
import pytest

from s3_retriever import Document, InvalidDocumentError, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.documents import as_documents
from s3_retriever.encode import Artifact
from s3_retriever.host import Host

PAGES = [
    "Ships sail at noon, whatever the weather. ",
    "",  # a picture
    "The keeper stores the oil of the lamp ",
    "in the cellar below the tower. ",
    "Bread is baked at four in the morning. ",
]


def paged(name: str = "harbour") -> Document:
    begins = np.cumsum([0, *map(len, PAGES[:-1])])
    return Document(name, "".join(PAGES), pages=tuple(begins))


def test_a_passage_names_the_pages_on_which_it_stands(
    tiny_host: Host, tiny_artifact: Artifact, tmp_path: object
) -> None:
    config = RetrieverConfig(ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
    retriever = S3Retriever.from_documents(
        [paged(), "Oil."], host=tiny_host, artifact=tiny_artifact, config=config
    )
    retriever.update([paged()])  # another segment, merged into the first
    retriever.save(f"{tmp_path}/index")
    loaded = S3Retriever.load(f"{tmp_path}/index", host=tiny_host)
    assert loaded.document("harbour") == paged()
    seen = set()
    for question in (
        "Who keeps oil in the cellar?",
        "When is bread baked?",
        "When do ships sail?",
        "lamp oil",
    ):
        for budget in (4, 16, 64):
            for span in loaded.retrieve(question, budget):
                assert retriever.retrieve(question, budget) == loaded.retrieve(question, budget)
                seen.add(span.pages)
                if span.doc_id != "harbour":
                    assert (span.pages, span.page) == ((), None)
                    continue
                of_each = [n for n, text in enumerate(PAGES, 1) for _ in text]  # the page of each character
                stands = sorted(set(of_each[span.start : span.end]))
                assert span.pages == tuple(range(stands[0], stands[-1] + 1))
                assert span.page == stands[0]
    assert any(len(pages) > 1 for pages in seen), seen


@pytest.mark.parametrize("pages", [(1,), (0, 5, 4), (0, 99), (0, 2.5), "pages", 3, (False, 1), None])
def test_pages_that_are_no_offsets_are_refused(pages: object) -> None:
    with pytest.raises(InvalidDocumentError, match=r"document 'a': pages must be offsets from 0 to 9, "):
        Document("a", "some text", pages=pages)  # type: ignore[arg-type]


def test_pages_are_a_tuple_of_plain_numbers() -> None:
    document = Document("a", "some text", pages=list(np.array([0, 5])))  # type: ignore[arg-type]
    assert document.pages == (0, 5)
    assert type(document.pages[1]) is int
    assert document.pages_of(4, 5) == (1,)
    assert document.pages_of(4, 6) == (1, 2)
    assert document.pages_of(9, 9) == (2,)


def test_what_else_a_mapping_has_is_metadata() -> None:
    (document,) = as_documents(
        [{"_id": "a", "text": "t", "title": "T", "town": "Oslo", "year": 1, "metadata": {"year": 2}}]
    )
    assert (document.id, document.title, document.metadata) == ("a", "T", {"town": "Oslo", "year": 2})


@pytest.mark.parametrize("metadata", [[], "", 0, "page 3", [1]])
def test_metadata_that_is_no_mapping_is_refused(metadata: object) -> None:
    with pytest.raises(InvalidDocumentError, match="document 0: metadata must be a mapping, not"):
        list(as_documents([{"text": "t", "metadata": metadata}]))
