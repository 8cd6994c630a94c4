"""The retriever: results, settings, calls of every kind, changes, persistence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_classic.retrievers import EnsembleRetriever, MultiQueryRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_corpus import CONFIG, DOCUMENTS, QUESTION, Make
from pydantic import ValidationError

from langchain_s3_retriever import S3DocumentCompressor, S3DocumentIndex, S3Retriever
from s3_retriever import AllOf, AnyOf, Compare, Host, SpanConfig
from s3_retriever import Document as CoreDocument
from s3_retriever import S3Retriever as CoreRetriever
from s3_retriever.disk import only_writer
from s3_retriever.encode import Artifact
from s3_retriever.errors import (
    ArtifactError,
    DuplicateDocumentError,
    IndexBusyError,
    IndexFormatError,
    InvalidDocumentError,
    InvalidInputError,
    UnknownDocumentError,
)

TEXTS = {document.id: document.page_content for document in DOCUMENTS}


class Recorder(BaseCallbackHandler):
    """Notes what retrievers report."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.metadata: dict[str, Any] = {}

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self.events.append(("start", query))
        self.metadata = kwargs["metadata"]

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.events.append(("end", len(documents)))

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(("error", error))


def keys(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def doc_ids(documents: list[Document]) -> set[str]:
    return {document.metadata["doc_id"] for document in documents}


# Results


@pytest.mark.parametrize("mode", ["hybrid", "s3", "bm25"])
@pytest.mark.parametrize("unit_scores", [True, False])
def test_results_are_the_spans_of_the_core(shared: S3Retriever, mode: str, unit_scores: bool) -> None:
    spans = shared.core.retrieve(QUESTION, 90, mode=mode, unit_scores=unit_scores)
    found = shared.invoke(QUESTION, token_budget=90, mode=mode, unit_scores=unit_scores)
    assert spans
    for span, document in zip(spans, found, strict=True):
        place = {"doc_id": span.doc_id, "passage_id": span.id}
        shown = {**place, "start_index": span.start, "end_index": span.end, "score": span.score}
        assert document == Document(
            id=span.id,
            page_content=span.text,
            metadata={
                **span.metadata,
                **shown,
                "s3_retriever": {**shown, "start": span.start, "end": span.end, **span.structure},
            },
        )


def test_results_name_the_pages_on_which_they_stand(tiny_host: Host, tiny_artifact: Artifact) -> None:
    text = "The keeper stores the oil of the lamp in the cellar."
    stored = [CoreDocument("a", text, pages=(0, 25)), CoreDocument("b", text, "", {"page": 0}, (0,))]
    core = CoreRetriever.from_documents(stored, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    results = S3Retriever(core=core, unique=False).invoke("lamp oil")
    of_ours = {one.metadata["doc_id"]: one.metadata["s3_retriever"]["pages"] for one in results}
    assert of_ours == {"a": [1, 2], "b": [1]}
    assert {one.metadata["doc_id"]: one.metadata["page"] for one in results} == {"a": 1, "b": 0}
    cut = S3DocumentCompressor(host=tiny_host, artifact=tiny_artifact, config=CONFIG, token_budget=8)
    shorter = cut.compress_documents([one for one in results if one.metadata["doc_id"] == "b"], "lamp oil")
    assert [one.metadata["s3_retriever"]["pages"] for one in shorter] == [[1]]


def test_offsets_and_metadata_point_to_the_document_given(shared: S3Retriever) -> None:
    given = {document.id: document for document in DOCUMENTS}
    for found in shared.invoke(QUESTION, token_budget=2000):
        metadata = dict(found.metadata)
        text = TEXTS[metadata["doc_id"]]
        assert text[metadata["start_index"] : metadata["end_index"]] == found.page_content
        assert found.id == f"{metadata['doc_id']}:{metadata['start_index']}-{metadata['end_index']}"
        assert given[metadata["doc_id"]].metadata.items() <= metadata.items()


def test_offsets_of_chunks_count_in_the_text_they_were_cut_from(make: Make) -> None:
    text = TEXTS["harbour"]
    chunks = [
        Document(text[start : start + 200], metadata={"start_index": start})
        for start in range(0, len(text), 200)
    ]
    for found in make(chunks).invoke(QUESTION):
        place = found.metadata["s3_retriever"]
        assert text[place["start_index"] : place["end_index"]] == found.page_content
        begin = found.metadata["start_index"]  # the chunk's, as it was given; so ours has no end beside it
        assert text[begin + place["start"] : begin + place["end"]] == found.page_content
        assert "end_index" not in found.metadata
    unknown = make([Document(text, metadata={"start_index": -1})])  # as splitters write it
    (found,) = unknown.invoke(QUESTION, k=1)
    place = found.metadata["s3_retriever"]
    assert text[place["start_index"] : place["end_index"]] == found.page_content


@given(
    st.dictionaries(
        st.sampled_from(["doc_id", "passage_id", "start_index", "end_index", "score", "start", "source"]),
        st.one_of(st.integers(), st.text(max_size=3), st.none(), st.lists(st.integers(), max_size=2)),
    )
)
@settings(max_examples=25)
def test_metadata_of_a_document_stays_as_it_is(shared: S3Retriever, metadata: dict[str, Any]) -> None:
    core = shared.core
    documents = [Document(TEXTS["fyr"], id="fyr", metadata=metadata)]
    retriever = S3Retriever.from_documents(
        documents, host=core.host, artifact=core.artifact, config=core.config
    )
    for found in retriever.invoke(QUESTION):
        assert metadata.items() <= found.metadata.items()
        place = found.metadata["s3_retriever"]
        assert TEXTS[place["doc_id"]][place["start"] : place["end"]] == found.page_content
        assert place["passage_id"] == found.id
        ours = {key: found.metadata[key] for key in place if key in found.metadata and key not in metadata}
        assert ours.items() <= place.items()
        assert ("start_index" in ours) == ("end_index" in ours)


def test_the_key_of_results_is_refused_in_documents(shared: S3Retriever, make: Make) -> None:
    results = shared.invoke(QUESTION)
    with pytest.raises(InvalidDocumentError, match=rf"^document '{results[0].id}': the metadata key 's3_ret"):
        make(results)


def test_scores_fall_from_one(shared: S3Retriever) -> None:
    scores = [found.metadata["score"] for found in shared.invoke(QUESTION)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1.0
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.long
def test_the_score_has_the_key_that_is_asked_for(make: Make) -> None:
    assert "relevance" in make(score_key="relevance").invoke(QUESTION)[0].metadata
    assert "score" not in make(score_key=None).invoke(QUESTION)[0].metadata
    assert "score" not in make(score_key=None).invoke(QUESTION)[0].metadata["s3_retriever"]
    for key in ("", "doc_id", "passage_id", "start_index", "end_index", "start", "s3_retriever"):
        with pytest.raises(ValidationError, match="score_key must be"):
            make(score_key=key)


# Settings and calls


def test_k_and_budget_limit_the_results(shared: S3Retriever, make: Make) -> None:
    every = shared.invoke(QUESTION)
    assert len(every) > 2
    assert shared.invoke(QUESTION, k=2) == every[:2] == make(k=2).invoke(QUESTION)
    assert shared.invoke(QUESTION, k=10_000) == every
    count = shared.host.count_tokens
    for budget in (1, 20, 100):
        assert (
            sum(count(found.page_content) for found in shared.invoke(QUESTION, token_budget=budget)) <= budget
        )


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"lang": "no"}, {"fyr"}),
        ({"source": ["fyr.txt", "bakery.txt"]}, {"fyr", "bakery"}),
        ({"year": {"$gte": 1910, "$lt": 1950}}, {"fyr"}),
        ({"tags": {"$contains": "oil"}}, {"harbour"}),
        ({"$or": [{"lang": "no"}, {"year": {"$gt": 1940}}]}, {"fyr", "bakery"}),
        ({"$not": {"lang": "en"}}, {"fyr", "ugly"}),
        ({"year": {"$exists": False}}, {"ugly"}),
        ({"lang": {"$exists": True}}, {"harbour", "bakery", "fyr", "ugly"}),
        ({"lang": {"$is_empty": True}}, {"ugly"}),
        (AnyOf([Compare("lang", "eq", "no"), Compare("year", "lt", 1910)]), {"fyr", "harbour"}),
        ({"lang": "de"}, set()),
    ],
    ids=lambda one: None if isinstance(one, set) else repr(one),
)
def test_filters_choose_documents(shared: S3Retriever, make: Make, where: Any, expected: set[str]) -> None:
    assert doc_ids(shared.invoke(QUESTION, filter=where, token_budget=3000, mode="s3")) == expected
    fixed = S3Retriever(core=shared.core, filter=where, token_budget=3000, mode="s3")
    assert doc_ids(fixed.invoke(QUESTION)) == expected


