"""The command line: index documents, search them, say what an index holds.

Each sub-command has one function that registers its parser and one that runs it. What a user got wrong
ends with status 2 and one line on stderr. Modules that load torch are imported by the commands that need
them, so that help and usage errors come at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from s3_retriever import (
    __version__,
    cli_analysis,
    cli_calibrate,
    cli_evaluation,
    cli_interchange,
    cli_pairs,
    cli_training,
)
from s3_retriever.errors import InvalidInputError, S3RetrieverError
from s3_retriever.files import new_file, new_folder, read_corpus, read_lines

if TYPE_CHECKING:
    from rich.text import Text

    from s3_retriever.documents import Explanation, Span
    from s3_retriever.retriever import S3Retriever
    from s3_retriever.search.filters import Filter

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

PROGRAM = "s3-retriever"

_USER_ERROR, _BROKEN_PIPE, _INTERRUPTED = 2, 1, 130
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
            _add_index,
            _index,
            "scan documents with the host and write an index",
            ("index corpus.jsonl --out my-index",),
        ),
        _Command(
            "search",
            _add_search,
            _search,
            "find the spans that answer a question, or each question of a file",
            (
                'search my-index "How is an index saved?"',
                "search my-index --queries questions.jsonl --token-budget 512 --out run.jsonl",
                'search my-index "How is an index saved?" --where source=a.pdf --top-k 3',
            ),
        ),
        _Command(
            "info",
            _add_info,
            _info,
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


def _whole_number(least: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from ``least`` on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            msg = f"must be a whole number, {least} or more, not {text!r}"
            raise argparse.ArgumentTypeError(msg)
        return number

    return parse


def _key_and_value(text: str) -> tuple[str, Any]:
    """Parse KEY=VALUE, the value as JSON or, failing that, as text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        msg = f"must be KEY=VALUE, not {text!r}"
        raise argparse.ArgumentTypeError(msg)
    try:
        return key, json.loads(value, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return key, value


def _refuse_constant(name: str) -> None:
    """Stop ``json`` at NaN and Infinity, which it reads although JSON does not have them."""
    raise ValueError(name)


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "corpus", type=Path, metavar="CORPUS.jsonl", help="a document per line: {_id, title, text, metadata}"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the index")
    parser.add_argument("--overwrite", action="store_true", help="replace the index that DIR holds")
    parser.add_argument("--host", metavar="NAME_OR_PATH", help="language model; the default host if omitted")
    parser.add_argument(
        "--artifact",
        default="fast",
        help="fast, best, or a folder (default: %(default)s)",
        metavar="ARTIFACT",
    )
    parser.add_argument(
        "--bm25",
        choices=("rank_bm25", "bm25s"),
        default="rank_bm25",
        help="what computes BM25; bm25s suits large corpora (default: %(default)s)",
    )
    _add_no_progress(parser)


def _add_no_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")


def _index(args: argparse.Namespace) -> None:
    from s3_retriever.config import RetrieverConfig
    from s3_retriever.features.artifact import Artifact
    from s3_retriever.host.model import Host
    from s3_retriever.retriever import S3Retriever

    _check_out(args.out, args.overwrite)
    args.corpus.stat()  # fails now rather than after the host is loaded
    artifact = Artifact.load(args.artifact)
    host = Host.load(args.host)
    with new_folder(args.out) as folder:
        start = time.perf_counter()
        retriever = S3Retriever.from_documents(
            read_corpus(args.corpus),
            host=host,
            artifact=artifact,
            config=RetrieverConfig(bm25=args.bm25),
            show_progress=_shows_progress(args),
        )
        retriever.save(folder)
        seconds = time.perf_counter() - start
    tokens = retriever.n_tokens
    sys.stdout.write(
        f"indexed {len(retriever):,} documents, {tokens:,} tokens in {seconds:.1f} s: "
        f"{tokens / seconds:,.0f} tokens/s, {retriever.nbytes / max(tokens, 1):.1f} bytes per token\n"
    )


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuse to replace what is not an index, and an index unless that is wanted."""
    from s3_retriever.retriever import holds_index

    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not holds_index(out):
        msg = f"{out} exists and holds no index; choose another folder"
        raise InvalidInputError(msg)
    if not overwrite:
        msg = f"{out} already holds an index; choose another folder, or replace it with --overwrite"
        raise InvalidInputError(msg)


def _shows_progress(args: argparse.Namespace) -> bool:
    return not args.no_progress and sys.stderr.isatty()


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, metavar="DIR", help="what 'index' wrote")
    questions = parser.add_mutually_exclusive_group(required=True)
    questions.add_argument("question", nargs="?", help="a question, answered for people")
    questions.add_argument("--queries", type=Path, metavar="Q.jsonl", help="a question per line: {_id, text}")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="RUN.jsonl",
        help="with --queries: where to write {query_id, spans: [{doc_id, start, end, score}]} per line "
        "(default: standard output)",
    )
    parser.add_argument("--json", action="store_true", help="with a question: write JSON")
    parser.add_argument("--explain", action="store_true", help="with a question: say why each span is there")
    parser.add_argument(
        "--token-budget",
        type=_whole_number(1),
        default=512,
        metavar="N",
        help="most tokens of the host's tokenizer that the spans have together (default: %(default)s)",
    )
    parser.add_argument(
        "--top-k", type=_whole_number(1), metavar="N", help="most spans per question (default: no limit)"
    )
    parser.add_argument(
        "--where",
        type=_key_and_value,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="search only documents with this in their metadata; VALUE is read as JSON if it is JSON, else "
        "as text; a list means one of its elements. Given several times, all must hold",
    )
    parser.add_argument(
        "--mode", choices=("hybrid", "s3", "bm25"), default="hybrid", help="default: %(default)s"
    )
    parser.add_argument(
        "--scoring",
        choices=("attention", "paper"),
        default="attention",
        help="how S3 scores; paper is the published method (default: %(default)s)",
    )
    parser.add_argument("--unit-scores", action="store_true", help="give scores in [0, 1]")
    parser.add_argument(
        "--bias-tokens",
        type=_whole_number(0),
        metavar="N",
        help="also return the first and last N tokens of each document hit (default: as indexed)",
    )
    parser.add_argument(
        "--host", metavar="NAME_OR_PATH", help="where the index's host is now, if not under its name"
    )
    _add_no_progress(parser)


def _search(args: argparse.Namespace) -> None:
    if args.queries is None:
        if args.out is not None:
            msg = "--out goes with --queries; redirect the output for a single question"
            raise InvalidInputError(msg)
        _answer(args, _load(args))
        return
    if args.json or args.explain:
        msg = "--json and --explain go with a single question; --queries always writes JSON lines"
        raise InvalidInputError(msg)
    _answer_all(args)


def _where(args: argparse.Namespace) -> Filter | None:
    from s3_retriever.search.filters import AllOf, as_filter

    return AllOf([as_filter({key: value}) for key, value in args.where]) if args.where else None


def _load(args: argparse.Namespace) -> S3Retriever:
    from s3_retriever.retriever import S3Retriever

    retriever = S3Retriever.load(args.index, host=args.host)
    if args.bias_tokens is not None:
        spans = replace(retriever.config.spans, bias_tokens=args.bias_tokens)
        retriever.config = replace(retriever.config, spans=spans)
    return retriever


def _retrieve(args: argparse.Namespace, retriever: S3Retriever, question: str) -> list[Span]:
    return retriever.retrieve(
        question,
        args.token_budget,
        mode=args.mode,
        scoring=args.scoring,
        explain=args.explain,
        unit_scores=args.unit_scores,
        where=_where(args),
        top_k=args.top_k,
    )


def _answer_all(args: argparse.Namespace) -> None:
    """Answer a file of questions in JSON lines, in the order of the questions."""
    from tqdm import tqdm

    queries = list(read_lines(args.queries))  # a mistake in the last line costs no search
    with new_file(args.out) if args.out else contextlib.nullcontext(sys.stdout) as file:
        retriever = _load(args)
        for query in tqdm(queries, "search", unit=" questions", disable=not _shows_progress(args)):
            try:
                spans = _retrieve(args, retriever, query.text)
            except InvalidInputError as error:
                msg = f"{query.place}: {error}"
                raise InvalidInputError(msg) from error
            line = {"query_id": query.id, "spans": [_place(span) for span in spans]}
            file.write(f"{json.dumps(line)}\n")


def _place(span: Span) -> dict[str, Any]:
    return {"doc_id": span.doc_id, "start": span.start, "end": span.end, "score": span.score}


def _answer(args: argparse.Namespace, retriever: S3Retriever) -> None:
    """Answer one question, in JSON or for people."""
    spans = _retrieve(args, retriever, args.question)
    titles = [retriever.document(span.doc_id).title for span in spans]
    if not args.json:
        _show(args.question, spans, titles)
        return
    found = []
    for span, title in zip(spans, titles, strict=True):
        entry = {**_place(span), "title": title, "text": span.text}
        if span.explanation is not None:
            entry["explanation"] = asdict(span.explanation)
        found.append(entry)
    sys.stdout.write(f"{json.dumps({'question': args.question, 'spans': found})}\n")


def _show(question: str, spans: Sequence[Span], titles: Sequence[str]) -> None:
    """Print spans; coloured where standard output is a terminal."""
    from rich.console import Console
    from rich.text import Text

    from s3_retriever.search.text import words

    console = Console(soft_wrap=True)
    wanted = {term for term, _ in words(question)}
    if not spans:
        console.print(Text("no span found"))
    for rank, (span, title) in enumerate(zip(spans, titles, strict=True), 1):
        heading = Text(f"{rank}. {_printable(title)}".rstrip(), style="bold cyan")
        heading.append(f"  {_printable(span.doc_id)} [{span.start}:{span.end}]", style="not bold dim")
        heading.append(f"  score {span.score:.3f}", style="not bold green")
        console.print(heading)
        console.print(_marked(Text(_printable(span.text)), wanted))
        if span.explanation is not None:
            console.print(Text(_printable(_reasons(span.explanation)), style="dim"))
        console.print()


def _marked(text: Text, wanted: set[str]) -> Text:
    """Make the question's words stand out."""
    from s3_retriever.search.text import words

    for term, start in words(text.plain):
        if term in wanted:
            text.stylize("bold yellow", start, start + len(term))
    return text


def _reasons(explanation: Explanation) -> str:
    lines = [f"S3 {explanation.s3:.0%}, BM25 {explanation.bm25:.0%}"]
    lines += [
        f"  {pair.share:4.0%}  {pair.token!r} met {pair.text!r} (tap {pair.tap}, feature {pair.feature})"
        for pair in explanation.features
    ]
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Replace what would steer a terminal or has no place in its encoding, character by character."""
    encoding = sys.stdout.encoding or "utf-8"
    return _CONTROL.sub("?", text.encode(encoding, "replace").decode(encoding))


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, metavar="DIR", help="what 'index' wrote")


def _info(args: argparse.Namespace) -> None:
    from s3_retriever.retriever import read_saved

    index, artifact = read_saved(args.index)
    host = index.header["host"]
    facts = {
        "documents": f"{len(index):,}",
        "tokens": f"{index.n_tokens:,}",
        "bytes per token": f"{index.nbytes / max(index.n_tokens, 1):.1f}",
        "artifact": artifact.name,
        "host": f"{host['name']} {host['revision']}".rstrip(),
    }
    for codec in artifact.codecs:
        quality = codec.quality
        facts[f"tap {codec.tap}"] = (
            f"FVU {quality.fvu:.3f}, L0 {quality.l0:.1f}, dead features {quality.dead_fraction:.1%}"
        )
    sys.stdout.writelines(f"{name:<16} {_printable(value)}\n" for name, value in facts.items())
