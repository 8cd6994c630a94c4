"""The retriever as users meet it: over the tiny host, and over the default one."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from pydoc_data.topics import topics
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

import s3_retriever
from s3_retriever import (
    Compare,
    Document,
    Host,
    Not,
    RetrieverConfig,
    S3Retriever,
    ScanConfig,
    Span,
    SpanConfig,
    errors,
)
from s3_retriever.config import MODES, SCORINGS
from s3_retriever.encode import Artifact
from s3_retriever.errors import (
    ArtifactError,
    DuplicateDocumentError,
    IndexBusyError,
    IndexFormatError,
    InvalidDocumentError,
    InvalidInputError,
    UnknownDocumentError,
    UnknownKeyWarning,
)
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.index import Index, Layout
from s3_retriever.saved import holds_index

CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
QUESTION = "Where does the lighthouse keeper store the oil?"
WAYS = [(mode, scoring) for mode in MODES for scoring in SCORINGS]

TEXTS = {
    "harbour": "The harbour was quiet. " * 30 + "The lighthouse keeper stores the oil in the cellar. " * 2,
    "bakery": "Bread is baked at four in the morning. The baker sings. " * 12,
    "ugly": "A\u0301 \ud800 keeper 🧑‍🚀🇳🇴\x00 灯台守は油を地下室に保管する。\r\n\u2028 lighthouse\u200b oil "
    * 9,
    "empty": "",
    "blank": " \n\t ",
    "letter": "x",
    "short": "The keeper of the lighthouse is old.",
    "long": "".join(f"Line {i}: nothing about ships, only cats and the number {i * i}.\n" for i in range(60)),
}
DOCUMENTS = [Document(key, text, f"title of {key}", {"name": key}) for key, text in TEXTS.items()]


@dataclass(frozen=True, repr=False)
class Maker:
    """Builds retrievers over the tiny host."""

    host: Host
    artifact: Artifact

    def __call__(self, documents: Iterable[Any], config: RetrieverConfig = CONFIG) -> S3Retriever:
        return S3Retriever.from_documents(documents, host=self.host, artifact=self.artifact, config=config)

    def load(self, path: Path) -> S3Retriever:
        return S3Retriever.load(path, host=self.host)


@pytest.fixture(scope="session")
def make(tiny_host: Host, tiny_artifact: Artifact) -> Maker:
    return Maker(tiny_host, tiny_artifact)


@pytest.fixture(scope="session")
def shared(make: Maker) -> S3Retriever:
    """A retriever that tests must not change."""
    return make(DOCUMENTS)


@pytest.fixture(scope="module")
def refusing(make: Maker) -> tuple[S3Retriever, list[list[Span]]]:
    """A retriever to which tests offer what it refuses, and what it answered before."""
    retriever = make(DOCUMENTS)
    return retriever, answers(retriever)


def answers(retriever: S3Retriever) -> list[list[Span]]:
    spans = [retriever.retrieve(QUESTION, 150, mode=mode, scoring=scoring) for mode, scoring in WAYS]
    where = {"name": ["harbour", "letter", "long", 0, 3]}
    return [*spans, *(retriever.retrieve(QUESTION, 60, mode=mode, where=where) for mode in MODES)]


@pytest.mark.long
@pytest.mark.parametrize(("mode", "scoring"), WAYS)
@pytest.mark.parametrize("bias_tokens", [0, 5])
def test_spans_are_exact_ordered_disjoint_and_within_the_budget(
    make: Maker, mode: str, scoring: str, bias_tokens: int
) -> None:
    retriever = make(DOCUMENTS, RetrieverConfig(CONFIG.scan, SpanConfig(bias_tokens=bias_tokens)))
    for budget in (1, 7, 40, 300, 100_000):
        spans = retriever.retrieve(QUESTION, budget, mode=mode, scoring=scoring)
        assert spans
        assert sum(retriever.host.count_tokens(span.text) for span in spans) <= budget
        assert [span.score for span in spans] == sorted((span.score for span in spans), reverse=True)
        for span in spans:
            assert span.text == TEXTS[span.doc_id][span.start : span.end] != ""
            assert span.id == f"{span.doc_id}:{span.start}-{span.end}"
            assert span.metadata == {"name": span.doc_id}
        for one, other in itertools.combinations(spans, 2):
            assert one.doc_id != other.doc_id or one.end <= other.start or other.end <= one.start


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec=None), max_size=300), max_size=4), budget=st.integers(1, 80)
)
def test_any_text_gives_exact_offsets(make: Maker, texts: list[str], budget: int) -> None:
    retriever = make(Document(str(i), text) for i, text in enumerate(texts))
    spans = retriever.retrieve("a question?", budget)
    assert all(span.text == texts[int(span.doc_id)][span.start : span.end] for span in spans)
    assert sum(retriever.host.count_tokens(span.text) for span in spans) <= budget


@pytest.mark.long
def test_bm25_finds_the_words_and_is_silent_without_them(shared: S3Retriever) -> None:
    spans = shared.retrieve("oil cellar", 60, mode="bm25")
    assert "oil in the cellar" in spans[0].text
    assert shared.retrieve("zebra quagga", mode="bm25") == []


@settings(max_examples=25, deadline=None)
@given(
    names=st.sets(st.sampled_from([*TEXTS, "nowhere"])),
    way=st.sampled_from(WAYS),
)
@pytest.mark.long
def test_a_filter_gives_what_the_matching_documents_can_give_and_nothing_else(
    shared: S3Retriever, names: set[str], way: tuple[str, str]
) -> None:
    mode, scoring = way
    where = Compare("name", "in", names)
    everything = shared.retrieve(QUESTION, 100_000, mode=mode, scoring=scoring)
    found = shared.retrieve(QUESTION, 100_000, mode=mode, scoring=scoring, where=where)
    assert found == [span for span in everything if span.doc_id in names]
    few = shared.retrieve(QUESTION, 40, mode=mode, scoring=scoring, where=where)
    assert bool(few) == bool(found)  # however little of the budget they would get without the filter
    assert {span.doc_id for span in few} <= names
    assert sum(shared.host.count_tokens(span.text) for span in few) <= 40


def test_filters_are_about_metadata_and_a_mapping_is_enough(shared: S3Retriever) -> None:
    for where in ({"name": "long"}, {"name": ("long",)}, Not(Compare("name", "ne", "long"))):
        spans = shared.retrieve(QUESTION, 60, where=where)
        assert spans
        assert {span.doc_id for span in spans} == {"long"}
    assert shared.retrieve(QUESTION, where={"doc_id": "long"}) == []
    assert shared.retrieve(QUESTION, where={"name": "empty"}) == []
    with pytest.raises(InvalidInputError, match="empty mapping"):
        shared.retrieve(QUESTION, where={})
    with pytest.raises(InvalidInputError, match="where must be"):
        shared.retrieve(QUESTION, where="name=long")  # type: ignore[arg-type]


def test_a_warning_of_an_unknown_key_names_the_line_that_asked(shared: S3Retriever) -> None:
    for ask in (
        lambda: shared.retrieve("Where?", where={"nobody": 1}),
        lambda: shared.retrieve_batch(["Where?"], where={"nobody": 1}),
    ):
        with pytest.warns(UnknownKeyWarning) as warned:
            ask()
        assert [one.filename for one in warned] == [__file__]


def test_scores_of_a_filtered_search_are_comparable_with_those_of_others(shared: S3Retriever) -> None:
    plain = {span.id: span for span in shared.retrieve(QUESTION, 100_000, mode="s3")}
    filtered = shared.retrieve(QUESTION, 100_000, mode="s3", where={"name": ["long", "bakery"]})
    assert all(plain[span.id].score == span.score for span in filtered)
    unit = shared.retrieve(
        QUESTION, 100_000, mode="s3", where={"name": ["long", "bakery"]}, unit_scores=True, explain=True
    )
    assert [span.id for span in unit] == [span.id for span in filtered]
    assert unit[0].score == 1
    assert all(0 <= span.score <= 1 and span.explanation is not None for span in unit)


@pytest.mark.parametrize(("mode", "scoring"), WAYS)
def test_top_k_keeps_the_best_of_what_the_budget_gives(shared: S3Retriever, mode: str, scoring: str) -> None:
    spans = shared.retrieve(QUESTION, 150, mode=mode, scoring=scoring)
    for top_k in range(1, len(spans) + 2):
        assert shared.retrieve(QUESTION, 150, mode=mode, scoring=scoring, top_k=top_k) == spans[:top_k]


class Model:
    """What a corpus should hold after a sequence of changes."""

    def __init__(self, make: Maker) -> None:
        self.make = make
        self.retriever = make([])
        self.live: list[Document] = []

    def change(self, operation: str, chosen: set[int]) -> None:
        present = {document.id for document in self.live}
        if operation == "add":
            new = [d for i, d in enumerate(DOCUMENTS) if i in chosen and d.id not in present]
            assert self.retriever.add(new) == [document.id for document in new]
            self.live += new
        elif operation == "delete":
            gone = {d.id for i, d in enumerate(DOCUMENTS) if i in chosen and d.id in present}
            self.retriever.delete(gone)
            self.live = [document for document in self.live if document.id not in gone]
        elif operation == "update":
            new = [
                Document(d.id, f"{d.text} And oil.", d.title, {"name": i}) for i, d in enumerate(DOCUMENTS)
            ]
            new = [document for i, document in enumerate(new) if i in chosen]
            assert self.retriever.update(new) == [document.id for document in new]
            ids = {document.id for document in new}
            self.live = [document for document in self.live if document.id not in ids] + new
        elif operation == "merge":
            self.retriever.merge()
        else:
            with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                self.retriever.save(folder)
                self.retriever = self.make.load(Path(folder))


@settings(max_examples=12, deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "update", "delete", "merge", "reload"]),
            st.sets(st.integers(0, len(DOCUMENTS) - 1), min_size=1),
        ),
        min_size=2,
        max_size=6,
    )
)
@pytest.mark.long
def test_after_any_changes_a_search_equals_one_on_an_index_from_scratch(
    make: Maker, changes: list[tuple[str, set[int]]]
) -> None:
    model = Model(make)
    for operation, chosen in changes:
        model.change(operation, chosen)
        model.retriever.retrieve(QUESTION)  # what a search keeps must not grow stale
    fresh = make(model.live)
    assert answers(model.retriever) == answers(fresh)
    assert model.retriever.document_ids == fresh.document_ids
    assert model.retriever.n_tokens == fresh.n_tokens


@pytest.mark.long
def test_settings_and_documents_survive_saving(make: Maker, tmp_path: Path) -> None:
    config = RetrieverConfig(CONFIG.scan, SpanConfig(context=3, bias_tokens=4), bm25="bm25s")
    before = make(DOCUMENTS, config)
    before.save(tmp_path / "index")
    after = make.load(tmp_path / "index")
    assert after.config == config
    assert answers(after) == answers(before)
    assert [after.document(key) for key in TEXTS] == DOCUMENTS
    assert len(after) == len(DOCUMENTS)
    assert "harbour" in after
    assert "quay" not in after


def save_until_killed(retriever: S3Retriever, path: Path, step: int) -> bool:
    """Save in a child process that dies before its file operation number ``step``; False: it did not die."""
    child = os.fork()
    if not child:
        operations = itertools.count()

        def die(event: str, _: object) -> None:
            if (
                event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
                and next(operations) == step
            ):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        try:
            retriever.save(path)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.long
def test_a_save_killed_at_any_moment_leaves_the_old_index_or_the_new(make: Maker, tmp_path: Path) -> None:
    old, new = make(DOCUMENTS[:4]), make(DOCUMENTS[3:])
    seen = []
    old.save(tmp_path / "old")
    for step in itertools.count(step=2):
        path = tmp_path / str(step)
        shutil.copytree(tmp_path / "old", path)
        if not save_until_killed(new, path, step):
            break
        seen.append(make.load(path).document_ids)
    assert set(seen) == {old.document_ids, new.document_ids}
    assert make.load(path).document_ids == new.document_ids


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.long
def test_a_killed_first_save_leaves_no_index_or_a_whole_one_and_can_be_repeated(
    make: Maker, tmp_path: Path
) -> None:
    retriever = make(DOCUMENTS[:4])
    for step in itertools.count(step=2):
        path = tmp_path / str(step)
        if not save_until_killed(retriever, path, step):
            break
        if holds_index(path):
            assert make.load(path).document_ids == retriever.document_ids
        else:
            with pytest.raises(IndexFormatError, match="no index"):
                make.load(path)
        retriever.save(path)
        assert make.load(path).document_ids == retriever.document_ids
        assert sorted(entry.name for entry in path.iterdir()) == [".lock", "artifact", "index"]
    assert step > 10


@pytest.mark.long
def test_threads_that_save_to_one_folder_mix_nothing(
    make: Maker, random_artifact: Callable[..., Artifact], tmp_path: Path
) -> None:
    heads = [(query.head, query.tap) for query in reversed(make.artifact.queries)]
    other = Maker(make.host, random_artifact(make.host, heads))
    retrievers = [make(DOCUMENTS[:2]), make(DOCUMENTS[2:]), other(DOCUMENTS[:4])]

    def save(retriever: S3Retriever) -> str:
        try:
            retriever.save(path)
        except IndexBusyError:
            return "busy"
        except InvalidInputError as error:
            return str(error)
        return "saved"

    for number in range(5):
        path = tmp_path / str(number)
        with ThreadPoolExecutor(len(retrievers)) as pool:
            said = list(pool.map(save, retrievers))
        assert "saved" in said
        assert all(one in ("saved", "busy") or "another artifact" in one for one in said)
        loaded = S3Retriever.load(path, host=make.host)
        saved = [one for one, word in zip(retrievers, said, strict=True) if word == "saved"]
        assert any(answers(loaded) == answers(one) for one in saved)


@pytest.mark.long
def test_settings_do_not_change_behind_a_retriever(make: Maker, tmp_path: Path) -> None:
    retriever = make(DOCUMENTS, RetrieverConfig(CONFIG.scan, SpanConfig(bias_tokens=16)))
    with pytest.raises(AttributeError):
        retriever.config = CONFIG  # type: ignore[misc]
    retriever.save(tmp_path)
    assert make.load(tmp_path).config.spans.bias_tokens == 16
    assert make.load(tmp_path).retrieve(QUESTION, 60) == retriever.retrieve(QUESTION, 60)


@pytest.mark.long
def test_a_call_may_cut_spans_otherwise(make: Maker, shared: S3Retriever) -> None:
    wide = SpanConfig(context=16, bias_tokens=4)
    expected = make(DOCUMENTS, RetrieverConfig(CONFIG.scan, wide)).retrieve(QUESTION, 60)
    before = shared.retrieve(QUESTION, 60)
    assert shared.retrieve(QUESTION, 60, spans=wide) == expected != before
    assert shared.retrieve(QUESTION, 60) == before
    assert shared.config == CONFIG


@pytest.mark.long
def test_an_empty_index_that_is_given_is_used(make: Maker) -> None:
    first = make([])
    second = S3Retriever(host=make.host, artifact=make.artifact, index=first.index, config=CONFIG)
    second.add(DOCUMENTS)
    assert first.index is second.index
    assert first.document_ids == tuple(TEXTS)


@pytest.mark.long
def test_an_index_that_is_given_keeps_its_settings_or_takes_those_given(make: Maker, tmp_path: Path) -> None:
    first = make(DOCUMENTS, RetrieverConfig(CONFIG.scan, SpanConfig(bias_tokens=4)))
    parts = {"host": make.host, "artifact": make.artifact, "index": first.index}
    assert S3Retriever(**parts).config == first.config
    other = RetrieverConfig(CONFIG.scan, SpanConfig(bias_tokens=16))
    S3Retriever(**parts, config=other).save(tmp_path / "given")
    assert make.load(tmp_path / "given").config == other
    empty = S3Retriever(**{**parts, "index": Index(first.index.layout, {})}, config=CONFIG)
    empty.add(DOCUMENTS)
    empty.save(tmp_path / "empty")
    assert make.load(tmp_path / "empty").config == CONFIG
    with pytest.raises(ArtifactError, match="not made with artifact"):
        S3Retriever(
            **{
                **parts,
                "artifact": replace(make.artifact, scoring={**make.artifact.scoring, "n_features": 1}),
            }
        )


@pytest.mark.parametrize(
    "copy_it", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"]
)
def test_copying_says_what_to_do_instead(shared: S3Retriever, copy_it: Callable[[Any], Any]) -> None:
    for what, instead in ((shared, "save"), (shared.host, "load"), (shared.index, "save")):
        with pytest.raises(
            InvalidInputError, match=rf"{type(what).__name__} cannot be pickled.*{instead}\(\)"
        ):
            copy_it(what)


def test_everything_damaged_on_disk_has_one_parent() -> None:
    for name in ("IndexFormatError", "ArtifactFormatError", "CheckpointError"):
        assert issubclass(getattr(s3_retriever, name), s3_retriever.StorageError)
    assert issubclass(s3_retriever.StorageError, ValueError)


@pytest.mark.long
def test_retrievers_that_share_an_index_save_their_own_settings(make: Maker, tmp_path: Path) -> None:
    first = make(["The keeper stores the oil."])
    spans = SpanConfig(bias_tokens=16)
    second = S3Retriever(
        host=first.host, artifact=first.artifact, index=first.index, config=replace(CONFIG, spans=spans)
    )
    first.save(tmp_path / "first")
    second.save(tmp_path / "second")
    assert S3Retriever.load(tmp_path / "first", host=first.host).config == CONFIG
    assert S3Retriever.load(tmp_path / "second", host=first.host).config.spans == spans


def test_a_ranker_that_was_given_is_given_again_to_load(make: Maker, tmp_path: Path) -> None:
    retriever = make(["The keeper stores the oil."])
    retriever.save(tmp_path)
    ranker = replace(retriever.ranker, rarity=False)
    assert S3Retriever.load(tmp_path, host=retriever.host).ranker.rarity
    assert S3Retriever.load(tmp_path, host=retriever.host, ranker=ranker).ranker is ranker


@pytest.mark.long
def test_settings_on_disk_that_cannot_be_read_are_damage(make: Maker, tmp_path: Path) -> None:
    retriever = make(["The keeper stores the oil."])
    retriever.save(tmp_path)
    index = Index.load(tmp_path / "index")
    known = CONFIG.to_json()
    for config in (5, {}, known | {"scan": 3}, known | {"of_a_later_release": 1}):
        index.save(tmp_path / "index", index.header | {"config": config})
        with pytest.raises(IndexFormatError, match="settings that cannot be read"):
            S3Retriever.load(tmp_path, host=retriever.host)
    index.save(tmp_path / "index")
    assert S3Retriever.load(tmp_path, host=retriever.host).config == CONFIG


def test_an_empty_index_of_another_artifact_is_refused(make: Maker) -> None:
    made = make([])
    other = Index(Layout(taps=("0.0",), n_features=(8,), k=(2,)), {})
    with pytest.raises(ArtifactError, match="not made with artifact"):
        S3Retriever(host=made.host, artifact=made.artifact, index=other)


def test_all_that_is_raised_is_exported() -> None:
    ours = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.S3RetrieverError)
    }
    assert ours <= set(s3_retriever.__all__)
    assert all(getattr(s3_retriever, name) is not None for name in s3_retriever.__all__)


def test_save_refuses_a_folder_that_holds_something_else(make: Maker, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"thesis\.tex"):
        make([]).save(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_load_names_what_is_missing(make: Maker, tmp_path: Path) -> None:
    with pytest.raises(IndexFormatError, match="holds no index"):
        make.load(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("documents", [[], [""], ["", " "]])
def test_a_corpus_without_words_gives_no_spans(make: Maker, tmp_path: Path, documents: list[str]) -> None:
    retriever = make(Document(str(i), text) for i, text in enumerate(documents))
    assert not any(answers(retriever))
    retriever.save(tmp_path)
    assert len(make.load(tmp_path)) == len(documents)


@pytest.mark.long
@pytest.mark.parametrize(
    ("documents", "error"),
    [
        ("a bare string", InvalidDocumentError),
        (Document("a", "alone"), InvalidDocumentError),
        (["fine", 7], InvalidDocumentError),
        ([{"body": "no text"}], InvalidDocumentError),
        ([{"text": 5}], InvalidDocumentError),
        ([{"text": "a", "metadata": "no mapping"}], InvalidDocumentError),
        ([{"text": "a", "metadata": {"at": object()}}], InvalidDocumentError),
        (["fine", "fine"], DuplicateDocumentError),
        ([{"id": "short", "text": "its id is taken"}], DuplicateDocumentError),
    ],
)
def test_documents_that_are_refused_change_nothing(
    refusing: tuple[S3Retriever, list[list[Span]]], documents: Any, error: type[Exception]
) -> None:
    retriever, before = refusing
    with pytest.raises(error):
        retriever.add(documents)
    assert retriever.document_ids == tuple(TEXTS)
    assert answers(retriever) == before


@pytest.mark.long
def test_an_update_replaces_adds_and_is_read_lazily(make: Maker) -> None:
    retriever = make(DOCUMENTS)
    new = [Document("short", "A new keeper.", "new", {"age": 20}), Document("fresh", "Fresh oil.")]
    assert retriever.update(iter(new)) == ["short", "fresh"]
    kept = [key for key in TEXTS if key != "short"]
    assert retriever.document_ids == (*kept, "short", "fresh")
    assert retriever.document("short") == new[0]
    assert [span.doc_id for span in retriever.retrieve(QUESTION, where={"age": 20})] == ["short"]
    retriever.update([Document("fresh", "Fresher oil.")], delete=["short"])
    assert retriever.document_ids == (*kept, "fresh")
    with pytest.raises(InvalidInputError, match="list of ids"):
        retriever.update([], delete="fresh")


@pytest.mark.parametrize("change", ["add", "update", "delete", "merge", "save"])
def test_documents_that_change_the_retriever_while_it_reads_them_are_refused(
    make: Maker, tmp_path: Path, change: str
) -> None:
    retriever = make(DOCUMENTS)
    arguments = {"add": [["More."]], "update": [["More."]], "delete": [[]], "save": [tmp_path], "merge": []}

    def documents() -> Iterator[str]:
        yield "The ferry leaves at nine."
        getattr(retriever, change)(*arguments[change])

    before = answers(retriever)
    with pytest.raises(InvalidInputError, match="collect the documents in a list first"):
        retriever.add(documents())
    assert answers(retriever) == before
    retriever.add(["The ferry leaves at nine."])  # the lock was left
    assert len(retriever) == len(DOCUMENTS) + 1


@pytest.mark.parametrize(
    ("documents", "error"),
    [
        ("a bare string", InvalidDocumentError),
        ([{"id": "short", "text": "new"}, 7], InvalidDocumentError),
        ([{"id": "short", "text": "new"}, {"id": "short", "text": "newer"}], DuplicateDocumentError),
        ([{"id": "short", "text": "new", "metadata": {"at": object()}}], InvalidDocumentError),
    ],
)
def test_an_update_that_is_refused_changes_nothing(
    refusing: tuple[S3Retriever, list[list[Span]]], documents: Any, error: type[Exception]
) -> None:
    retriever, before = refusing
    with pytest.raises(error):
        retriever.update(documents)
    assert retriever.document_ids == tuple(TEXTS)
    assert answers(retriever) == before


@pytest.mark.long
def test_an_unknown_id_deletes_nothing(make: Maker) -> None:
    retriever = make(DOCUMENTS)
    with pytest.raises(UnknownDocumentError, match="nowhere"):
        retriever.delete(["harbour", "nowhere"])
    with pytest.raises(InvalidInputError, match="list of ids"):
        retriever.delete("harbour")
    assert retriever.document_ids == tuple(TEXTS)
    with pytest.raises(UnknownDocumentError, match="nowhere"):
        retriever.document("nowhere")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"question": ""}, "question"),
        ({"question": " \n"}, "question"),
        ({"question": "why? " * 300}, "shorten"),
        ({"question": QUESTION, "token_budget": 0}, "token_budget"),
        ({"question": QUESTION, "token_budget": -5}, "token_budget"),
        ({"question": QUESTION, "token_budget": 2.5}, "token_budget"),
        ({"question": QUESTION, "token_budget": True}, "token_budget"),
        ({"question": QUESTION, "top_k": 0}, "top_k"),
        ({"question": QUESTION, "top_k": 2.0}, "top_k"),
        ({"question": QUESTION, "top_k": True}, "top_k"),
        ({"question": QUESTION, "mode": "dense"}, "'hybrid', 's3', 'bm25'"),
        ({"question": QUESTION, "scoring": "dot"}, "'attention', 'paper'"),
    ],
)
def test_what_a_search_refuses_is_named(shared: S3Retriever, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        shared.retrieve(**arguments)


def test_documents_are_read_lazily_and_an_error_stops_the_reading(make: Maker) -> None:
    read = 0

    def endless() -> Iterator[Document]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield Document("twice" if number in (3, 40) else str(number), "A few words of text. " * 5)

    with pytest.raises(DuplicateDocumentError, match="twice"):
        make(endless())
    assert read == 41


@pytest.mark.parametrize(("mode", "scoring"), WAYS)
def test_unit_scores_lie_between_0_and_1_and_keep_the_ranking(
    shared: S3Retriever, mode: str, scoring: str
) -> None:
    plain = shared.retrieve(QUESTION, 300, mode=mode, scoring=scoring)
    unit = shared.retrieve(QUESTION, 300, mode=mode, scoring=scoring, unit_scores=True)
    assert [span.id for span in unit] == [span.id for span in plain]
    assert unit[0].score == 1
    assert all(0 <= span.score <= 1 for span in unit)


@pytest.mark.parametrize("mode", MODES)
def test_explanations_add_up_and_speak_of_the_question(shared: S3Retriever, mode: str) -> None:
    spans = shared.retrieve(QUESTION, 300, mode=mode, explain=True)
    assert spans
    for span in spans:
        reason = span.explanation
        assert reason is not None
        assert reason.s3 + reason.bm25 == pytest.approx(1)
        assert min(reason.s3, reason.bm25) >= 0
        assert {"s3": reason.bm25 == 0, "bm25": reason.s3 == 0}.get(mode, True)
        assert bool(reason.features) == (mode != "bm25")
        shares = [pair.share for pair in reason.features]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) <= 1 + 1e-9
        for pair in reason.features:
            assert pair.tap in ("1.0", "2.1")
            assert pair.token in QUESTION
            assert pair.text in TEXTS[span.doc_id]
    assert shared.retrieve(QUESTION)[0].explanation is None


@pytest.mark.long
def test_searches_during_changes_see_whole_versions_only(make: Maker) -> None:
    retriever = make(DOCUMENTS[:4])
    more = DOCUMENTS[4:]
    expected = [answers(make(DOCUMENTS[:4])), answers(make(DOCUMENTS))]
    done = threading.Event()
    wrong: list[Any] = []

    def search() -> None:
        while not done.is_set():
            for i, (mode, scoring) in enumerate(WAYS):
                found = retriever.retrieve(QUESTION, 150, mode=mode, scoring=scoring)
                if found not in (expected[0][i], expected[1][i]):
                    wrong.append(found)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        retriever.add(more)
        retriever.delete([document.id for document in more])
        retriever.merge()
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def other_model(tiny_model: LlamaForCausalLM) -> LlamaForCausalLM:
    """A model of the tiny host's shape with other weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return LlamaForCausalLM(tiny_model.config).eval()


