"""A dataset of Ray to an index: the same as on one machine, all of it or none."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from file_kinds import add_unreadable, make_folder

from s3_retriever import Artifact, Document, S3Retriever
from s3_retriever.cli.main import main
from s3_retriever.errors import DuplicateDocumentError, InvalidDocumentError
from s3_retriever.sources.corpus import Corpus
from s3_retriever.sources.files import FileSettings

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("cluster")]

QUESTIONS = ["Where are the keys?", "number 1997 of the dog", "What answers a question?"]


def rows(documents: list[Document]) -> list[dict[str, Any]]:
    return [
        {"id": one.id, "text": one.text, "title": one.title, "metadata": json.dumps(dict(one.metadata))}
        for one in documents
    ]


def same(one: S3Retriever, other: S3Retriever) -> None:
    assert one.document_ids == other.document_ids
    assert one.n_tokens == other.n_tokens
    assert [one.document(i) for i in one.document_ids] == [other.document(i) for i in other.document_ids]
    for mode in ("hybrid", "s3", "bm25"):
        for question in QUESTIONS:
            assert one.retrieve(question, 60, mode=mode) == other.retrieve(question, 60, mode=mode)


def test_the_index_is_that_of_one_machine(
    tmp_path: Path, host: str, artifact: Artifact, documents: list[Document]
) -> None:
    import ray.data

    from s3_retriever.cluster.dataset import ClusterConfig, index_dataset

    dataset = ray.data.from_items(rows(documents))
    few = ClusterConfig(workers=2, pack_bytes=2000)
    report = index_dataset(dataset, str(tmp_path / "index"), host=host, artifact=artifact, cluster=few)
    assert (report.documents, report.failures) == (len(documents), ())
    assert report.segments > 2
    expected = S3Retriever.from_documents(documents, host=host, artifact=artifact)
    assert report.tokens == expected.n_tokens
    same(S3Retriever.load(tmp_path / "index", host=host), expected)


def test_shards_on_actors_and_one_that_dies(
    tmp_path: Path, host: str, artifact: Artifact, documents: list[Document]
) -> None:
    import os
    import signal

    import ray

    whole = S3Retriever.from_documents(documents, host=host, artifact=artifact)
    whole.save(tmp_path / "index")
    parts = S3Retriever.load(tmp_path / "index", host=host, shards=2)
    same(parts, whole)
    shards = parts.index.shards  # type: ignore[attr-defined]
    victim = ray.get(shards.actors[1].process.remote())
    os.kill(victim, signal.SIGKILL)
    same(parts, whole)
    assert ray.get(shards.actors[1].process.remote()) != victim
    shards.close()


def test_the_benchmark_of_shards_compares_and_counts(
    tmp_path: Path,
    host: str,
    artifact: Artifact,
    documents: list[Document],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from s3_retriever.evaluation.benchmark.shards import main

    S3Retriever.from_documents(documents, host=host, artifact=artifact).save(tmp_path / "index")
    asked = tmp_path / "queries.jsonl"
    asked.write_text("".join(json.dumps({"_id": one, "text": one}) + "\n" for one in QUESTIONS), "utf-8")
    assert main([str(tmp_path / "index"), str(asked), "--host", host, "--shards", "2"]) == 0
    printed = capsys.readouterr().out
    assert "3 questions" in printed
    assert "2 shards: spans the same" in printed


@pytest.mark.slow
def test_the_benchmark_of_workers_compares_and_keeps_an_index(
    tmp_path: Path,
    host: str,
    artifact: Artifact,
    documents: list[Document],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from s3_retriever.evaluation.benchmark.cluster import main

    artifact.save(tmp_path / "artifact")
    for name, lines in (
        ("corpus", [(one.id, one.text) for one in documents]),
        ("asked", enumerate(QUESTIONS)),
    ):
        written = "".join(json.dumps({"_id": str(key), "text": text}) + "\n" for key, text in lines)
        (tmp_path / name).write_text(written, encoding="utf-8")
    files = [str(tmp_path / "corpus"), str(tmp_path / "asked"), "--out", str(tmp_path / "kept")]
    how = ["--host", host, "--artifact", str(tmp_path / "artifact"), "--workers", "1", "--rounds", "1"]
    assert main([*files, *how, "--documents", "20"]) == 0
    printed = capsys.readouterr().out
    assert "1 workers: " in printed
    assert "spans of 3 questions: the same" in printed
    assert len(S3Retriever.load(tmp_path / "kept", host=host)) == 20


@pytest.mark.slow
def test_a_thousand_tiny_files_replace_what_is_there_and_a_bad_one_is_named(
    tmp_path: Path, host: str, artifact: Artifact, documents: list[Document]
) -> None:
    import ray.data

    from s3_retriever.cluster.config import ClusterConfig
    from s3_retriever.cluster.dataset import index_dataset
    from s3_retriever.cluster.reading import find_sources, read_sources

    path = tmp_path / "index"
    S3Retriever.from_documents(documents, host=host, artifact=artifact).save(path)
    (tmp_path / "files").mkdir()
    new = [Document(f"d{i:03d}", f"Number {i} of the new ones.") for i in range(1000)]
    for i, one in enumerate(new):
        line = {"_id": one.id, "text": one.text if i != 7 else None}
        (tmp_path / "files" / f"{i:04d}.jsonl").write_text(json.dumps(line), encoding="utf-8")
    dataset = read_sources(find_sources([str(tmp_path / "files")], "jsonl"))
    how = ClusterConfig(workers=1, on_error="skip")
    report = index_dataset(dataset, str(path), host=host, artifact=artifact, mode="upsert", cluster=how)
    assert [one.id for one in report.failures] == ["d007"]
    assert report.documents == 999
    assert report.segments < 20  # not one a file
    found = S3Retriever.load(path, host=host)
    kept = {"empty": "", "d007": documents[7].text}
    assert {i: found.document(i).text for i in found.document_ids} == kept | {
        one.id: one.text for one in new if one.id != "d007"
    }
    with pytest.raises(DuplicateDocumentError, match="already in the index"):
        index_dataset(ray.data.from_items(rows(documents[:2])), str(path), host=host, artifact=artifact)
    with pytest.raises(InvalidDocumentError, match="'x'"):
        bad = ray.data.from_items([{"id": "x", "text": 5}])
        index_dataset(bad, str(path), host=host, artifact=artifact)
    assert S3Retriever.load(path, host=host).document_ids == found.document_ids


def test_a_resumed_job_finds_room_on_two_cpus(
    tmp_path: Path, host: str, artifact: Artifact, documents: list[Document]
) -> None:
    """Ray's filter of what a checkpoint names takes a CPU, and reading takes the other one.

    What is left of files that a killed run was writing is no obstacle.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    from s3_retriever.cluster.dataset import ClusterConfig, index_dataset
    from s3_retriever.cluster.reading import find_sources, read_sources

    lines = [json.dumps({"_id": one.id, "text": one.text}) for one in documents]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "checkpoint").mkdir()
    pq.write_table(pa.table({"id": ["d000", "d001"]}), tmp_path / "checkpoint" / "0.parquet")
    (tmp_path / "checkpoint" / "1.parquet").touch()  # a run was killed while Ray wrote these
    (tmp_path / "checkpoint" / "2.parquet").write_bytes(
        (tmp_path / "checkpoint" / "0.parquet").read_bytes()[:-5]
    )
    context = ray.data.DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=str(tmp_path / "checkpoint"))
    try:
        dataset = read_sources(find_sources([str(tmp_path / "a.jsonl")]))
        how = ClusterConfig(workers=2, pack_bytes=500)
        index_dataset(dataset, str(tmp_path / "index"), host=host, artifact=artifact, cluster=how)
    finally:
        context.checkpoint_config = None
    found = S3Retriever.load(tmp_path / "index", host=host)
    assert found.document_ids == tuple(one.id for one in documents[2:])
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.slow
def test_a_job_that_was_killed_after_its_commit_is_known_again(
    tmp_path: Path,
    host: str,
    artifact: Artifact,
    documents: list[Document],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its documents are not already there when it is run again."""
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    from s3_retriever.cluster import dataset as jobs
    from s3_retriever.cluster.reading import find_sources, read_sources

    lines = [json.dumps({"_id": one.id, "text": one.text}) for one in documents]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    context = ray.data.DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=str(tmp_path / "checkpoint"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        for step in ("merge_segments", "collect_garbage", "delete_checkpoint"):
            dataset = read_sources(find_sources([str(tmp_path / "a.jsonl")]))
            how = jobs.ClusterConfig(workers=1, pack_bytes=500)
            run = partial(jobs.index_dataset, dataset, str(tmp_path / step), host=host, artifact=artifact)
            with monkeypatch.context() as kill:
                kill.setattr(jobs, step, killed)
                with pytest.raises(KeyboardInterrupt):
                    run(cluster=how)
            run(cluster=how)
            found = S3Retriever.load(tmp_path / step, host=host)
            assert sorted(found.document_ids) == sorted(one.id for one in documents)
            assert not (tmp_path / "checkpoint").exists()
            assert not list((tmp_path / step).glob("jobs/*"))
    finally:
        context.checkpoint_config = None


def test_files_of_all_kinds_become_what_index_makes_of_them(
    tmp_path: Path, host: str, artifact: Artifact
) -> None:
    from s3_retriever.cluster.dataset import ClusterConfig, index_dataset
    from s3_retriever.cluster.reading import find_sources, read_sources

    folder = make_folder(tmp_path / "files")
    broken = add_unreadable(folder)
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "a.txt").write_text("Nobody reads this.")
    settings = FileSettings(max_bytes=2_000_000)
    corpus = Corpus([str(folder)], settings)
    corpus.survey()
    expected = {one.id: one for one in corpus.documents()}
    how = ClusterConfig(workers=1, on_error="skip")
    dataset = read_sources(find_sources([str(folder)], settings=settings), settings)
    report = index_dataset(dataset, str(tmp_path / "index"), host=host, artifact=artifact, cluster=how)
    assert {(one.id, one.reason) for one in report.failures} == {
        (one.path, one.reason) for one in corpus.problems
    }
    assert len(report.failures) >= len(broken)
    found = S3Retriever.load(tmp_path / "index", host=host)
    assert found.document_ids == tuple(expected)
    for doc_id, document in expected.items():
        assert found.document(doc_id) == document
    assert any(document.pages for document in expected.values())
    url = f"file://{folder.as_posix()}"
    by_url = read_sources(find_sources([url], settings=settings), settings)
    assert by_url.take_all() == dataset.take_all()


def test_lines_that_are_alone_keep_their_ids_as_with_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3_retriever.cluster.reading import find_sources, read_sources
    from s3_retriever.cluster.records import LINE
    from s3_retriever.index.documents import of_line

    lines = [{"_id": "oil", "text": "The keeper stores oil."}, {"_id": "tea", "text": "Tea is at four."}]
    given = "\n".join(map(json.dumps, lines)).encode()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.ndjson").write_bytes(given)
    for source in ("-", str(tmp_path / "files" / "a.ndjson"), str(tmp_path / "files")):
        corpus = Corpus([source])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        corpus.survey()
        expected = list(corpus.documents())
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert [of_line(row[LINE]) for row in read_sources(find_sources([source])).take_all()] == expected
        if source != "-":
            by_url = read_sources(find_sources([f"file://{source}"])).take_all()
            assert [of_line(row[LINE]) for row in by_url] == expected


def test_the_command_indexes_and_names_what_it_skipped(
    tmp_path: Path, host: str, artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact.save(tmp_path / "artifact")
    lines = [{"_id": "oil", "text": "The keeper stores oil.", "part": 2}, {"_id": "bad", "text": 5}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    arguments = ["index", str(tmp_path / "a.jsonl"), "--ray", "auto", "--out", str(tmp_path / "index")]
    arguments += ["--host", host, "--artifact", str(tmp_path / "artifact"), "--workers", "1", "--no-progress"]
    assert main([*arguments, "--strict"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    said = err.splitlines()[-1]
    assert said.startswith("s3-retriever: error: document 'bad': ")
    assert said.endswith("; on_error='skip' leaves it out")
    assert main(arguments) == 3
    captured = capsys.readouterr()
    assert "could not be read: 1\n  bad: document 2: text must be a str" in captured.err
    assert captured.out.startswith("indexed 1 documents, ")
    found = S3Retriever.load(tmp_path / "index", host=host)
    assert found.document_ids == ("oil",)
    assert found.document("oil").metadata == {"part": 2}


@pytest.fixture
def command(tmp_path: Path, host: str, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Indexes a folder, named from where it lies, on the cluster, whose processes run elsewhere."""
    artifact.save(tmp_path / "artifact")
    (tmp_path / "manuals").mkdir()
    (tmp_path / "manuals" / "oil.txt").write_text("The keeper stores oil.", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    options = ["--ray", "auto", "--artifact", "artifact", "--workers", "1", "--no-progress"]
    return ["index", "manuals", "--out", "manuals/index", "--host", host, *options]


def test_the_command_twice_leaves_out_the_index_and_brings_it_up_to_date(
    command: list[str], tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    (tmp_path / "manuals" / "oil.txt").write_text("The keeper stores oil and tea.", encoding="utf-8")
    assert main(command) == 0
    found = S3Retriever.load(tmp_path / "manuals" / "index", host=host)
    assert found.document_ids == ("oil.txt",)
    assert found.document("oil.txt").text.endswith("and tea.")
    assert main([*command, "--bm25", "bm25s"]) == 2
    assert "was made with another --bm25" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_names_files_as_index_does_and_finds_them_from_anywhere(
    command: list[str], tmp_path: Path, host: str
) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"id": ["tea"], "text": ["Tea is at four."]}), tmp_path / "a.parquet")
    assert main([*command[:2], "a.parquet", *command[2:]]) == 0
    found = S3Retriever.load(tmp_path / "manuals" / "index", host=host)
    assert set(found.document_ids) == {"manuals/oil.txt", "tea"}


