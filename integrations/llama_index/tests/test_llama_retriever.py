"""The retriever by itself: construction, results, settings, changes."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from llama_corpus import CONFIG, QUESTION, TEXTS, Make, make_documents
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, IndexNode, MetadataMode, NodeRelationship, QueryBundle, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore

from llama_index.retrievers.s3 import S3QueryBundle, S3Retriever
from llama_index.retrievers.s3.nodes import RECORD_KEY
from s3_retriever import Document as StoredDocument
from s3_retriever import Host, SpanConfig
from s3_retriever import S3Retriever as Engine
from s3_retriever.encode import Artifact
from s3_retriever.errors import DuplicateDocumentError, InvalidDocumentError, InvalidInputError

SPLITTER = SentenceSplitter(chunk_size=24, chunk_overlap=0)


def test_class() -> None:
    names_of_base_classes = [b.__name__ for b in S3Retriever.__mro__]
    assert BaseRetriever.__name__ in names_of_base_classes


def test_results_are_the_spans_of_the_core(make: Make) -> None:
    retriever = make()
    spans = retriever.engine.retrieve(QUESTION, unit_scores=True)
    results = retriever.retrieve(QUESTION)
    assert len(spans) > 1
    assert [(r.node_id, r.text, r.score) for r in results] == [(s.id, s.text, s.score) for s in spans]
    assert [r.node.ref_doc_id for r in results] == [s.doc_id for s in spans]


def test_results_name_the_pages_on_which_they_stand(tiny_host: Host, tiny_artifact: Artifact) -> None:
    text = "The keeper stores the oil of the lamp in the cellar."
    stored = [StoredDocument("a", text, pages=(0, 25)), StoredDocument("b", text, "", {"page": "iv"}, (0,))]
    engine = Engine.from_documents(stored, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    nodes = [found.node for found in S3Retriever(engine, unique=False).retrieve("lamp oil")]
    metadata = {node.ref_doc_id: node.metadata for node in nodes}
    places = {doc_id: (found["page"], found["pages"]) for doc_id, found in metadata.items()}
    assert places == {"a": (1, [1, 2]), "b": ("iv", [1])}


def test_a_query_bundle_is_a_question_too(make: Make) -> None:
    retriever = make()
    assert retriever.retrieve(QueryBundle(QUESTION)) == retriever.retrieve(QUESTION)


def test_offsets_count_in_the_source(make: Make) -> None:
    for result in make().retrieve(QUESTION):
        node = result.node
        assert isinstance(node, TextNode)
        assert TEXTS[str(node.ref_doc_id)][node.start_char_idx : node.end_char_idx] == node.text


def test_offsets_count_in_the_source_of_a_chunk(make: Make) -> None:
    results = make(transformations=[SPLITTER]).retrieve(QUESTION)
    assert len({result.node_id.rpartition(":")[0] for result in results}) > len(TEXTS)
    for result in results:
        node = result.node
        assert isinstance(node, TextNode)
        assert TEXTS[str(node.ref_doc_id)][node.start_char_idx : node.end_char_idx] == node.text


def test_offsets_of_a_chunk_that_lies_nobody_knows_where_are_unknown(make: Make) -> None:
    source = Document(id_="a", text="elsewhere").as_related_node_info()
    node = TextNode(text=TEXTS["harbour"], relationships={NodeRelationship.SOURCE: source})
    for result in make([node]).retrieve(QUESTION):
        assert isinstance(result.node, TextNode)
        assert (result.node.start_char_idx, result.node.end_char_idx) == (None, None)
        assert result.node.ref_doc_id == "a"


def test_a_document_is_the_source_of_its_spans(make: Make, documents: list[Document]) -> None:
    by_id = {document.id_: document for document in documents}
    for result in make(documents).retrieve(QUESTION):
        source = result.node.source_node
        assert source == by_id[str(result.node.ref_doc_id)].as_related_node_info()


def test_spans_inherit_what_their_node_has(make: Make) -> None:
    kept = {
        "excluded_embed_metadata_keys": ["year"],
        "excluded_llm_metadata_keys": ["secret"],
        "metadata_template": "<{key}={value}>",
        "metadata_separator": "|",
        "text_template": "{metadata_str}///{content}",
    }
    metadata = {"secret": "x", "year": 3, "topic": "sea"}
    result = make([Document(id_="a", text=TEXTS["rain"], metadata=metadata, **kept)]).retrieve("rain")[0]
    unsaid = ["kind", "lines"]
    hidden = {name: [*kept[name], *unsaid] for name in kept if name.startswith("excluded")}
    assert {name: getattr(result.node, name) for name in kept} == {**kept, **hidden}
    assert result.node.metadata == {**metadata, "kind": "prose", "lines": [1, 1]}
    assert result.node.get_content("llm") == f"<year=3>|<topic=sea>///{result.text}"


def test_a_row_comes_with_its_header_and_headings(make: Make) -> None:
    rows = "\n".join(
        f"| harbour {i} | the keeper stores oil of the lamp number {i} | {i} |" for i in range(60)
    )
    text = f"# Harbours\n\n| place | what is stored there | count |\n| --- | --- | --- |\n{rows}\n"
    found = make([Document(id_="a", text=text)]).retrieve("lamp oil number 51")
    node = next(one.node for one in found if "harbour 51" in one.text)
    assert (node.metadata["kind"], node.metadata["heading_path"]) == ("table", ["Harbours"])
    assert node.metadata["header"].startswith("| place | what is stored there")
    assert "what is stored there" in node.get_content(MetadataMode.LLM)
    assert "lines" not in node.get_content(MetadataMode.LLM)
    first, last = node.metadata["lines"]
    assert text.splitlines()[first - 1 : last] == node.text.splitlines()


def test_spans_inherit_the_relationships_of_their_chunk(make: Make, documents: list[Document]) -> None:
    chunks = {chunk.node_id: chunk for chunk in SPLITTER(documents)}
    results = make(chunks.values()).retrieve(QUESTION)
    assert results
    for result in results:
        chunk = chunks[result.node_id.rpartition(":")[0]]
        assert result.node.relationships == chunk.relationships


def test_get_node_returns_the_chunk_that_was_indexed(make: Make, documents: list[Document]) -> None:
    chunks = SPLITTER(documents)
    retriever = make(chunks)
    assert [retriever.get_node(chunk.node_id) for chunk in chunks] == chunks


def test_metadata_keys_of_our_own_stay_inside(make: Make) -> None:
    assert all(RECORD_KEY not in result.node.metadata for result in make().retrieve(QUESTION))
    with pytest.raises(InvalidDocumentError, match="reserved"):
        make([Document(text="x", metadata={RECORD_KEY: 1})])


def test_similarity_top_k_and_token_budget_limit(make: Make) -> None:
    retriever = make(similarity_top_k=2, token_budget=240)
    results = retriever.retrieve(QUESTION)
    assert len(results) == 2
    tokens = sum(retriever.engine.host.count_tokens(result.text) for result in results)
    assert tokens <= 240
    retriever.similarity_top_k = 1
    assert len(retriever.retrieve(QUESTION)) == 1


def test_a_query_may_have_its_own_limits(make: Make) -> None:
    retriever = make(similarity_top_k=1)
    assert len(retriever.retrieve(S3QueryBundle(QUESTION, similarity_top_k=3))) == 3
    few = retriever.retrieve(S3QueryBundle(QUESTION, similarity_top_k=99, token_budget=20))
    assert sum(retriever.engine.host.count_tokens(result.text) for result in few) <= 20


def test_how_passages_are_cut_is_an_option_and_a_setting(make: Make) -> None:
    spans = SpanConfig(bias_tokens=12)
    retriever = make(token_budget=100)
    expected = retriever.engine.retrieve(QUESTION, 100, spans=spans)
    asked = retriever.retrieve(S3QueryBundle(QUESTION, spans=spans))
    assert [result.node_id for result in asked] == [span.id for span in expected]
    assert S3Retriever(retriever.engine, token_budget=100, spans=spans).retrieve(QUESTION) == asked
    other = S3Retriever(retriever.engine, token_budget=100, spans=SpanConfig(bias_tokens=4))
    assert other.retrieve(S3QueryBundle(QUESTION, spans=spans)) == asked
    answers = [retriever.retrieve(QUESTION), other.retrieve(QUESTION), asked]
    assert len({tuple(result.node_id for result in answer) for answer in answers}) == 3


def test_raw_scores_are_an_option(make: Make) -> None:
    retriever = make(unit_scores=False)
    assert [r.score for r in retriever.retrieve(QUESTION)] == [
        s.score for s in retriever.engine.retrieve(QUESTION)
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("similarity_top_k", 0),
        ("token_budget", 0),
        ("token_budget", True),
        ("mode", "dense"),
        ("scoring", "cosine"),
        ("filters", {"topic": "sea"}),
        ("unit_scores", "yes"),
        ("spans", {"context": 1}),
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(make: Make, name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        make(**{name: value})


def test_items_that_are_no_nodes_are_refused(make: Make) -> None:
    with pytest.raises(InvalidDocumentError, match="document 1 is a str"):
        make([Document(text="a"), "b"])
    with pytest.raises(InvalidDocumentError, match="wrap it in a list"):
        make(Document(text="a"))


@pytest.mark.long
def test_from_defaults_takes_nodes_a_docstore_or_an_index(
    tiny_host: Host, tiny_artifact: Artifact, documents: list[Document]
) -> None:
    chunks = SPLITTER(documents)
    docstore = SimpleDocumentStore()
    docstore.add_documents(chunks)
    index = VectorStoreIndex(
        chunks,
        embed_model=MockEmbedding(embed_dim=2),
        storage_context=StorageContext.from_defaults(docstore=docstore),
    )
    answers = [
        S3Retriever.from_defaults(**source, host=tiny_host, artifact=tiny_artifact, config=CONFIG).retrieve(
            QUESTION
        )
        for source in ({"nodes": chunks}, {"docstore": docstore}, {"index": index})
    ]
    assert answers[0] == answers[1] == answers[2] != []


def test_from_defaults_takes_exactly_one_source(tiny_host: Host, tiny_artifact: Artifact) -> None:
    for sources in ({}, {"nodes": [], "docstore": SimpleDocumentStore()}):
        with pytest.raises(InvalidInputError, match="exactly one"):
            S3Retriever.from_defaults(**sources, host=tiny_host, artifact=tiny_artifact)


def test_an_engine_made_without_llama_index_will_do(tiny_host: Host, tiny_artifact: Artifact) -> None:
    plain = [{"id": "rain", "text": TEXTS["rain"], "metadata": {"topic": "sea"}}]
    retriever = S3Retriever(
        Engine.from_documents(plain, host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    )
    result = retriever.retrieve(QUESTION)[0]
    assert result.node.ref_doc_id == "rain"
    assert result.node.metadata == {"topic": "sea", "kind": "prose", "lines": [1, 1]}
    assert retriever.refresh_ref_docs([Document(id_="rain", text=TEXTS["rain"])]) == [True]
    assert retriever.refresh_ref_docs([Document(id_="rain", text=TEXTS["rain"])]) == [False]


def test_index_nodes_lead_to_their_objects(make: Make) -> None:
    target = TextNode(id_="target", text="The whole chapter.")
    node = IndexNode(id_="entry", text=TEXTS["rain"], index_id="chapter", obj=target)
    assert [result.node_id for result in make([node]).retrieve("rain")] == ["target"]
    found = make([IndexNode(id_="entry", text=TEXTS["rain"], index_id="chapter")]).retrieve("rain")[0]
    assert isinstance(found.node, IndexNode)
    assert found.node.index_id == "chapter"


def test_show_progress_shows_it(
    make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    make(show_progress=True)
    assert capsys.readouterr().err
    make()
    assert not capsys.readouterr().err


def test_documents_are_consumed_lazily(make: Make) -> None:
    seen: list[str] = []

    def stream() -> Any:
        for document in make_documents():
            seen.append(document.id_)
            yield document

    make(stream())
    assert seen == list(TEXTS)


class TestChanges:
    def test_insert(self, make: Make) -> None:
        retriever = make([])
        for document in make_documents():
            retriever.insert(document)
        assert retriever.retrieve(QUESTION) == make().retrieve(QUESTION)
        with pytest.raises(DuplicateDocumentError):
            retriever.insert(make_documents()[0])

    def test_insert_nodes_leaves_them_as_they_are(self, make: Make, documents: list[Document]) -> None:
        retriever = make([], transformations=[SPLITTER])
        retriever.insert_nodes(documents)
        assert retriever.engine.document_ids == tuple(TEXTS)

    def test_delete_nodes(self, make: Make) -> None:
        retriever = make()
        retriever.delete_nodes(["harbour", "cjk"])
        assert retriever.ref_doc_ids == ["bakery", "rain"]

    @pytest.mark.parametrize("steps", [[], [SPLITTER]])
    def test_update_ref_doc_replaces_every_piece(self, make: Make, steps: list[Any]) -> None:
        retriever = make(transformations=steps)
        retriever.update_ref_doc(Document(id_="harbour", text="Nothing is left."))
        retriever.update_ref_doc(Document(id_="new", text="A new one."))
        texts = [retriever.engine.document(one).text for one in retriever.engine.document_ids]
        assert "Nothing is left." in texts
        assert "A new one." in texts
        assert not any("lighthouse" in text for text in texts)
        assert set(retriever.ref_doc_ids) == {*TEXTS, "new"}

    def test_an_update_that_leaves_fewer_pieces_is_one_step(self, make: Make) -> None:
        """A search never sees the new text beside pieces of the old."""
        retriever = make(transformations=[SPLITTER])
        versions: list[Any] = []
        index = retriever.engine._index

        class Recording(type(index)):  # type: ignore[misc]
            def __setattr__(self, name: str, value: Any) -> None:
                versions.extend([value] if name == "snapshot" else [])
                super().__setattr__(name, value)

        index.__class__ = Recording
        retriever.update_ref_doc(Document(id_="harbour", text="Nothing is left."))
        assert len(versions) == 1

    @pytest.mark.parametrize("steps", [[], [SPLITTER]])
    def test_refresh_ref_docs_indexes_what_changed(self, make: Make, steps: list[Any]) -> None:
        retriever = make(transformations=steps)
        documents = make_documents()
        assert retriever.refresh_ref_docs(documents) == [False] * 4
        documents[1].set_content("Bread is not baked any more.")
        documents[2].metadata["year"] = 2011
        documents.append(Document(id_="new", text="A new one."))
        assert retriever.refresh_ref_docs(documents) == [False, True, True, False, True]
        assert retriever.refresh_ref_docs(documents) == [False] * 5
        assert retriever.refresh_ref_docs([]) == []
        assert set(retriever.ref_doc_ids) == {*TEXTS, "new"}

    def test_a_failing_update_changes_nothing(self, make: Make) -> None:
        retriever = make()
        before = retriever.retrieve(QUESTION)
        with pytest.raises(InvalidDocumentError):
            retriever.update_ref_doc(Document(id_="rain", text="x", metadata={"a": object()}))
        assert retriever.retrieve(QUESTION) == before
