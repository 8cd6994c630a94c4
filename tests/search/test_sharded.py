"""A corpus in shards gives the spans and scores of the whole, bit for bit."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3_retriever import Artifact, Compare, Document, Host, RetrieverConfig, S3Retriever, Scale, ScanConfig
from s3_retriever.errors import InvalidInputError, ShardStateError, UnknownDocumentError, UnknownKeyWarning
from s3_retriever.index.layout import CELL
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search import shard
from s3_retriever.search.coactivation import coactivation, grouped
from s3_retriever.search.exchange import Facts
from s3_retriever.search.lookup import TermLookup
from s3_retriever.search.rank import Ranker
from s3_retriever.search.shard import Shard
from s3_retriever.search.shards import ShardedIndex
from s3_retriever.search.totals import totals
from s3_retriever.search.workers import Workers
from s3_retriever.sources.corpus import Corpus
from s3_retriever.store import place_of
from s3_retriever.store.commit import read_content
from s3_retriever.store.parts import cut, layout_in, open_pieces
from s3_retriever.syncing import sync

QUESTIONS = [
    "Where are the keys of the host?",
    "number 7 of the dog",
    "What answers a question in 1997?",
    "zebra",
    "yield fox.brackets for fox in tokens",
    "Is keys-1997 here?",
    "What has the stripes of dog 5?",
]


class InOneProcess:
    """Shards that are called in turn; one may be started anew in the middle of a question."""

    def __init__(self, folder: Path, n: int, ranker: Ranker) -> None:
        place = place_of(folder)
        content, _ = read_content(place)
        assert content is not None
        self.parts = cut(place, content, n)
        self._make = lambda part: Shard(
            open_pieces(lambda _: folder / "index" / "segments", layout_in(content), part),
            ranker.scoring,
            ranker.fuse,
            Workers(1),
        )
        self.shards = [self._make(part) for part in self.parts]
        self.calls: list[str] = []
        self.lost_before = ""

    def each(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        self.calls.append(method)
        if method == self.lost_before:
            self.lost_before = ""
            lost = min(arguments)
            self.shards[lost] = self._make(self.parts[lost])
        return {shard: getattr(self.shards[shard], method)(*given) for shard, given in arguments.items()}

    def facts(self) -> list[Facts]:
        return [shard.facts() for shard in self.shards]


@pytest.fixture(scope="module")
def whole(tiny_host: Host, tiny_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> S3Retriever:
    """Documents of all lengths in three segments, some of code, of tables, twice, or deleted, one empty."""
    words = ["fox", "dog", "keys", "tokens", "1997", "brackets", "spans", "question", "host", "heads"]
    documents = [
        Document(
            f"d{i:03d}",
            f"# The {words[i % 10]}s\n\n" * (i % 4 == 0)
            + " ".join(
                f"The {words[(i * 7 + j * j) % 10]} number {j % 9} is here." for j in range(1 + i % 17)
            ),
            words[i % 7] if i % 5 else "",
            metadata={"part": i % 3},
        )
        for i in range(80)
    ]
    documents += [
        Document(
            f"{word}.py",
            f"def {word}(tokens):\n    for fox in tokens:\n        yield fox.{word}\n\n\n" * (1 + i),
        )
        for i, word in enumerate(words)
    ]
    documents += [Document(f"copy{i}", documents[5].text) for i in range(30)] + [Document("empty", "")]
    documents += [
        Document(
            f"s{i}",
            f"Stripes of dog {i} are in the Zebra Book {i % 4} and Fox Book.\n" * 4,
            f"Zebra Book {i}",
        )
        for i in range(9)
    ]
    row = "| {} | keys of the {} | host {} |\n".format
    documents += [
        Document(
            f"t{i}", row("dog", "fox", i) + "|---|---|---|\n" + "".join(row(j, i, j) for j in range(i, 40))
        )
        for i in range(0, 40, 9)
    ]
    large = "".join(row(f"zebra {i}", i, f"{i} in 1997") for i in range(150))
    documents += [Document("large", row("dog", "fox", "") + "|---|---|---|\n" + large)]
    retriever = S3Retriever.from_documents(
        documents[:70],
        host=tiny_host,
        artifact=tiny_artifact,
        config=RetrieverConfig(scan=ScanConfig(chunk_tokens=64, overlap_tokens=16)),
    )
    retriever.add(documents[70:90])
    retriever.add(documents[90:])
    retriever.delete(["d003", "d079", "copy3"])
    retriever.save(tmp_path_factory.mktemp("whole") / "kb")
    scoring = replace(retriever.ranker.scoring, bm25_rarity=2.0, bm25_widths={0.5: 1.0, np.inf: 0.3})
    ranker = replace(retriever.ranker, scoring=scoring)
    return S3Retriever(host=tiny_host, artifact=tiny_artifact, index=retriever.index, ranker=ranker)


@pytest.fixture(scope="module")
def folder(whole: S3Retriever, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shards") / "kb"
    whole.save(path)
    return path


def sharded(whole: S3Retriever, shards: InOneProcess) -> S3Retriever:
    index = ShardedIndex(shards, whole.index.layout, whole.index.header)
    return S3Retriever(host=whole.host, artifact=whole.artifact, index=index, ranker=whole.ranker)


@pytest.mark.long
@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize(
    "how",
    [
        {"mode": "hybrid"},
        {"mode": "s3"},
        {"mode": "bm25"},
        {"scoring": "paper"},
        {"unit_scores": True, "top_k": 2},
        {"where": Compare("part", "eq", 1)},
        {"where": {"part": 9}},
        {"explain": True},
        {"explain": True, "mode": "s3", "unique": False},
        {"explain": True, "mode": "bm25", "where": {"part": 1}},
        {"explain": True, "scoring": "paper"},
    ],
    ids=str,
)
def test_spans_and_scores_are_those_of_the_whole(
    whole: S3Retriever, folder: Path, n: int, how: dict[str, Any]
) -> None:
    shards = InOneProcess(folder, n, whole.ranker)
    assert len(shards.parts) == n
    parts = sharded(whole, shards)
    for budget in (20, 150, 2000):
        assert parts.retrieve_batch(QUESTIONS, budget, **how) == whole.retrieve_batch(
            QUESTIONS, budget, **how
        )


@pytest.mark.long
@pytest.mark.parametrize("how", [{}, {"mode": "s3"}, {"mode": "bm25"}, {"scoring": "paper"}], ids=str)
def test_profiles_are_those_of_the_whole(whole: S3Retriever, folder: Path, how: dict[str, Any]) -> None:
    parts = sharded(whole, InOneProcess(folder, 3, whole.ranker))
    for question in QUESTIONS:
        for doc_id in ("d000", "d078", "copy29", "empty"):
            found, expected = (one.profile(question, doc_id, **how) for one in (parts, whole))
            assert found.doc_id == expected.doc_id
            assert found.ranges == expected.ranges
            for name in ("starts", "ends", "density", "s3", "bm25"):
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    with pytest.raises(UnknownDocumentError):
        parts.profile("Why?", "d003")


def test_what_passages_name_is_found_in_other_shards(whole: S3Retriever, folder: Path) -> None:
    shards = InOneProcess(folder, 4, whole.ranker)
    found = sharded(whole, shards).retrieve(QUESTIONS[-1], 2000, explain=True)
    assert {one.explanation.named for one in found} > {""}
    assert shards.calls.count("lift") == 1


def test_an_unknown_key_of_a_filter_is_said(whole: S3Retriever, folder: Path) -> None:
    parts = sharded(whole, InOneProcess(folder, 2, whole.ranker))
    with pytest.warns(UnknownKeyWarning, match="no document has the key 'Part'.*'part'"):
        assert parts.retrieve("Where?", where={"Part": 1}) == []


@pytest.mark.parametrize("lost_before", ["cells", "lift", "explain"])
def test_a_shard_that_is_started_anew_changes_nothing(
    whole: S3Retriever, folder: Path, lost_before: str
) -> None:
    shards = InOneProcess(folder, 2, whole.ranker)
    shards.lost_before = lost_before
    found = sharded(whole, shards).retrieve(QUESTIONS[-1], 150, explain=True)
    assert found == whole.retrieve(QUESTIONS[-1], 150, explain=True)
    assert shards.calls.count("count") == 2
    with pytest.raises(ShardStateError):
        shards.shards[0].cells("never counted", None, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [0, shard._KEPT_BYTES])
def test_what_terms_were_found_in_is_kept_for_the_second_round_only(
    whole: S3Retriever, folder: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not so long where it is too much; a shard remembers questions that ended nowhere."""
    lookups: list[weakref.ref[TermLookup]] = []
    alive: list[tuple[str, int]] = []

    class Noted(TermLookup):
        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__(snapshot)
            lookups.append(weakref.ref(self))

    class Watched(InOneProcess):
        def each(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
            found = super().each(method, arguments)
            gc.collect()
            alive.append((method, sum(one() is not None for one in lookups)))
            return found

    monkeypatch.setattr(shard, "_KEPT_BYTES", kept)
    monkeypatch.setattr(shard, "TermLookup", Noted)
    found = sharded(whole, Watched(folder, 2, whole.ranker)).retrieve(QUESTIONS[0], 300)
    assert found == whole.retrieve(QUESTIONS[0], 300)
    rounds = [one for one in alive if one[0] != "related"]
    assert rounds[:2] == [("count", 2 if kept else 0), ("cells", 0)]


def test_few_rounds(whole: S3Retriever, folder: Path) -> None:
    """One of words, two of numbers, one of texts, one of names, and nobody waits for the last."""
    shards = InOneProcess(folder, 4, whole.ranker)
    sharded(whole, shards).retrieve("zebra", 100, unique=False)
    assert shards.calls[:4] == ["related", "count", "cells", "pages"]
    assert shards.calls[3:].count("pages") <= 1
    copying = InOneProcess(folder, 4, whole.ranker)
    sharded(whole, copying).retrieve(QUESTIONS[0], 100)
    assert len(copying.calls) < 30, copying.calls  # a few more, as wide as copies reach
    assert shards.calls[-2:] == ["named", "forget"]
    assert shards.calls.count("cells") == 1


def test_totals_of_parts_are_those_of_the_whole() -> None:
    """Whatever the order: float64 alone would round differently."""
    rng = np.random.default_rng(0)
    masses = grouped(np.exp(rng.normal(0, 4, (20, 999))).astype(np.float32) - 1)
    masses[0, 5, 3] = 32 * np.exp(np.float32(20))
    cells = np.arange(0, 1000, 3)
    tokens = np.full(999, CELL, np.int32)
    whole = totals(masses, tokens, cells)
    for border in (3, 300, 996):
        parts = [
            totals(np.ascontiguousarray(masses[:, of]), tokens[of], cells[: (of.stop - of.start) // 3 + 1])
            for of in (slice(0, border), slice(border, 999))
        ]
        added = parts[1] + parts[0]
        assert np.array_equal(added.factors, whole.factors)
        scales = [Scale(1.0), Scale(np.inf)]
        ones = np.ones((20, 2), np.float32)
        first = coactivation(
            np.ascontiguousarray(masses[:, :border]),
            ones,
            tokens[:border],
            cells[: border // 3 + 1],
            scales,
            whole=added,
        )
        assert np.array_equal(first, coactivation(masses, ones, tokens, cells, scales)[:border])


def test_an_index_in_shards_is_read_only(whole: S3Retriever, folder: Path, tmp_path: Path) -> None:
    parts = sharded(whole, InOneProcess(folder, 3, whole.ranker))
    assert (len(parts), parts.n_tokens, parts.document_ids) == (
        len(whole),
        whole.n_tokens,
        whole.document_ids,
    )
    assert "d010" in parts and "d003" not in parts
    assert parts.document("copy7") == whole.document("copy7")
    with pytest.raises(UnknownDocumentError):
        parts.document("d003")
    (tmp_path / "a.txt").write_text("oil")
    corpus = Corpus([str(tmp_path / "a.txt")])
    corpus.survey()
    for change in (
        lambda: parts.add(["a text"]),
        lambda: parts.update([], delete=["d010"]),
        lambda: parts.delete(["d010"]),
        lambda: parts.merge(),
        lambda: parts.save(tmp_path / "kb"),
        lambda: parts.index.save(tmp_path / "kb"),
        lambda: sync(parts, corpus, lambda: None),
    ):
        with pytest.raises(InvalidInputError, match="without shards"):
            change()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