def test_none_stands_for_the_setting_of_the_retriever(shared: S3Retriever) -> None:
    fixed = S3Retriever(core=shared.core, k=2, filter={"lang": "en"})
    assert fixed.invoke(QUESTION, k=None, filter=None, mode=None) == fixed.invoke(QUESTION)


def test_a_filter_of_a_call_narrows_that_of_the_retriever(shared: S3Retriever) -> None:
    fixed = S3Retriever(core=shared.core, filter={"lang": "en"}, token_budget=3000, mode="s3")
    everything = S3Retriever(core=shared.core, token_budget=3000, mode="s3")
    assert fixed.invoke(QUESTION, filter={"lang": "no"}) == []
    assert fixed.batch([QUESTION], filter={"lang": "no"}) == [[]]
    both = AllOf([Compare("lang", "eq", "en"), Compare("topic", "eq", "sea")])
    assert fixed.invoke(QUESTION, filter={"topic": "sea"}) == everything.invoke(QUESTION, filter=both)
    lifted = fixed.model_copy(update={"filter": None})
    other = {"lang": "no"}
    assert lifted.invoke(QUESTION, filter=other) == everything.invoke(QUESTION, filter=other) != []


def test_how_passages_are_cut_is_an_option_and_a_setting(shared: S3Retriever) -> None:
    spans = SpanConfig(bias_tokens=12)
    expected = [span.id for span in shared.core.retrieve(QUESTION, 100, spans=spans)]
    shared = S3Retriever(core=shared.core, token_budget=100)
    assert keys(shared.invoke(QUESTION, spans=spans)) == expected != keys(shared.invoke(QUESTION))
    other = S3Retriever(core=shared.core, token_budget=100, spans=SpanConfig(bias_tokens=4))
    assert keys(other.invoke(QUESTION)) not in (expected, keys(shared.invoke(QUESTION)))
    assert other.invoke(QUESTION, spans=None) == other.invoke(QUESTION)
    assert other.invoke(QUESTION, spans=spans) == shared.invoke(QUESTION, spans=spans)