@pytest.mark.long
def test_another_model_of_the_same_shape_is_refused(
    make: Maker,
    other_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    make(["text"]).save(tmp_path)
    with pytest.raises(ArtifactError, match="belongs to host 'tiny'"):
        S3Retriever.load(tmp_path, host=(other_model, tiny_tokenizer))
    with pytest.raises(ArtifactError, match="belongs to host 'tiny'"):
        S3Retriever.from_documents([], host=(other_model, tiny_tokenizer), artifact=make.artifact)


@pytest.mark.long
def test_an_index_beside_another_artifact_is_refused(make: Maker, tmp_path: Path) -> None:
    retriever = make(["text"])
    retriever.save(tmp_path)
    scoring = {**make.artifact.scoring, "n_features": 3}
    parts = {
        name: getattr(make.artifact, name) for name in ("name", "host", "codecs", "queries", "fingerprint")
    }
    other = Artifact(**parts, scoring=scoring)
    with pytest.raises(InvalidInputError, match="another artifact"):
        S3Retriever.from_documents([], host=make.host, artifact=other, config=CONFIG).save(tmp_path)
    other.save(tmp_path / "artifact")
    with pytest.raises(IndexFormatError, match="artifact"):
        make.load(tmp_path)


NAMES = ("with", "assert", "lambda", "global")


@pytest.fixture(scope="session")
def reference(host: Host) -> S3Retriever:
    """Four topics of the language reference, scanned by the default host."""
    return S3Retriever.from_documents((Document(name, topics[name]) for name in NAMES), host=host)


@pytest.mark.host
def test_a_name_decides_between_sentences_that_are_alike_otherwise(host: Host) -> None:
    buyers = [
        f"{first}{last}"
        for first in ("Quill", "Tov", "Mer", "Hex", "Lom")
        for last in ("ling", "ander", "ick")
    ]
    sites = [
        f"{first}{last}" for first in ("Ard", "Kes", "Vel", "Fen", "Gar") for last in ("mere", "holm", "wick")
    ]
    told = [
        f"At the auction the brickworks of {a} was bought by {b}." for a, b in zip(sites, buyers, strict=True)
    ]
    filler = "It rained all day. The carts stood in the yard, and nobody came to fetch them. "
    text = " ".join(filler + sentence for sentence in told)
    retriever = S3Retriever.from_documents([text], host=host)
    for site, sentence in zip(sites, told, strict=True):
        spans = retriever.retrieve(f"Who became the owner of the brickworks of {site}?", 128)
        assert any(sentence in span.text for span in spans), site


@pytest.mark.host
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("question", "topic"),
    [
        ("What does the with statement call on the context manager when its block ends?", "with"),
        ("Is debugging code left out when Python runs with optimisation?", "assert"),
        ("Which expression creates a function without a name?", "lambda"),
    ],
)
def test_the_default_host_finds_the_topic(
    reference: S3Retriever, mode: str, question: str, topic: str
) -> None:
    spans = reference.retrieve(question, 128, mode=mode)
    found = [span.doc_id for span in spans]
    # Among four documents BM25 and S3 agree on "with", each by another passage; their sum does not.
    assert topic in (found if mode == "hybrid" else found[:1])
    assert all(span.text == topics[span.doc_id][span.start : span.end] for span in spans)
    assert sum(reference.host.count_tokens(span.text) for span in spans) <= 128


