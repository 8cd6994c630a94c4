"""What commands have in common: their record, options said once, settings from options, what is printed."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from s3_retriever.cluster.config import OF_RAY, host_and_port
from s3_retriever.errors import InvalidInputError, UnknownKeyWarning
from s3_retriever.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console

    from s3_retriever import Artifact, RetrieverConfig

PROGRAM = "s3-retriever"

Option = str | Mapping[str, Any]
"""What help says of an option, or all that ``add_argument`` takes."""

Options = Mapping[str, Option]
"""Options, each under what help shows of it; see :class:`Command`."""

_PATH = re.compile(r"(DIR|FILE|\.[a-z]+)$")
_WIDTH = 200  # of tables, where the output is not a terminal
_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Command:
    """A command, as its module offers it to the command line.

    An option is written as help shows it, such as ``"--budgets N ..."``. A name alone is a flag. N stands for
    a whole number; DIR, FILE and names with an ending stand for paths; anything else stands for text. Dots
    allow several values.

    Attributes:
        name: What users type.
        summary: What it does; begins in lower case, for the list of commands.
        examples: Command lines for its help, without the name of the program.
        options: Its options, in the order of its help.
        run: Runs it with what was parsed; returns the exit status, None for 0.
    """

    name: str
    summary: str
    examples: tuple[str, ...]
    options: Options
    run: Callable[[argparse.Namespace], int | None]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options to the command's parser."""
        for usage, option in self.options.items():
            name, _, values = usage.partition(" ")
            given = {"help": option} if isinstance(option, str) else option
            what: dict[str, Any] = {}
            if values:
                metavar = values.removesuffix(" ...")
                kind: Callable[[str], Any] = int if metavar == "N" else Path if _PATH.search(metavar) else str
                if _PATH.search(metavar) or metavar.endswith("PATH"):
                    kind = partial(_not_empty, kind)
                what = {"metavar": metavar, "type": kind, "nargs": None if values == metavar else "+"}
            elif isinstance(option, str):
                what = {"action": "store_true"}
            parser.add_argument(name, **{**what, **given})


def _not_empty(kind: Callable[[str], Any], text: str) -> Any:
    """Parse a path; an empty one, which a shell makes of an unset variable, would be the working folder."""
    if not text:
        msg = "is empty; give a path, such as . for the working folder"
        raise argparse.ArgumentTypeError(msg)
    return kind(text)


def required(words: str) -> dict[str, Any]:
    """Return an option that must be given, with its help."""
    return {"required": True, "help": words}


def count(words: str, *, least: int = 1, **more: Any) -> dict[str, Any]:
    """Return an option that takes a whole number, ``least`` or more; ``more`` is for ``add_argument``."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            msg = f"must be a whole number, {least} or more, not {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return {"type": parse, "help": words, **more}


def address(words: str) -> dict[str, Any]:
    """Return an option that takes the address of a cluster, or none; its help begins with ``words``."""

    def parse(text: str) -> str:
        try:
            if text not in OF_RAY:
                host_and_port(text)
        except ValueError as error:
            msg = f"{text!r} is no address ({error}); write paths before --ray, or --ray=local"
            raise argparse.ArgumentTypeError(msg) from error
        return text

    where = "the Ray cluster at ADDRESS, on one that is found (auto), or on a new one of this machine"
    words = f"{words} {where} (local, which may be left out)"
    return {"nargs": "?", "const": "local", "type": parse, "help": words}


class OldName(argparse.Action):
    """The former name of an option, kept for one release; its ``metavar`` is the new name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        used: str | None = None,
    ) -> None:
        """Store the value, and say what to use instead."""
        note(f"{PROGRAM}: warning: {used} is deprecated and ends with the next release: use {self.metavar}")
        setattr(namespace, self.dest, values)