async def test_every_way_to_call_gives_the_same(shared: S3Retriever) -> None:
    options: dict[str, Any] = {
        "k": 2,
        "token_budget": 240,
        "filter": {"lang": {"$in": ["en", "no"]}},
        "mode": "s3",
        "scoring": "paper",
        "unit_scores": False,
        "spans": SpanConfig(context=1),
    }
    expected = shared.invoke(QUESTION, **options)
    configurable = shared.configurable_fields(
        **{name: ConfigurableField(id=name) for name in options}  # type: ignore[arg-type]
    )
    assert len(expected) == 2
    assert await shared.ainvoke(QUESTION, **options) == expected
    assert shared.bind(**options).invoke(QUESTION) == expected
    assert await shared.bind(**options).ainvoke(QUESTION) == expected
    assert shared.batch([QUESTION, QUESTION], **options) == [expected, expected]
    assert await shared.abatch([QUESTION, QUESTION], **options) == [expected, expected]
    assert list(shared.stream(QUESTION, **options)) == [expected]
    assert S3Retriever(core=shared.core, **options).invoke(QUESTION) == expected
    assert configurable.invoke(QUESTION, config={"configurable": options}) == expected
    assert configurable.with_config(configurable=options).invoke(QUESTION) == expected
    assert configurable.invoke(QUESTION) == shared.invoke(QUESTION)