@pytest.mark.host
def test_the_default_host_is_found_again_by_name(reference: S3Retriever, tmp_path: Path) -> None:
    reference.save(tmp_path)
    loaded = S3Retriever.load(tmp_path)
    question = "What does a global statement do?"
    assert loaded.retrieve(question) == reference.retrieve(question)


def test_an_argument_of_another_type_is_named(
    tiny_host: Host, tiny_artifact: Artifact, tmp_path: Path
) -> None:
    """And what could be meant is said; nothing but our own error, and nothing changes."""
    retriever = S3Retriever(host=tiny_host, artifact=tiny_artifact, config=CONFIG)
    parts = {"host": tiny_host, "artifact": tiny_artifact}
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: S3Retriever(**parts | {"host": "x"}), "host must be a Host"),
        (lambda: S3Retriever(**parts | {"artifact": "fast"}), "artifact must be an Artifact"),
        (lambda: S3Retriever(**parts, index={}), "index must be an Index"),
        (lambda: S3Retriever(**parts, config={}), "config must be a RetrieverConfig"),
        (lambda: S3Retriever(**parts, ranker=1), "ranker must be a Ranker"),
        (lambda: S3Retriever.from_documents([], host=3), "host must be a name"),
        (lambda: S3Retriever.from_documents([], host=tiny_host, artifact=3), "artifact must be a path"),
        (lambda: S3Retriever.load(None), "path must be a path, not None"),
        (lambda: retriever.save(3), "path must be a path, not 3"),
        (lambda: retriever.add(None), "iterable of documents, not a single NoneType"),
        (lambda: retriever.update(3), "iterable of documents, not a single int"),
        (lambda: retriever.delete(None), "doc_ids must be a list of ids, not None"),
        (lambda: retriever.delete("harbour"), "doc_ids must be a list of ids, not 'harbour'"),
        (lambda: retriever.update([], delete=3), "doc_ids must be a list of ids, not 3"),
        (lambda: retriever.delete([["a"]]), r"a document's id must be a str, not \['a'\]"),
        (lambda: retriever.update([], delete=[1]), "a document's id must be a str, not 1"),
        (lambda: retriever.document([]), r"a document's id must be a str, not \[\]"),
        (lambda: retriever.index.delete("harbour"), "doc_ids must be a list of ids, not 'harbour'"),
        (lambda: retriever.index.add(5), "segment must be a Segment, not 5"),
        (lambda: Index(5, {}), "layout must be a Layout, not 5"),
        (lambda: Index(retriever.index.layout, None), "header must be a mapping, not None"),
        (lambda: replace(retriever.ranker, scoring=1), "scoring must be a Scoring, not 1"),
        (lambda: replace(retriever.ranker, fuse="sum"), "fuse must be a function, not 'sum'"),
        (lambda: replace(retriever.ranker.scoring, scales=5), "scales must be a list"),
        (lambda: replace(retriever.ranker.scoring, bm25_widths=5), "bm25_widths must be a mapping"),
        (lambda: replace(tiny_artifact, queries=5), "queries must be a list"),
        (lambda: replace(tiny_artifact, codecs=(5,)), "codecs must be a list, each a KeyCodec"),
        (lambda: replace(tiny_artifact, fingerprint=5), "fingerprint must be a Fingerprint"),
        (lambda: Tap("a", 0), "layer must be a whole number, 0 or more, not 'a'"),
        (lambda: QueryHead(0, -1), "head must be a whole number, 0 or more, not -1"),
        (lambda: tiny_host.count_tokens(None), "a text must be a str, not None"),
        (lambda: retriever.retrieve("oil", mode=np.array([1, 2])), "mode must be one of"),
        (lambda: retriever.add(["oil"], show_progress="yes"), "show_progress must be True or False"),
        (lambda: retriever.retrieve("oil", explain="yes"), "explain must be True or False"),
        (lambda: retriever.retrieve("oil", unit_scores=1), "unit_scores must be True or False"),
        (lambda: Document("a", "b", metadata=3), "metadata must be a mapping, not int"),
    ]
    for call, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            call()
    assert len(retriever) == 0


@pytest.mark.long
def test_the_index_is_the_same_whatever_the_number_of_threads(
    make: Maker, tiny_host: Host, tiny_artifact: Artifact, tmp_path: Path
) -> None:
    """Its files are named by their hashes."""
    saved = []
    for threads in (None, 1, 2, 3):
        retriever = S3Retriever.from_documents(
            DOCUMENTS[:4], host=tiny_host, artifact=tiny_artifact, config=CONFIG, threads=threads
        )
        retriever.add(DOCUMENTS[4:], threads=threads)
        retriever.update(DOCUMENTS[:2], threads=threads)
        retriever.save(tmp_path / str(threads))
        saved.append(sorted(path.name for path in (tmp_path / str(threads)).rglob("*")))
    assert all(one == saved[0] for one in saved)


def test_a_wrong_number_of_threads_is_found_before_the_host_is_loaded(shared: S3Retriever) -> None:
    with pytest.raises(InvalidInputError, match="threads must be a whole number, 1 or more, or None, not 0"):
        S3Retriever.from_documents(["x"], host="no such host", threads=0)
    for change in (shared.add, shared.update):
        with pytest.raises(InvalidInputError, match="threads must be"):
            change(["x"], threads=0)
