"""Sets made of Python source: what is asked, what is evidence, what is no longer there to be found."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import load_set
from s3_retriever.evaluation.docstrings import docstring_set, main

BOATS = '''"""Boats of a harbour."""
import functools


class Boat:
    """A boat that is moored here."""

    @functools.cache
    def leave(self, hour):
        """Leave the harbour at the hour that was
        agreed upon. Nobody waits.

        Args:
            hour: Of the day.
        """
        self.hour = hour
        self.rope = None
        return self

    def one_line(self): """Tell nobody that this is on one line."""; return self

    def begins(self): """Tell nobody that this begins on the line of its function."""; \\
        return [
            self,
            self.rope,
        ]

    def ends(self):
        """Tell nobody that something follows on the same line."""; self.rope = 1
        self.hour = 2
        return self

    def only(self):
        """Say to everybody what has nothing but this."""

    def twice(self):
        """Say to everybody what has nothing but this."""
        self.rope = 1
        self.hour = 2
        return self

    def two_lines(self):
        """Do not ask for what has two lines only."""
        self.rope = None
        return self

    def short(self):
        """Too few words."""
        a = 1
        b = 2
        return a + b


async def arrive(boat, pier):
    r"""Tie up a boat \\ at the first free pier."""
    "Grüße – is no docstring."
    pier.boat = boat
    return pier

def ältere(boats, größe="ä"):
    """Return the boats that are older, e.g. those of wood."""
    boats = sorted(boats)
    größe = len(boats)
    return boats[:größe]

def last(boats):
    """Return the boat that arrived after all others"""
    boats = sorted(boats)
    boat = boats[-1]
    return boat'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "harbour"
    (folder / "inner").mkdir(parents=True)
    (folder / "boats.py").write_text(BOATS, encoding="utf-8")
    (folder / "inner" / "copy.py").write_text("# \f a form feed\n\n" + BOATS, encoding="utf-8")
    (folder / "broken.py").write_text("def broken(:\n", encoding="utf-8")
    (folder / "rot.py").write_text("# coding: rot13\n", encoding="utf-8")
    (folder / "deep.py").write_text(f"x = {'-' * 20_000}1\n", encoding="utf-8")
    (folder / "folder.py").mkdir()
    (folder / "notes.txt").write_text("no source", encoding="utf-8")
    (tmp_path / "outside.py").write_text(BOATS.replace("boat", "ship"), encoding="utf-8")
    with contextlib.suppress(OSError):  # no right to make links
        (folder / "link.py").symlink_to(tmp_path / "outside.py")
    return folder


def test_the_evidence_is_the_function_without_its_docstring(source: Path) -> None:
    made = docstring_set(source)
    texts = {one.id: one.text for one in made.documents}
    found = {
        question.text: [(one.doc_id, texts[one.doc_id][one.start : one.end]) for one in question.evidence]
        for question in made.questions
    }
    assert found == {
        "Leave the harbour at the hour that was agreed upon.": [
            (
                "boats.py",
                "    @functools.cache\n    def leave(self, hour):\n        self.hour = hour\n"
                "        self.rope = None\n        return self",
            )
        ],
        "Tie up a boat \\ at the first free pier.": [
            (
                "boats.py",
                'async def arrive(boat, pier):\n    "Grüße – is no docstring."\n'
                "    pier.boat = boat\n    return pier",
            )
        ],
        "Return the boats that are older, e.g. those of wood.": [
            (
                "boats.py",
                'def ältere(boats, größe="ä"):\n    boats = sorted(boats)\n    größe = len(boats)\n'
                "    return boats[:größe]",
            )
        ],
        "Return the boat that arrived after all others": [
            ("boats.py", "def last(boats):\n    boats = sorted(boats)\n    boat = boats[-1]\n    return boat")
        ],
    }
    assert set(texts) == {"boats.py", "inner/copy.py"}
    for text in texts.values():
        assert "agreed upon" not in text
        assert "moored" not in text
        assert "Boats of a harbour." in text
        assert "one line" in text  # without it, nothing would be left of the line


def test_the_same_questions_are_chosen_again(source: Path) -> None:
    some = docstring_set(source, questions=2, seed=3)
    assert docstring_set(source, questions=2, seed=3) == some
    assert len(some.questions) == 2


def test_a_set_is_read_as_it_was_made(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sets" / "harbour"
    assert main([str(source), "--out", str(out)]) == 0
    assert "2 documents, 4 questions" in capsys.readouterr().out
    assert load_set(out) == docstring_set(source)


def test_a_folder_without_questions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInputError, match=r"no function in .* has a docstring"):
        docstring_set(tmp_path)
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert "no function" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--questions", "0"], "questions must be a whole number, 1 or more, not 0"),
        (["--seed", "-1"], "seed must be"),
        (["--out", "file/set"], "file/set"),
    ],
)
def test_what_cannot_be_is_said(
    source: Path,
    tmp_path: Path,
    wrong: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit):
        main([str(source), "--out", "set", *wrong])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
