"""The index on disk."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_corpus import LAYOUT, build, question, scan

from s3_retriever.documents import Document
from s3_retriever.errors import IndexBusyError, IndexChangedError, IndexFormatError, InvalidInputError
from s3_retriever.index import Index, Layout, SegmentBuilder
from s3_retriever.search import kernels
from s3_retriever.workplace import LOCK

HEADER = {"host": "tiny", "revision": None, "nested": [1, 0.1]}


@pytest.fixture
def saved(tmp_path):
    index = Index(LAYOUT, HEADER)
    index.add(build([scan("a", 70, 1), scan("b", 0, 2), scan("c", 400, 3)]))
    index.add(build([scan("d", 200, 4)]))
    index.delete(["a"])
    index.save(tmp_path / "index")
    return tmp_path / "index", index


def segments_in(path):
    return sorted(entry.name for entry in (path / "segments").iterdir())


def test_round_trip_answers_the_same(saved):
    path, index = saved
    loaded = Index.load(path)
    assert loaded.header == HEADER
    assert loaded.layout == LAYOUT
    assert list(loaded.snapshot) == list(index.snapshot)
    features, weights = question(1, 0)
    np.testing.assert_array_equal(
        kernels.cell_masses(loaded.snapshot.parts, 1, features, weights),
        kernels.cell_masses(index.snapshot.parts, 1, features, weights),
    )
    np.testing.assert_array_equal(loaded.snapshot.frequencies(1), index.snapshot.frequencies(1))


@pytest.mark.long
def test_a_loaded_index_changes_and_saves_to_its_own_folder(saved):
    path, _ = saved
    kept = segments_in(path)
    times = {name: (path / "segments" / name).stat().st_mtime_ns for name in kept}
    index = Index.load(path)
    index.delete(["c"])
    index.add(build([scan("e", 64, 5)]))
    index.save(path)
    assert {name: (path / "segments" / name).stat().st_mtime_ns for name in kept} == times  # not rewritten
    again = Index.load(path)
    assert again.document_ids == ("b", "d", "e")
    again.merge()
    again.save(path)
    assert len(segments_in(path)) == 1
    assert list(Index.load(path).snapshot) == list(index.snapshot)
    assert again.snapshot.document(1).text == "a " * 200  # the files it was read from are gone


def test_an_empty_index_round_trips(tmp_path):
    Index(LAYOUT, {}).save(tmp_path / "a" / "b")
    assert len(Index.load(tmp_path / "a" / "b")) == 0


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=()), max_size=30),
    doc_id=st.text(st.characters(exclude_categories=()), min_size=1, max_size=8),
)
def test_any_text_survives(tmp_path_factory, text, doc_id):
    texts = {doc_id: text, f"{doc_id}2": "\ud83d\ude00 is not \U0001f600\x00\r\n\u2028", f"{doc_id}3": ""}
    index = Index(LAYOUT, {})
    index.add(build([scan(key, 3, 0, value) for key, value in texts.items()]))
    path = tmp_path_factory.mktemp("text")
    index.save(path)
    assert {doc.id: doc.text for doc in Index.load(path).snapshot} == texts


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.long
@settings(max_examples=50, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=()), max_size=30),
    title=st.text(st.characters(exclude_categories=()), max_size=8),
    metadata=st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=3),
)
def test_documents_in_memory_are_those_given(text, title, metadata):
    odd = {
        "text": "\ud83d\ude00 is not \U0001f600\x00\r\n\u2028",
        "title": "\udfff",
        "漢字": ["\x00", {"": -0.5}],
    }
    given_ = [
        Document("a", text, title, metadata),
        Document("b", "", metadata={"none": None}),
        Document("漢字\ud800", odd["text"], odd["title"], odd),
    ]
    segment = build([replace(scan("x", 3, 0), document=one) for one in given_])
    assert [segment.documents[i] for i in range(3)] == given_
    index = Index(LAYOUT, {})
    index.add(segment)
    index.add(build([scan("c", 3, 0)]))
    index.delete(["a"])
    index.merge()
    assert list(index.snapshot)[:2] == given_[1:]


def test_what_json_changes_is_the_same_before_and_after_a_save(tmp_path):
    metadata = {"pair": (1, 2), 3: "key", "nested": {"tuple": ((),), None: True}}
    index = Index(LAYOUT, {})
    index.add(build([replace(scan("x", 3, 0), document=Document("a", "text", metadata=metadata))]))
    index.save(tmp_path)
    (before,), (after,) = index.snapshot, Index.load(tmp_path).snapshot
    assert before == after
    assert before.metadata == {"pair": [1, 2], "3": "key", "nested": {"tuple": [[]], "null": True}}
    metadata["pair"] = None
    assert index.snapshot.document(0) == before  # what was given is the caller's, to change as he likes


def test_one_character_does_not_widen_a_text_in_memory():
    n, copies = 100_000, 20
    builder = SegmentBuilder(LAYOUT)
    tracemalloc.start()
    try:
        for number in range(copies):
            builder.begin(Document(str(number), f"{number:09}\U0001f600".rjust(n)))  # 4 n bytes as str
            builder.end()
        waiting = tracemalloc.get_traced_memory()[0]
        segment = builder.build()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(segment.documents[0].text) == n
    assert waiting < 0.6 * n * copies  # what is large waits on disk
    assert held < 1.1 * n * copies + 1e6


def every_file(path):
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != LOCK)


@pytest.mark.long
def test_damage_is_named(saved):
    path, _ = saved
    for file in every_file(path):
        content = file.read_bytes()
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        for damaged in (content[:-3], flipped, None):
            file.unlink()
            if damaged is not None:
                file.write_bytes(damaged)
            with pytest.raises(IndexFormatError) as caught:
                Index.load(path)
            assert file.name in str(caught.value)
            file.write_bytes(content)
    assert len(Index.load(path)) == 3


def damages(file):
    """Make a file missing, altered and cut, one after the other."""
    content = file.read_bytes()
    for damaged in (None, bytes([content[0] ^ 1]) + content[1:], content[:-1]):
        file.unlink()
        if damaged is not None:
            file.write_bytes(damaged)
        yield


@pytest.mark.long
def test_a_save_over_a_damaged_copy_mends_it(saved):
    """Segments that are there already are looked at before they are used again."""
    path, index = saved
    files = [file for file in every_file(path) if file.parent.name == segments_in(path)[0]]
    assert len(files) == 2
    for file in files:
        for _ in damages(file):
            index.save(path)
            assert Index.load(path).document_ids == index.document_ids
    file.unlink()
    assert "documents.jsonl" in {file.name for file in files}
    file.symlink_to(path / "manifest.json")
    index.save(path)
    assert not file.is_symlink()


@pytest.mark.long
def test_what_was_loaded_from_files_that_were_damaged_is_not_written_again(saved):
    """What is mapped from a file changes with it; new hashes would call the damage sound."""
    path, _ = saved
    index = Index.load(path)
    file = path / "segments" / index.snapshot.parts[0].segment.name / "documents.jsonl"
    original = file.read_bytes()
    for damaged in (original[:-1] + bytes([original[-1] ^ 1]), original[: len(original) // 2]):
        file.write_bytes(damaged)  # the very file that is mapped
        for target in (path, path.with_name("elsewhere")):
            if target == path or len(damaged) < len(original):
                with pytest.raises(IndexFormatError, match=f"{file.parent.name} was damaged.*restore it"):
                    index.save(target)
        with pytest.raises(IndexFormatError):
            Index.load(path)
        file.write_bytes(original)
    file.unlink()  # what is mapped stays
    index.save(path)
    assert Index.load(path).document_ids == index.document_ids


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_in_an_index_of_a_stranger_lead_nowhere(saved, tmp_path):
    path, index = saved
    outside = tmp_path / "outside"
    (path / "segments").rename(outside)
    before = every_file(outside)
    (path / "segments").symlink_to(outside)
    with pytest.raises(InvalidInputError, match="segments is a symbolic link"):
        index.save(path)
    assert every_file(outside) == before
    assert Index.load(path).document_ids == index.document_ids  # to read is no harm
    (path / "segments").unlink()
    (path / "segments").mkdir()
    name = before[0].parent.name
    (path / "segments" / name).symlink_to(outside / name)
    (path / "segments" / ("0" * 16)).symlink_to(outside)  # no segment of this index: to be removed
    (path / "manifest.json.tmp").symlink_to(outside / "tmp")
    index.save(path)
    assert every_file(outside) == before
    assert not (path / "segments" / name).is_symlink()
    assert segments_in(path) == sorted(part.segment.name for part in index.snapshot.parts)
    assert Index.load(path).document_ids == index.document_ids


def test_what_killed_saves_left_is_gone_before_anything_is_written(saved, monkeypatch):
    from s3_retriever.index import storage

    path, index = saved
    kept = sorted(entry.name for entry in path.iterdir()), segments_in(path)
    left = [path / ".manifest.json.123.tmp", path / ".manifest.json-0123456789abcdef.tmp" / "new"]
    left += [path / "segments" / name for name in (".0123456789abcdef-x", "f" * 16)]
    for entry in left:
        entry.parent.mkdir(exist_ok=True)
        entry.touch() if entry.name.endswith(".tmp") else entry.mkdir()
    write, seen = storage._write, []
    monkeypatch.setattr(storage, "_write", lambda *given: seen.extend(every_file(path)) or write(*given))
    index.save(path)
    assert len(seen) == len(every_file(path))
    assert kept == (sorted(entry.name for entry in path.iterdir()), segments_in(path))


def forge(path, change):
    """Rewrite the manifest with a valid checksum, as an attacker or another release would."""
    from s3_retriever.index import storage

    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    change(manifest["content"])
    storage._write_manifest(path, manifest["content"])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["segments"][0].update(name="../../etc"),
        lambda content: content["segments"][0]["files"].update({"../x": {}}),
        lambda content: content["segments"][0].update(deleted=[99]),
        lambda content: content["layout"].update(n_features=[4, 4]),
        lambda content: content.pop("layout"),
    ],
)
def test_forged_manifests_are_refused(saved, change):
    path, _ = saved
    forge(path, change)
    with pytest.raises(IndexFormatError):
        Index.load(path)


@pytest.mark.parametrize("version", [1, 7, 9])
def test_other_versions_are_refused(saved, version):
    path, index = saved
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    (path / "manifest.json").write_text(json.dumps(manifest | {"version": version}), encoding="utf-8")
    for touch in (Index.load, index.save):
        with pytest.raises(IndexFormatError, match=f"version {version},.* index the") as caught:
            touch(path)
        assert "\n" not in str(caught.value)


def test_foreign_folders_are_left_alone(tmp_path):
    index = Index(LAYOUT, {})
    with pytest.raises(IndexFormatError, match=r"manifest\.json"):
        Index.load(tmp_path / "nothing")
    (tmp_path / "segments").mkdir()
    thesis = tmp_path / "segments" / "thesis.txt"
    thesis.write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"thesis\.txt"):
        index.save(tmp_path)
    with pytest.raises(InvalidInputError, match="is a file"):
        index.save(thesis)
    (tmp_path / "manifest.json").write_text('{"name": "a web app"}', encoding="utf-8")
    with pytest.raises(IndexFormatError, match="not the manifest"):
        index.save(tmp_path)
    assert thesis.read_text(encoding="utf-8") == "mine"


SAVE_AND_DIE = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from index_corpus import build, scan
from s3_retriever.index import Index

index = Index.load(sys.argv[2])
index.delete(["d"])
index.add(build([scan("e", 64, 5)]))
calls, fsync = 0, os.fsync
def die_at(descriptor):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = die_at
index.save(sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.long
def test_a_killed_save_leaves_the_old_index(saved):
    """Killed while it writes a segment, then killed while it writes the manifest, then left to finish."""
    path, index = saved
    command = [sys.executable, "-c", SAVE_AND_DIE, str(Path(__file__).parents[1]), str(path)]
    for fsync in (2, 3):
        result = subprocess.run([*command, str(fsync)], check=False, capture_output=True, text=True)  # noqa: S603
        assert result.returncode == -9, result.stderr
        assert Index.load(path).document_ids == index.document_ids
        assert len(segments_in(path)) > 2  # it did get that far
    subprocess.run([*command, "0"], check=True)  # noqa: S603
    assert Index.load(path).document_ids == ("b", "c", "e")
    assert len(segments_in(path)) == 2  # the litter of both is gone
    assert sorted(entry.name for entry in path.iterdir()) == [".lock", "manifest.json", "segments"]


def test_a_first_save_that_was_killed_can_be_repeated(tmp_path):
    (tmp_path / "segments" / ".0123456789abcdef-x").mkdir(parents=True)
    Index(LAYOUT, {}).save(tmp_path)
    assert segments_in(tmp_path) == []


SAVE_AND_WAIT = """
import os, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from index_corpus import build, scan
from s3_retriever.index import Index

