"""Sets of made-up records: the same ones in each form, and where each stands."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.datasets import load_sets
from s3_retriever.evaluation.lookups import FORMS, WAYS, lookup_set, main


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("by", WAYS)
def test_the_evidence_of_a_question_is_the_record_that_it_names(form: str, by: str) -> None:
    as_json, made = (lookup_set(one, by, rows=20, questions=15) for one in ("json", form))
    documents = ({one.id: one.text for one in of.documents} for of in (as_json, made))
    values, texts = documents
    assert [one.text for one in made.questions] == [one.text for one in as_json.questions]
    assert len(made.questions) == 15
    for written, told in zip(as_json.questions, made.questions, strict=True):
        ((doc_id, start, end),) = written.evidence
        record = json.loads(values[doc_id][start:end])
        ((doc_id, start, end),) = told.evidence
        passage = texts[doc_id][start:end]
        assert all(value in passage for value in record.values())
        number = next(iter(record.values()))
        assert passage.count(number) == texts[doc_id].count(number) == 1
        assert (number in told.text) == (by == "number")
        if by == "content":
            assert sum(value in told.text for value in record.values()) >= 2


def test_both_ways_ask_for_the_same_records_by_other_questions() -> None:
    by_number, by_content = (lookup_set("csv", by, rows=20) for by in WAYS)
    assert by_number.documents == by_content.documents
    asked = ([one.evidence for one in made.questions] for made in (by_number, by_content))
    assert next(asked) != next(asked)


def test_rows_of_csv_are_those_of_a_reader() -> None:
    text = next(one.text for one in lookup_set("csv", "number", rows=5).documents if one.id == "parts")
    table = text.partition("\n\n")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = list(csv.DictReader(io.StringIO(table)))
    assert len(rows) == 5
    assert all(row["Part number"][3] == "-" and float(row["List price"]) > 0 for row in rows)


def test_sets_are_read_as_they_were_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--out", str(tmp_path), "--forms", "csv", "prose", "--rows", "9", "--questions", "7"]
    assert main(given) == 0
    assert "2 sets by number and 2 by content" in capsys.readouterr().out
    for by in WAYS:
        made = {one.name: one for one in load_sets(tmp_path / f"by-{by}")}
        assert made == {
            f"{form}-by-{by}": lookup_set(form, by, rows=9, questions=7) for form in ("csv", "prose")
        }
    for seed in (0, 1):
        assert (lookup_set("csv", "number", seed=seed) == lookup_set("csv", "number")) == (seed == 0)


def test_what_cannot_be_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInputError, match=r"form must be one of 'pipes', .*, not 'xml'"):
        lookup_set("xml", "number")
    with pytest.raises(InvalidInputError, match="by must be one of 'number', 'content', not 'name'"):
        lookup_set("csv", "name")
    for wrong, said in (
        (["--rows", "0"], "rows must be a whole number, 1 or more"),
        (["--seed", "-1"], "seed"),
    ):
        with pytest.raises(SystemExit):
            main(["--out", str(tmp_path / "set"), *wrong])
        assert said in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