@pytest.mark.slow
def test_a_checkpoint_may_be_named_from_the_working_folder(
    command: list[str], tmp_path: Path, host: str
) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "manuals" / "tea.txt").write_text("Tea is at four.", encoding="utf-8")
    (tmp_path / "marks").mkdir()
    pq.write_table(pa.table({"id": ["oil.txt"]}), tmp_path / "marks" / "0.parquet")  # of a run before
    context = pytest.importorskip("ray.data").DataContext.get_current()
    try:
        assert main([*command, "--checkpoint", "marks"]) == 0
    finally:
        context.checkpoint_config = None
    assert S3Retriever.load(tmp_path / "manuals" / "index", host=host).document_ids == ("tea.txt",)
    assert not (tmp_path / "marks").exists()


@pytest.mark.parametrize(
    ("sources", "options", "said"),
    [
        (["manuals"], ["--host", "no-host"], "host 'no-host' is neither"),
        (["manuals", "nothing.parquet"], [], "nothing.parquet is no file and no folder"),
        (["manuals"], ["--exclude", "*.txt"], "no document there"),
    ],
)
def test_what_cannot_be_indexed_is_said_in_a_line_and_leaves_no_index(
    command: list[str],
    sources: list[str],
    options: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["index", *sources, *command[2:], *options]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "manuals" / "index").exists()


@pytest.mark.slow
def test_nothing_that_can_be_read_is_an_error_and_overwrites_nothing(
    command: list[str], tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manuals" / "oil.txt").rename(tmp_path / "manuals" / "oil.pdf")
    assert main(command) == 2
    assert "nothing could be read (oil.pdf: " in capsys.readouterr().err
    (tmp_path / "manuals" / "oil.txt").write_text("The keeper stores oil.", encoding="utf-8")
    assert main(command) == 3
    (tmp_path / "manuals" / "oil.txt").unlink()
    for options, said in (([], "no document to overwrite"), (["--exclude", "*.pdf"], "no document there")):
        assert main([*command, "--overwrite", *options]) == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
    assert S3Retriever.load(tmp_path / "manuals" / "index", host=host).document_ids == ("oil.txt",)
