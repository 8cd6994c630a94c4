"""The command line: its commands, and what becomes of errors.

What a user got wrong ends with status 2 and one line on stderr. Modules that load torch are imported by the
commands that need them, so that help and usage errors come at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from s3_retriever import __version__
from s3_retriever.cli import artifacts, evaluation, host, index, saes, search, serve
from s3_retriever.cli.shared import PROGRAM, note
from s3_retriever.errors import S3RetrieverError
from s3_retriever.terminal import printable

COMMANDS = (
    index.INDEX,
    index.SYNC,
    search.SEARCH,
    serve.SERVE,
    serve.MCP,
    index.INFO,
    host.HOST,
    artifacts.PAIRS,
    artifacts.CALIBRATE,
    artifacts.TRAIN,
    artifacts.FIT,
    evaluation.EVALUATE,
    evaluation.NEEDLES,
    saes.ANALYZE,
    saes.EXPORT,
    saes.IMPORT,
)

_MISSING = "the following arguments are required: "  # as argparse begins its message
_USER_ERROR, _BROKEN_PIPE, _INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Raises:
        SystemExit: As argparse does, after help (0) and for arguments that cannot be parsed (2).
    """
    _open_closed()
    args = _parser().parse_args(argv)
    if args.verbose:
        logging.basicConfig(format="%(name)s: %(message)s", level=logging.INFO)
    try:
        status = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not fail again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)
    except S3RetrieverError as error:
        return _fail(str(error), _USER_ERROR)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), _USER_ERROR)
    return status or 0


def _open_closed() -> None:
    """Open standard streams that are closed, to nowhere; or the next file would get the number of one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def _fail(reason: str, status: int) -> int:
    note(f"{PROGRAM}: error: {printable(' '.join(reason.splitlines()))}")
    return status


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and where help is."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, and keep what was given, for messages."""
        self._given = sys.argv[1:] if args is None else args
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End with one line; where an option took what is missing, it says so."""
        missing = message.removeprefix(_MISSING).split(", ")[0]
        taker = next((one for one in map(self._taker, self._given) if one), None)
        if message.startswith(_MISSING) and not missing.startswith("-") and taker:
            message = f"{message}; {taker} took all that follows: write {missing} before it"
        self.exit(_USER_ERROR, f"{PROGRAM}: error: {printable(message)} (see {self.prog} --help)\n")

    def _taker(self, given: str) -> str | None:
        """Return the option that an argument names, or begins to name, if it takes any number of values."""
        several = (one.option_strings for one in self._actions if one.nargs in ("+", "*"))
        names = (names[-1] for names in several if names)
        return next((name for name in names if len(given) > len("--") and name.startswith(given)), None)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM, description="Find the passages of documents that a language model would attend to."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in COMMANDS:
        one = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog="\n  ".join(["example:", *(f"{PROGRAM} {line}" for line in command.examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(one)
        one.add_argument("--verbose", action="store_true", help="say on standard error what is done")
        one.set_defaults(run=command.run)
    return parser
