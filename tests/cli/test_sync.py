"""The command ``sync``, and ``index`` on folders: what they print, their status, and watching."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from cli_set import assert_mistake

from s3_retriever import IndexFormatError, S3Retriever
from s3_retriever.cli.main import main
from s3_retriever.saved import read_saved

PATIENCE = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.txt", "b.md", "c.py"):
        (folder / name).write_text(f"The text of {name}.", encoding="utf-8")
    return folder


@pytest.fixture
def options(indexed: Path) -> list[str]:
    return ["--host", str(indexed / "host"), "--artifact", str(indexed / "artifact"), "--no-progress"]


@pytest.mark.long
def test_sync_says_what_it_did_and_lists_what_it_could_not_read(
    folder: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    index = folder / "index"  # inside: it is no part of the corpus
    assert main(["sync", str(folder), str(index), *options]) == 0
    added = "added    a.txt\nadded    b.md\nadded    c.py\n"
    assert capsys.readouterr().out == f"{added}3 added, 0 changed, 0 deleted, 0 unchanged\n"
    (folder / "a.txt").write_text("Other words.", encoding="utf-8")
    (folder / "b.md").unlink()
    (folder / "d\x1b[8m.txt").write_text("New.", encoding="utf-8")
    (folder / "e.pdf").write_bytes(b"no PDF")
    (folder / "f.txt").touch()
    assert main(["sync", str(folder), str(index), *options]) == 3
    out, err = capsys.readouterr()
    assert out == (
        "added    d\\x1b[8m.txt\nchanged  a.txt\ndeleted  b.md\n1 added, 1 changed, 1 deleted, 1 unchanged\n"
    )
    assert err == "could not be read: 2\n  f.txt: it is empty\n  e.pdf: it is no PDF\n"
    assert main(["index", str(folder), "--out", str(index), *options]) == 3
    assert capsys.readouterr().out == "0 added, 0 changed, 0 deleted, 3 unchanged\n"
    before = read_saved(index)[0].document_ids
    (folder / "c.py").unlink()
    status = main(["sync", str(folder), str(index), *options, "--strict"])
    assert_mistake(status, capsys.readouterr().err, "f.txt: it is empty")
    assert read_saved(index)[0].document_ids == before


@pytest.mark.long
def test_where_nothing_can_be_read_there_is_one_error_and_no_index(
    folder: Path, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index"
    for path in folder.iterdir():
        path.unlink()
    for command in (["index", str(folder), "--out", str(out)], ["sync", str(folder), str(out)]):
        status = main([*command, *options])
        assert_mistake(status, capsys.readouterr().err, "folder: no document there; give a folder or files")
        (folder / "only.pdf").write_bytes(b"no PDF")
        status = main([*command, *options])
        assert_mistake(status, capsys.readouterr().err, "nothing could be read (only.pdf: it is no PDF)")
        (folder / "only.pdf").unlink()
        assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--encoding", "latin-nine"], "--encoding must be one that Python knows"),
        (["--max-mb", "0"], "--max-mb: must be a whole number, 1 or more"),
        (["--commit-every", "often"], "--commit-every: must be a whole number, 1 or more"),
        (["--bm25", "other"], "--bm25: invalid choice"),
    ],
)
def test_a_wrong_option_is_named(
    arguments: list[str], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["sync", str(folder), str(tmp_path / "index"), *arguments])
    except SystemExit as error:
        status = error.code  # type: ignore[assignment]
    assert_mistake(status, capsys.readouterr().err, said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workers", "2"], "--workers goes with --ray"),
        (["--gpus", "0"], "--gpus goes with --ray"),
        (["--mode", "upsert"], "--mode goes with --ray"),
        (["--format", "jsonl"], "--format goes with --ray"),
        (["--checkpoint", "there"], "--checkpoint goes with --ray"),
        (["--ray", "--commit-every", "5"], "--commit-every does not go with --ray"),
        (["--ray", "--overwrite", "--mode", "upsert"], "--overwrite does not go with --mode upsert"),
    ],
)
def test_options_that_do_not_go_together_are_named(
    arguments: list[str], said: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "index"
    assert_mistake(main(["index", str(folder), "--out", str(out), *arguments]), capsys.readouterr().err, said)
    assert not out.exists()


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_watch_follows_the_folder_until_it_is_interrupted(
    folder: Path, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "index"
    child = os.fork()
    if not child:
        status = 99
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            status = main(["sync", str(folder), str(out), "--watch", *options])
        finally:
            os._exit(status)
    try:
        wait_for(out, {"a.txt", "b.md", "c.py"})
        (folder / "d.txt").write_text("A new text.", encoding="utf-8")
        (folder / "a.txt").unlink()
        (folder / ".hidden").write_text("no", encoding="utf-8")
        wait_for(out, {"b.md", "c.py", "d.txt"})
        (folder / "deeper").mkdir()
        (folder / "deeper" / "e.txt").write_text("Another one.", encoding="utf-8")
        wait_for(out, {"b.md", "c.py", "d.txt", "deeper/e.txt"})
    finally:
        os.kill(child, signal.SIGINT)
        _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0


def wait_for(index: Path, ids: set[str]) -> None:
    found: set[str] = set()
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = ids_of(index)
        if found == ids:
            return
        time.sleep(0.1)
    pytest.fail(f"{sorted(found)} instead of {sorted(ids)} after {PATIENCE:.0f} s")


def ids_of(index: Path) -> set[str]:
    try:
        return set(read_saved(index)[0].document_ids)
    except IndexFormatError:
        return set()


@pytest.mark.long
def test_an_interrupt_says_how_to_go_on(
    folder: Path,
    tmp_path: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save = S3Retriever.save

    def then_interrupt(retriever: S3Retriever, path: Path) -> None:
        save(retriever, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(S3Retriever, "save", then_interrupt)
    assert main(["index", str(folder), "--out", str(tmp_path / "index"), *options]) == 130
    assert capsys.readouterr().err == (
        "the same command again goes on from what was saved\ns3-retriever: error: interrupted\n"
    )
