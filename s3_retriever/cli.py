"""The command line: its commands, and what becomes of errors.

Each sub-command has one function that registers its parser and one that runs it. What a user got wrong
ends with status 2 and one line on stderr. Modules that load torch are imported by the commands that need
them, so that help and usage errors come at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from s3_retriever import (
    __version__,
    cli_analysis,
    cli_calibrate,
    cli_evaluation,
    cli_index,
    cli_interchange,
    cli_needles,
    cli_pairs,
    cli_search,
    cli_training,
)
from s3_retriever.errors import S3RetrieverError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

PROGRAM = "s3-retriever"

_USER_ERROR, _BROKEN_PIPE, _INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit status.

    Raises:
        SystemExit: As argparse does, after help (0) and for arguments that cannot be parsed (2).
    """
    args = _parser().parse_args(argv)
    try:
        args.run(args)
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
    return 0


def _fail(reason: str, status: int) -> int:
    sys.stderr.write(f"{PROGRAM}: error: {' '.join(reason.splitlines())}\n")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Find the passages of documents that a language model would attend to."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for command in _commands():
        command.add_arguments(_parser_of(command, commands))
    return parser


class _Command(NamedTuple):
    """A command: its name, what adds its arguments, what runs it, and what its help says."""

    name: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    summary: str
    examples: tuple[str, ...]


def _commands() -> tuple[_Command, ...]:
    return (
        _Command(
            "index",
            cli_index.add_index,
            cli_index.index,
            "scan documents with the host and write an index",
            ("index corpus.jsonl --out my-index",),
        ),
        _Command(
            "search",
            cli_search.add_search,
            cli_search.search,
            "find the spans that answer a question, or each question of a file",
            (
                'search my-index "How is an index saved?"',
                "search my-index --queries questions.jsonl --token-budget 512 --out run.jsonl",
                'search my-index "How is an index saved?" --where source=a.pdf --top-k 3',
            ),
        ),
        _Command(
            "info",
            cli_index.add_info,
            cli_index.info,
            "say what an index holds and how it was made",
            ("info my-index",),
        ),
        _Command(
            "pairs",
            cli_pairs.add_pairs,
            cli_pairs.pairs,
            "make questions from documents, to calibrate on where nobody has written any",
            ("pairs text.jsonl --out pairs.jsonl",),
        ),
        _Command(
            "calibrate",
            cli_calibrate.add_calibrate,
            cli_calibrate.calibrate,
            "choose a host's heads, or learn how an artifact's ask, from questions with known evidence",
            (
                "calibrate my-model --out my-calibration",
                "calibrate my-artifact --pairs pairs.jsonl --text text.jsonl --out better",
            ),
        ),
        _Command(
            "train",
            cli_training.add_train,
            cli_training.train,
            "choose heads of a host and train their sparse autoencoders",
            ("train --text text.jsonl --out my-artifact",),
        ),
        _Command(
            "fit",
            cli_training.add_fit,
            cli_training.fit,
            "choose a host's heads, learn how they ask and train their sparse autoencoders, all in one",
            ("fit my-model --text text.jsonl --pairs pairs.jsonl --out my-artifact",),
        ),
        _Command(
            "evaluate",
            cli_evaluation.add_evaluate,
            cli_evaluation.evaluate,
            "measure the retriever beside BM25, embedding models and the full context",
            ("evaluate data/eval --quick --out quick", "evaluate my-questions --out mine"),
        ),
        _Command(
            "needles",
            cli_needles.add_needles,
            cli_needles.needles,
            "hide sentences in long texts and measure at which depths they are found",
            (
                "needles --out needles --lengths 2000 8000 --per-depth 4",
                "needles --text book.txt --methods hybrid minilm+bm25 --out needles",
            ),
        ),
        _Command(
            "analyze",
            cli_analysis.add_analyze,
            cli_analysis.analyze,
            "measure how few features a host's keys and values need (STA-Attention)",
            ("analyze --text text.jsonl --out analysis --plots",),
        ),
        _Command(
            "export",
            cli_interchange.add_export,
            cli_interchange.export,
            "write an artifact's sparse autoencoders as folders that SAELens loads",
            ("export fast --format saelens --out saes",),
        ),
        _Command(
            "import",
            cli_interchange.add_import,
            cli_interchange.import_,
            "put sparse autoencoders of SAELens or sparsify in the place of an artifact's",
            ("import saes --into fast --out my-artifact",),
        ),
    )


def _parser_of(command: _Command, commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        command.name,
        help=command.summary,
        description=f"{command.summary[0].upper()}{command.summary[1:]}.",
        epilog="\n  ".join(["example:", *(f"{PROGRAM} {one}" for one in command.examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=command.run)
    return parser
