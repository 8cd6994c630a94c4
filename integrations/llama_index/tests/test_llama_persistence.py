"""A retriever on disk: nothing is lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from llama_corpus import QUESTION, TEXTS, Make, make_documents
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.node_parser import SentenceSplitter, SentenceWindowNodeParser
from llama_index.core.schema import BaseNode, Document, TransformComponent
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from llama_index.retrievers.s3 import S3Retriever
from llama_index.retrievers.s3.persistence import ENGINE, SETTINGS
from s3_retriever import Host, SpanConfig
from s3_retriever.disk import only_writer
from s3_retriever.errors import IndexBusyError, IndexFormatError, InvalidInputError

FILTERS = MetadataFilters(
    filters=[
        MetadataFilter(key="topic", value=["sea", "bread"], operator=FilterOperator.IN),
        MetadataFilters(
            filters=[MetadataFilter(key="year", value=2010), MetadataFilter(key="note", value=None)],
            condition=FilterCondition.NOT,
        ),
    ]
)
SETTINGS_OF_A_SEARCH: dict[str, Any] = {
    "similarity_top_k": 3,
    "token_budget": 77,
    "mode": "s3",
    "scoring": "paper",
    "unit_scores": False,
    "filters": FILTERS,
    "spans": SpanConfig(context=2, bias_tokens=3),
    "unique": False,
}


class Upper(TransformComponent):
    """A transformation with a setting."""

    suffix: str = "!"

    def __call__(self, nodes: Any, **_: Any) -> list[BaseNode]:
        return [Document(id_=node.node_id, text=node.get_content().upper() + self.suffix) for node in nodes]


def test_round_trip_keeps_every_setting(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    steps = [Upper(suffix="?"), SentenceSplitter(chunk_size=30, chunk_overlap=3, separator="-")]
    retriever = make(**SETTINGS_OF_A_SEARCH, transformations=steps, verbose=True)
    retriever.persist(tmp_path / "r")
    loaded = S3Retriever.from_persist_dir(tmp_path / "r", host=tiny_host)
    for name, value in SETTINGS_OF_A_SEARCH.items():
        assert getattr(loaded, name) == value, name
    assert [step.to_dict() for step in loaded.transformations] == [step.to_dict() for step in steps]
    assert loaded._verbose is True
    assert loaded.engine.config == retriever.engine.config
    assert loaded.retrieve(QUESTION) == retriever.retrieve(QUESTION)


def test_what_was_persisted_before_spans_were_a_setting_is_read(
    make: Make, tmp_path: Path, tiny_host: Host
) -> None:
    retriever = make()
    retriever.persist(tmp_path)
    path = tmp_path / SETTINGS
    content = json.loads(path.read_text())
    assert content["search"].pop("spans", "no") is None
    path.write_text(json.dumps(unsealed(content)))
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert loaded.retrieve(QUESTION) == retriever.retrieve(QUESTION)


def test_every_constructor_setting_is_in_the_round_trip() -> None:
    """A setting that is added later has to be added to the test above."""
    in_memory = {"transformations", "callback_manager", "objects", "object_map", "verbose"}
    options = set(S3Retriever.__init__.__annotations__) - {"engine", "return"}
    assert options == set(SETTINGS_OF_A_SEARCH) | in_memory


def test_nodes_come_back_as_they_were(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    steps = [SentenceWindowNodeParser.from_defaults(window_size=1)]
    retriever = make(transformations=steps)
    retriever.persist(tmp_path)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert loaded.retrieve(QUESTION) == retriever.retrieve(QUESTION)
    ids = retriever.engine.document_ids
    assert [loaded.get_node(one) for one in ids] == [retriever.get_node(one) for one in ids]


def test_changes_go_on_after_loading(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    retriever = make()
    retriever.persist(tmp_path)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert loaded.refresh_ref_docs(make_documents()) == [False] * 4
    loaded.delete_ref_doc("rain")
    loaded.insert(Document(id_="new", text="A new one."))
    loaded.persist(tmp_path)
    again = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert set(again.ref_doc_ids) == {*TEXTS, "new"} - {"rain"}


def test_an_empty_retriever_comes_back(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    make([]).persist(tmp_path)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert loaded.retrieve(QUESTION) == []
    loaded.insert(Document(text=TEXTS["rain"]))
    assert loaded.retrieve(QUESTION)


def test_a_folder_may_hold_other_things(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    (tmp_path / "docstore.json").write_text("{}")
    make().persist(tmp_path)
    assert (tmp_path / "docstore.json").read_text() == "{}"
    assert S3Retriever.from_persist_dir(tmp_path, host=tiny_host).retrieve(QUESTION)


def test_two_do_not_persist_to_one_folder_at_a_time(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    make(similarity_top_k=1).persist(tmp_path)
    with only_writer(tmp_path), pytest.raises(IndexBusyError, match="save again"):
        make([], similarity_top_k=2).persist(tmp_path)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert (loaded.similarity_top_k, len(loaded.engine)) == (1, len(TEXTS))


def test_a_file_is_no_folder_to_persist_to(make: Make, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(InvalidInputError, match="notes is a file"):
        make([]).persist(tmp_path / "notes")


def test_transformations_with_functions_have_to_be_given_again(
    make: Make, tmp_path: Path, tiny_host: Host
) -> None:
    def numbered(i: int, doc: BaseNode) -> str:
        return f"{doc.node_id}-{i}"

    splitter = SentenceSplitter(chunk_size=30, chunk_overlap=0, id_func=numbered)
    retriever = make(transformations=[splitter])
    retriever.persist(tmp_path)
    with pytest.raises(InvalidInputError, match="give transformations="):
        S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host, transformations=[splitter])
    loaded.insert(Document(id_="new", text="A new one."))
    assert loaded.engine.document_ids[-1] == "new-0"


def persist_class(make: Make, folder: Path, name: str, fields: Any) -> None:
    """Persist a retriever with a transformation that only the file names."""
    make([], transformations=[Upper()]).persist(folder)
    path = folder / SETTINGS
    content = json.loads(path.read_text())
    content["transformations"][0] = {"class": name, "fields": fields}
    path.write_text(json.dumps(unsealed(content)))


def unsealed(content: dict[str, Any]) -> dict[str, Any]:
    """What the version before wrote: settings without a hash of them."""
    return {key: content[key] for key in content if key != "sha256"} | {"version": 1}


@pytest.mark.parametrize(
    "name",
    [
        "os:getcwd",
        "no_such_module:X",
        "builtins:dict",
        "llama_index.core.no_such_module:X",
        "llama_index.core.node_parser.text.sentence:X",
        "",
    ],
)
def test_only_transformations_are_made_from_a_file(
    make: Make, tmp_path: Path, tiny_host: Host, name: str
) -> None:
    persist_class(make, tmp_path, name, {"suffix": "!"})
    with pytest.raises(InvalidInputError, match=f"{name} cannot be made again.*give transformations="):
        S3Retriever.from_persist_dir(tmp_path, host=tiny_host)


@pytest.mark.parametrize("module", ["payload", "llama_index.payload", "llama_index.core.x/../payload"])
def test_a_folder_cannot_choose_code_to_run(
    make: Make, tmp_path: Path, tiny_host: Host, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Importing runs a module, and beside what is installed it may lie in the working directory, say."""
    code = tmp_path / "code"
    (code / "llama_index").mkdir(parents=True)
    for folder in (code, code / "llama_index"):
        (folder / "payload.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(code))
    persist_class(make, tmp_path / "saved", f"{module}:X", {})
    with pytest.raises(InvalidInputError, match=f"import {module} first"):
        S3Retriever.from_persist_dir(tmp_path / "saved", host=tiny_host)
    assert not (tmp_path / "ran").exists()
    given = S3Retriever.from_persist_dir(tmp_path / "saved", host=tiny_host, transformations=[Upper()])
    assert given.transformations == [Upper()]


def test_modules_of_llama_index_are_imported_for_a_file(
    make: Make, tmp_path: Path, tiny_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [SentenceSplitter(chunk_size=30, chunk_overlap=0)]
    make([], transformations=kept).persist(tmp_path)
    monkeypatch.delitem(sys.modules, SentenceSplitter.__module__)
    loaded = S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    assert [one.to_dict() for one in loaded.transformations] == [one.to_dict() for one in kept]


def test_embeddings_are_not_made_from_a_file(make: Make, tmp_path: Path, tiny_host: Host) -> None:
    """Their settings may name a repository whose code is to be trusted."""
    persist_class(make, tmp_path, f"{MockEmbedding.__module__}:MockEmbedding", {"embed_dim": 3})
    with pytest.raises(InvalidInputError, match="MockEmbedding is an embedding model"):
        S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    make([], transformations=[MockEmbedding(embed_dim=3)]).persist(tmp_path)
    with pytest.raises(InvalidInputError, match="transformation 0 could not be saved"):
        S3Retriever.from_persist_dir(tmp_path, host=tiny_host)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:40],
        lambda _: "[]",
        lambda _: "{}",
        lambda text: text.replace('"version": 2', '"version": 99'),
        lambda text: text.replace('"sha256"', '"sha257"'),
        lambda text: text.replace('"verbose": false', '"verbose": true'),
        lambda text: text.replace('"token_budget": 512', '"token_budget": 513'),
        lambda text: text.replace('"token_budget": 512', '"token_budget": -1'),
        lambda text: text.replace('"mode"', '"mood"'),
        lambda text: text.replace('"spans": null', '"spans": {"context": -1}'),
        lambda text: text.replace('"spans": null', '"spans": {"contexts": 1}'),
        lambda text: text.replace('"spans": null', '"spans": 5'),
    ],
)
def test_damage_is_noticed(make: Make, tmp_path: Path, damage: Any) -> None:
    make([]).persist(tmp_path)
    path = tmp_path / SETTINGS
    changed = damage(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(IndexFormatError):
        S3Retriever.from_persist_dir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token_budget", -1),
        ("mode", "mood"),
        ("spans", {"context": -1}),
        ("spans", {"contexts": 1}),
        ("spans", 5),
    ],
)
def test_settings_of_the_version_before_are_checked_one_by_one(
    make: Make, tmp_path: Path, tiny_host: Host, name: str, value: object
) -> None:
    make([]).persist(tmp_path)
    content = unsealed(json.loads((tmp_path / SETTINGS).read_text()))
    (tmp_path / SETTINGS).write_text(json.dumps(content))
    S3Retriever.from_persist_dir(tmp_path, host=tiny_host)
    content["search"][name] = value
    (tmp_path / SETTINGS).write_text(json.dumps(content))
    with pytest.raises(IndexFormatError):
        S3Retriever.from_persist_dir(tmp_path, host=tiny_host)