@pytest.mark.long
async def test_a_batch_searches_together_and_reports_each_query(
    shared: S3Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [QUESTION, "Who bakes the bread?", QUESTION]
    expected = [shared.invoke(query, k=2) for query in queries]
    mistake = [shared.invoke(QUESTION), shared.batch([" "], return_exceptions=True)[0]]
    assert isinstance(mistake[1], InvalidInputError)
    assert repr(shared.batch([QUESTION, " "], return_exceptions=True)) == repr(mistake)
    with pytest.raises(InvalidInputError):
        shared.batch([QUESTION, " "])

    def alone(*_: Any, **__: Any) -> None:
        pytest.fail("a query was searched for alone")

    monkeypatch.setattr(shared.core, "retrieve", alone)
    recorder = Recorder()
    assert shared.batch(queries, {"callbacks": [recorder]}, k=2) == expected
    assert sorted(query for event, query in recorder.events if event == "start") == sorted(queries)
    assert await shared.abatch(queries, k=2) == expected
    assert shared.batch([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"k": 0},
        {"token_budget": 0},
        {"token_budget": "many"},
        {"mode": "dense"},
        {"scoring": "cosine"},
        {"filter": {"a": {"$regex": "x"}}},
        {"spans": 5},
        {"search_kwargs": {"k": 3}},
    ],
    ids=repr,
)
def test_settings_that_cannot_be_used_are_refused(shared: S3Retriever, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        S3Retriever(core=shared.core, **wrong)
    with pytest.raises((InvalidInputError, ValidationError)):
        shared.invoke(QUESTION, **wrong)
    (name,) = wrong
    changing = S3Retriever(core=shared.core)
    with pytest.raises((ValidationError, ValueError)):
        setattr(changing, name, wrong[name])


def test_a_wrong_setting_costs_no_scan(make: Make) -> None:
    def untouched() -> Iterator[Document]:
        pytest.fail("a document was read")
        yield

    with pytest.raises(ValidationError):
        make(untouched(), kk=3)


# Construction and changes


@pytest.mark.long
def test_documents_are_read_lazily(make: Make) -> None:
    read: list[int] = []

    def load() -> Iterator[Document]:
        for i in range(300):
            read.append(i)
            yield Document(f"Document {i} is about the number {i * i}.", id=str(i))
            if i == 290:
                msg = "the loader fails"
                raise RuntimeError(msg)

    retriever = make([])
    with pytest.raises(RuntimeError, match="the loader fails"):
        retriever.add_documents(load())
    assert len(read) == 291
    assert len(retriever.core) == 0  # all or none


def test_texts_go_with_metadata_and_ids(tiny_host: Host, shared: S3Retriever) -> None:
    options: dict[str, Any] = {
        "host": tiny_host,
        "artifact": shared.core.artifact,
        "config": shared.core.config,
    }
    made = S3Retriever.from_texts(
        iter(TEXTS.values()), ({"source": f"{key}.txt"} for key in TEXTS), iter(TEXTS), **options
    )
    assert list(made.core.document_ids) == list(TEXTS)
    assert [found.page_content for found in made.invoke(QUESTION)] == [
        found.page_content for found in shared.invoke(QUESTION)
    ]
    assert made.add_texts(["one more"], ids=["more"]) == ["more"]
    with pytest.raises(InvalidInputError, match="metadatas end after 1"):
        made.add_texts(["a", "b"], [{}])
    with pytest.raises(InvalidInputError, match="texts end after 1"):
        made.add_texts(["a"], None, ["1", "2"])
    with pytest.raises(InvalidInputError, match="texts must be a list or another iterable, not 'a text'"):
        made.add_texts("a text")
    with pytest.raises(InvalidDocumentError, match="text 0 is a int"):
        made.add_texts([3])  # type: ignore[list-item]
    assert len(made.core) == 5


def test_what_is_no_document_is_refused(make: Make) -> None:
    with pytest.raises(InvalidDocumentError, match="document 1 is a str"):
        make([Document("a"), "b"])
    with pytest.raises(InvalidDocumentError, match="wrap it in a list"):
        make(Document("a"))
    with pytest.raises(InvalidDocumentError, match="JSON"):
        make([Document("a", metadata={"made by": object()})])


def test_documents_are_added_updated_and_deleted(make: Make) -> None:
    retriever = make()
    new = Document("The oil is stored in the attic now.", id="attic", metadata={"lang": "en"})
    assert retriever.add_documents([new]) == ["attic"]
    assert doc_ids(retriever.invoke("the attic", mode="bm25")) >= {"attic"}
    changed = Document("The keeper sold all the oil.", id="harbour")
    assert retriever.update_documents([changed, new]) == ["harbour", "attic"]
    assert retriever.core.document("harbour").text == changed.page_content
    retriever.delete(["harbour", "attic"])
    assert doc_ids(retriever.invoke(QUESTION, token_budget=3000)) == {"bakery", "fyr", "ugly"}
    with pytest.raises(UnknownDocumentError):
        retriever.delete(["fyr", "harbour"])
    with pytest.raises(DuplicateDocumentError):
        retriever.add_documents([DOCUMENTS[1]])
    assert len(retriever.core) == 3


async def test_changes_work_asynchronously(make: Make, tiny_host: Host, shared: S3Retriever) -> None:
    options: dict[str, Any] = {
        "host": tiny_host,
        "artifact": shared.core.artifact,
        "config": shared.core.config,
    }
    retriever = await S3Retriever.afrom_documents(DOCUMENTS[:1], **options)
    await retriever.aadd_documents(DOCUMENTS[1:2])
    await retriever.aadd_texts(["text"], [{"a": 1}], ["text"])
    await retriever.aupdate_documents([DOCUMENTS[2]])
    await retriever.adelete(["text"])
    assert list(retriever.core.document_ids) == ["harbour", "bakery", "fyr"]
    other = await S3Retriever.afrom_texts(["a", "b"], k=1, **options)
    assert len(other.core) == 2
    assert other.k == 1


# Persistence


@pytest.mark.long
def test_saving_keeps_every_setting(make: Make, tiny_host: Host, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "k": 3,
        "token_budget": 77,
        "filter": {"$or": [{"lang": "en"}, {"year": {"$between": [1900, 1930]}}]},
        "mode": "s3",
        "scoring": "paper",
        "unit_scores": False,
        "spans": SpanConfig(context=2, bias_tokens=3),
        "unique": False,
        "score_key": "density",
        "name": "lighthouse",
        "tags": ["sea"],
        "metadata": {"team": "search"},
    }
    retriever = make(**settings)
    assert settings.keys() == S3Retriever.model_fields.keys() - {"core"}
    retriever.save_local(tmp_path / "saved")
    loaded = S3Retriever.load_local(tmp_path / "saved", host=tiny_host)
    for name in settings:
        assert getattr(loaded, name) == getattr(retriever, name) != S3Retriever.model_fields[name].default
    assert loaded.core.config == retriever.core.config
    assert loaded.invoke(QUESTION) == retriever.invoke(QUESTION)
    assert S3Retriever.load_local(tmp_path / "saved", host=tiny_host, k=1, filter=None).filter is None
    index = S3DocumentIndex.load_local(str(tmp_path / "saved"), host=tiny_host)
    assert index.invoke(QUESTION) == retriever.invoke(QUESTION)


@pytest.mark.long
def test_what_was_saved_before_spans_were_a_setting_is_read(
    make: Make, tiny_host: Host, tmp_path: Path
) -> None:
    retriever = make()
    retriever.save_local(tmp_path)
    path = tmp_path / "langchain.json"
    content = json.loads(path.read_text())
    assert content["settings"].pop("spans", "no") is None
    path.write_text(json.dumps({"version": 1, "settings": content["settings"]}))
    assert S3Retriever.load_local(tmp_path, host=tiny_host).model_dump() == retriever.model_dump()


@pytest.mark.long
def test_saving_again_keeps_changes(make: Make, tiny_host: Host, tmp_path: Path) -> None:
    retriever = make()
    retriever.save_local(tmp_path)
    retriever.delete(["harbour"])
    retriever.save_local(tmp_path)
    loaded = S3Retriever.load_local(tmp_path, host=tiny_host)
    assert list(loaded.core.document_ids) == ["bakery", "fyr", "ugly"]
    loaded.add_documents([DOCUMENTS[0]])
    assert len(loaded.core) == 4


@pytest.mark.long
def test_two_do_not_save_to_one_folder_at_a_time(make: Make, tiny_host: Host, tmp_path: Path) -> None:
    make(k=1).save_local(tmp_path)
    with only_writer(tmp_path), pytest.raises(IndexBusyError, match="save again"):
        make(DOCUMENTS[:1], k=2).save_local(tmp_path)
    loaded = S3Retriever.load_local(tmp_path, host=tiny_host)
    assert (loaded.k, len(loaded.core)) == (1, len(DOCUMENTS))


@pytest.mark.long
def test_what_cannot_be_saved_or_loaded_says_why(make: Make, tiny_host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInputError, match="is a file"):
        make().save_local(tmp_path / "file")
    with pytest.raises(InvalidInputError, match="JSON"):
        make(metadata={"path": Path("x")}).save_local(tmp_path / "odd")
    with pytest.raises(IndexFormatError, match="save_local"):
        S3Retriever.load_local(tmp_path / "nothing")
    make().save_local(tmp_path / "saved")
    settings = tmp_path / "saved" / "langchain.json"
    good = settings.read_text()
    old = json.dumps({"version": 1, "settings": json.loads(good)["settings"]})
    for text, message in [
        (good[:-9], "damaged"),
        (re.sub(r'("token_budget": \d)', r"\g<1>0", good), "was altered"),
        (good.replace('"sha256"', '"sha257"'), "was altered"),
        ("[]", "damaged"),
        (json.dumps({"version": 99, "settings": {"filter": None}}), "version 99"),
        (old.replace('"filter": null', '"filter": {"key": 3}'), "damaged"),
        (old.replace('"spans": null', '"spans": {"contexts": 1}'), "damaged"),
        (old.replace('"spans": null', '"spans": {"context": -1}'), "damaged.*context must be"),
    ]:
        settings.write_text(text)
        with pytest.raises(IndexFormatError, match=message):
            S3Retriever.load_local(tmp_path / "saved", host=tiny_host)
    settings.write_text(old)  # of the version before, which had no hash
    assert S3Retriever.load_local(tmp_path / "saved", host=tiny_host)
    settings.write_text(good)
    with pytest.raises(ValidationError, match="kk"):
        S3Retriever.load_local(tmp_path / "saved", host=tiny_host, kk=3)


@pytest.mark.long
def test_another_host_is_refused(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    make().save_local(tmp_path)
    other = Host(model=tiny_host.model, tokenizer=tiny_host.tokenizer, name="other")
    loaded = S3Retriever.load_local(tmp_path, host=other)  # the same weights by another name
    assert loaded.invoke(QUESTION) == make().invoke(QUESTION)
    with pytest.raises((ArtifactError, FileNotFoundError)):
        S3Retriever.load_local(tmp_path, host="there-is-no-such-host")


# In LangChain


def test_callbacks_and_tracing(shared: S3Retriever) -> None:
    recorder = Recorder()
    found = shared.invoke(QUESTION, config={"callbacks": [recorder]}, k=2)
    assert recorder.events == [("start", QUESTION), ("end", len(found))]
    assert recorder.metadata["ls_retriever_name"] == "s3_retriever"
    with pytest.raises(InvalidInputError):
        shared.invoke(" ", config={"callbacks": [recorder]})
    assert recorder.events[-1][0] == "error"


async def test_in_a_chain(shared: S3Retriever) -> None:
    def join(documents: list[Document]) -> str:
        return "\n".join(document.page_content for document in documents)

    prompt = ChatPromptTemplate.from_template("{context}\n\nQuestion: {question}")
    model = RunnableLambda(lambda value: value.to_string())
    chain = {"context": shared | join, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    expected = join(shared.invoke(QUESTION))
    assert chain.invoke(QUESTION) == f"Human: {expected}\n\nQuestion: {QUESTION}"
    assert await chain.ainvoke(QUESTION) == chain.invoke(QUESTION)


class Words(BaseRetriever):
    """Returns whole documents that share a word with the question."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        words = set(query.lower().split())
        return [document for document in DOCUMENTS if words & set(document.page_content.lower().split())]


async def test_in_an_ensemble(shared: S3Retriever) -> None:
    dense = S3Retriever(core=shared.core, mode="s3", k=3)
    sparse = S3Retriever(core=shared.core, mode="bm25", k=3)
    ensemble = EnsembleRetriever(retrievers=[dense, sparse, Words()])
    found = ensemble.invoke(QUESTION)
    texts = [document.page_content for document in found]
    assert len(texts) == len(set(texts))
    singles = [one.invoke(QUESTION) for one in (dense, sparse, Words())]
    assert set(texts) == {document.page_content for single in singles for document in single}
    assert [one.id for one in await ensemble.ainvoke(QUESTION)] == keys(found)
    ours = EnsembleRetriever(retrievers=[dense, sparse], id_key="passage_id").invoke(QUESTION)
    assert set(keys(ours)) == {key for single in singles[:2] for key in keys(single)}
    assert len(ours) == len(set(keys(ours)))
    documents = EnsembleRetriever(retrievers=[dense, sparse], id_key="doc_id").invoke(QUESTION)
    assert len(doc_ids(documents)) == len(documents)


async def test_as_a_tool(shared: S3Retriever) -> None:
    tool = create_retriever_tool(
        S3Retriever(core=shared.core, k=2),
        "lighthouse",
        "About lighthouses.",
        response_format="content_and_artifact",
    )
    call = {"name": "lighthouse", "args": {"query": QUESTION}, "id": "1", "type": "tool_call"}
    message = tool.invoke(call)
    assert message.artifact == shared.invoke(QUESTION, k=2)
    assert message.content == "\n\n".join(document.page_content for document in message.artifact)
    assert (await tool.ainvoke(call)).artifact == message.artifact


def test_several_questions_find_a_span_once(make: Make) -> None:
    llm = FakeListLLM(responses=[f"{QUESTION}\nWhere is the oil of the lighthouse?"])
    several = MultiQueryRetriever.from_llm(make(score_key=None, k=4), llm)
    found = several.invoke(QUESTION)
    assert len(set(keys(found))) == len(found) > 0