index = Index.load(sys.argv[2])
index.add(build([scan("theirs", 64, 5)]))
fsync = os.fsync
def wait(descriptor):
    os.fsync = fsync
    print("saving", flush=True)
    sys.stdin.readline()
    fsync(descriptor)
os.fsync = wait
index.save(sys.argv[2])
"""


@pytest.mark.long
def test_of_two_processes_that_save_at_a_time_one_is_told_to_wait(saved):
    path, _ = saved
    ours = Index.load(path)
    ours.add(build([scan("ours", 40, 6)]))
    command = [sys.executable, "-c", SAVE_AND_WAIT, str(Path(__file__).parents[1]), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:  # noqa: S603
        assert other.stdout.readline() == "saving\n"
        before = every_file(path)
        with pytest.raises(IndexBusyError, match=f"{re.escape(str(path))}.*save again"):
            ours.save(path)
        assert every_file(path) == before
        other.communicate("\n")
    assert other.returncode == 0
    assert Index.load(path).document_ids == ("b", "c", "d", "theirs")
    before = every_file(path)
    with pytest.raises(IndexChangedError, match=f"{re.escape(str(path))}.*repeat your changes"):
        ours.save(path)
    assert every_file(path) == before
    again = Index.load(path)
    again.add(build([scan("ours", 40, 6)]))
    again.save(path)
    assert Index.load(path).document_ids == ("b", "c", "d", "theirs", "ours")
    assert len(segments_in(path)) == len(again.snapshot.parts)


CHANGES = ["add", "delete", "merge", "save"]


@pytest.mark.long
@given(st.lists(st.tuples(st.sampled_from(CHANGES), st.integers(0, 2)), max_size=12))
@settings(max_examples=25)
def test_no_save_erases_what_another_saved(tmp_path_factory, steps):
    """Three copies of an index change and save by turns; one that is behind has to load again."""
    path = tmp_path_factory.mktemp("shared")
    manifest = path / "manifest.json"
    Index(LAYOUT, {}).save(path)
    copies, saved = [Index.load(path) for _ in range(3)], ()
    known = [manifest.read_bytes()] * 3
    for number, (step, who) in enumerate(steps):
        copy = copies[who]
        if step == "add":
            copy.add(build([scan(f"{number}", 40, number)]))
        elif step == "delete":
            copy.delete(copy.document_ids[:1])
        elif step == "merge":
            copy.merge()
        elif known[who] == manifest.read_bytes():
            copy.save(path)
            saved = copy.document_ids
            known[who] = manifest.read_bytes()
        else:
            with pytest.raises(IndexChangedError):
                copy.save(path)
            copies[who] = Index.load(path)
            known[who] = manifest.read_bytes()
        assert Index.load(path).document_ids == saved


def test_an_index_made_from_scratch_replaces_any_other(saved, tmp_path):
    path, index = saved
    new = Index(LAYOUT, {})
    new.add(build([scan("new", 40, 6)]))
    new.save(path)
    assert Index.load(path).document_ids == ("new",)
    new.save(path)  # its own
    index.save(tmp_path / "elsewhere")
    assert Index.load(tmp_path / "elsewhere").document_ids == index.document_ids


SAVE_OFTEN = """
import sys
sys.path[:0] = [sys.argv[1]]
from index_corpus import build, scan
from s3_retriever.index import Index

