"""Settings from options, and how options are declared."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pytest

from s3_retriever.checks import check_settings, each, whole
from s3_retriever.cli.shared import Command, count, required, settings
from s3_retriever.errors import InvalidInputError


@dataclass(frozen=True)
class Config:
    n_rows: int = 3
    row_length: int = 8
    widths: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        check_settings(self, n_rows=whole(1), row_length=whole(1), widths=each(whole(1)))
        if self.n_rows > self.row_length:
            msg = (
                f"Config.row_length of {self.row_length} is too short for n_rows={self.n_rows}, widths aside"
            )
            raise InvalidInputError(msg)


COMMAND = Command(
    "draw",
    "draw rows",
    ("draw a.txt --out pictures",),
    {
        "source TEXT.jsonl": "what to draw",
        "--rows N": "rows",
        "--row-length N": "length",
        "--widths N ...": "widths",
        "--out DIR": required("folder"),
        "--colour NAME": "colour",
        "--copies N": count("copies", default=1),
        "--quick": "draw less",
    },
    lambda _: None,
)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    COMMAND.add_arguments(parser)
    return parser.parse_args(["a.jsonl", "--out", "b", *arguments])


def test_options_are_declared_as_help_shows_them() -> None:
    assert vars(parse()) == {
        "source": Path("a.jsonl"),
        "rows": None,
        "row_length": None,
        "widths": None,
        "out": Path("b"),
        "colour": None,
        "copies": 1,
        "quick": False,
    }
    args = parse("--rows", "2", "--widths", "4", "5", "--colour", "red", "--copies", "7", "--quick")
    assert (args.rows, args.widths, args.colour, args.copies, args.quick) == (2, [4, 5], "red", 7, True)


@pytest.mark.parametrize("arguments", [["--rows", "x"], ["--widths"], ["--copies", "0"], ["--copies", "x"]])
def test_values_of_another_kind_are_usage_errors(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(*arguments)


def test_settings_take_what_is_given_and_the_rest_from_the_base() -> None:
    assert settings(Config, parse(), n_rows="--rows") == Config()
    args = parse("--rows", "2", "--widths", "4")
    assert settings(Config, args, n_rows="--rows") == Config(2, 8, (4,))
    assert settings(Config, args, Config(row_length=5), n_rows="--rows") == Config(2, 5, (4,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "0"], "--rows must be a whole number, 1 or more, not 0"),
        (["--row-length", "0"], "--row-length must be a whole number, 1 or more, not 0"),
        (["--widths", "0"], "--widths must be a list, each a whole number, 1 or more, not (0,)"),
        (
            ["--rows", "9", "--row-length", "8", "--widths", "1"],
            "--row-length of 8 is too short for --rows=9, widths aside",
        ),
    ],
)
def test_messages_name_the_option(arguments: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        settings(Config, parse(*arguments), n_rows="--rows")
    assert str(caught.value) == message