def test_a_folder_without_a_retriever_is_refused(tmp_path: Path, make: Make) -> None:
    with pytest.raises(IndexFormatError, match="persist"):
        S3Retriever.from_persist_dir(tmp_path)
    make([]).persist(tmp_path)
    (tmp_path / ENGINE).rename(tmp_path / "elsewhere")
    with pytest.raises(IndexFormatError):
        S3Retriever.from_persist_dir(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        lambda _: "[" * 200_000,
        lambda stored: json.dumps([stored]),
        lambda stored: json.dumps({**stored, "verbose": "yes"}),
        lambda stored: json.dumps({**stored, "transformations": "all"}),
        lambda stored: json.dumps({**stored, "search": {**stored["search"], "token_budget": 1e999}}),
        lambda stored: json.dumps({**stored, "search": {**stored["search"], "filters": [5]}}),
    ],
    ids=["deep", "list", "verbose", "transformations", "budget", "filters"],
)
def test_settings_on_disk_of_any_form_are_an_error_that_names_the_file(
    make: Make, tiny_host: Host, tmp_path: Path, changed: Any
) -> None:
    make().persist(tmp_path / "r")
    path = tmp_path / "r" / SETTINGS
    path.write_text(changed(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    with pytest.raises(IndexFormatError, match=SETTINGS):
        S3Retriever.from_persist_dir(tmp_path / "r", host=tiny_host)


def test_filters_that_hold_themselves_are_one_error(make: Make) -> None:
    filters = MetadataFilters(filters=[])
    filters.filters.append(filters)
    with pytest.raises(InvalidInputError, match="nest too deeply, or hold themselves"):
        make(filters=filters)