index = Index.load(sys.argv[2])
for version in range(int(sys.argv[3])):
    index.delete(index.document_ids)
    index.add(build([scan(f"{version}-{n}", 40, n) for n in range(3)]))
    index.merge()
    index.save(sys.argv[2])
    print(version, flush=True)
"""


@pytest.mark.long
def test_what_another_process_saves_meanwhile_does_not_break_a_load(saved):
    """Each save removes all segments that the manifest before named, also while they are read."""
    path, index = saved
    first = index.document_ids
    loads = 0
    command = [sys.executable, "-c", SAVE_OFTEN, str(Path(__file__).parents[1]), str(path), "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:  # noqa: S603
        other.stdout.readline()
        while other.poll() is None:
            ids = Index.load(path).document_ids
            assert ids == first or len({doc_id.partition("-")[0] for doc_id in ids}) == 1 == len(ids) // 3
            loads += 1
    assert other.returncode == 0
    assert loads > 5


def test_bytes_per_token(tmp_path):
    layout = Layout(tuple("abcd"), (1024,) * 4, (7,) * 4)
    rng = np.random.default_rng(0)
    builder = SegmentBuilder(layout)
    n, documents = 2_000, 40
    features = [(rng.integers(0, 1024, (n, 1)) + np.arange(7)) % 1024 for _ in range(4)]
    for number in range(documents):
        builder.begin(Document(f"document {number}", "x" * 3 * n))
        builder.add(np.arange(n) * 3, np.arange(n), features, [np.ones((n, 7), np.float32)] * 4)
        builder.end()
    index = Index(layout, {})
    index.add(builder.build())
    index.save(tmp_path)
    size = sum(file.stat().st_size for file in every_file(tmp_path) if file.name != "documents.jsonl")
    assert size <= (1.75 * sum(layout.k) + 4.5) * n * documents