_HOST = "language model: hub name or folder; the default host if omitted"
_COMMON: dict[str, tuple[str, Option]] = {
    "host": ("HOST", {"nargs": "?", "help": _HOST}),
    "--host": ("NAME_OR_PATH", _HOST),
    "--artifact": (
        "ARTIFACT",
        {"default": "fast", "help": "tiny, fast, best, or a folder (default: %(default)s)"},
    ),
    "--name": ("NAME", "name of what is made (default: that of the folder)"),
    "--text": ("TEXT.jsonl", required("a document per line: {_id, text}; the id may be left out")),
    "--epochs": ("N", "times every pair is seen (default: 3)"),
    "--seed": ("N", {"default": 0, "help": "number that fixes what is random (default: %(default)s)"}),
    "--no-progress": ("", "show no progress bar"),
}


def common(*names: str) -> Options:
    """Return options that several commands have, in the same words."""
    return {f"{name} {_COMMON[name][0]}".rstrip(): _COMMON[name][1] for name in names}


def settings(
    kind: type[_Settings],
    args: argparse.Namespace,
    base: _Settings | None = None,
    *,
    names: Iterable[str] | None = None,
    **options: str,
) -> _Settings:
    """Make settings of the options given.

    Args:
        kind: A dataclass; its own checks say what is wrong.
        args: Options; None means that one was not given.
        base: Settings for what was not given; the defaults of ``kind`` if None.
        names: Fields that options of the same name set; all fields if None.
        options: The options of fields with another name: ``n_taps="--taps"``.

    Raises:
        InvalidInputError: A value cannot be used; names the option.
    """
    if names is None:
        names = (field.name for field in fields(kind))  # type: ignore[arg-type]
    options = {name: f"--{name.replace('_', '-')}" for name in names} | options
    values = {name: getattr(args, one.lstrip("-").replace("-", "_"), None) for name, one in options.items()}
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if value is not None
    }
    try:
        return replace(base or kind(), **given)  # type: ignore[type-var]
    except InvalidInputError as error:
        text = str(error)
        for name in given:
            # A name without an underscore may be a mere word, but not where the message begins.
            place = r"\b" if "_" in name else "^"
            text = re.sub(rf"{place}(?:{kind.__name__}\.)?{name}\b", options[name], text)
        raise InvalidInputError(text) from error


def check_made_with(
    args: argparse.Namespace, artifact: Artifact, config: RetrieverConfig, out: Path | str
) -> None:
    """Refuse options for new indexes that differ from what an index was made with.

    Raises:
        InvalidInputError: Names the option.
    """
    from s3_retriever import Artifact

    wanted = Artifact.load(args.artifact).quantized().digest if args.artifact else None
    for option, given, found in (("--artifact", wanted, artifact.digest), ("--bm25", args.bm25, config.bm25)):
        if given not in (None, found):
            msg = f"{out} was made with another {option}; leave it out, or make a new one: index --overwrite"
            raise InvalidInputError(msg)


def note(text: str) -> None:
    """Print a note to standard error."""
    sys.stderr.write(f"{printable(text, lines=True)}\n")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as notes, without the line of code they come from, and one of an unknown key once."""
    with warnings.catch_warnings():
        warnings.simplefilter("once", UnknownKeyWarning)
        warnings.showwarning = lambda message, *_, **__: note(f"{PROGRAM}: {message}")
        yield


def say(text: str) -> None:
    """Write a line to standard output, at once."""
    sys.stdout.write(f"{printable(text, lines=True)}\n")
    sys.stdout.flush()


def say_written(out: Path, started: float) -> None:
    """Say where the results are and what they took, in seconds since ``started`` and in memory."""
    say(f"wrote {out} after {time.perf_counter() - started:.0f} s, {peak()}")


def peak() -> str:
    """Say how much memory this process took at most."""
    from s3_retriever.memory import peak_bytes

    return f"peak memory {peak_bytes() / 1e6:,.0f} MB"


def shows_progress(args: argparse.Namespace) -> bool:
    """Whether to show progress bars: somebody is there to see them, and did not refuse them."""
    return sys.stderr.isatty() and not args.no_progress


def console() -> Console:
    """Return where tables go, as wide as they need where that is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH)
