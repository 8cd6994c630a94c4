"""An evaluation set of Python source: docstrings are the questions, their functions the evidence.

So are the sets of CodeSearchNet made (Husain et al., arXiv 1909.09436). It takes no annotator, so anybody can
measure how well their own source is searched::

    python -m s3_retriever.evaluation.docstrings src/mypackage --out sets/mypackage
    s3-retriever evaluate sets
"""

from __future__ import annotations

import argparse
import ast
import itertools
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s3_retriever.checks import check, whole
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError, S3RetrieverError
from s3_retriever.evaluation.datasets import EvaluationSet, Question, write_set
from s3_retriever.evaluation.metrics import Region

WORDS = range(6, 31)
"""Words of a docstring's first sentence that make a question."""

LINES = range(3, 41)
"""Lines of the function below its docstring."""

_SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z])|\n\s*\n")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def docstring_set(folder: Path, *, questions: int = 80, seed: int = 0) -> EvaluationSet:
    """Make a set of the ``*.py`` of a folder and of all below it; links are not followed.

    The documents are the files, without the docstrings of functions and classes. One that is all of a body
    stays, and is not asked for, nor is a sentence that stands elsewhere still. Files that Python cannot read
    or parse are left out.

    Args:
        folder: Of a package's source.
        questions: At most so many, chosen at random. Of functions with one first sentence, one is asked for.
        seed: Of the choice.

    Raises:
        InvalidInputError: The folder has no function that makes a question, or a number is out of range.
    """
    check("questions", questions, whole(1))
    check("seed", seed, whole())
    paths = [path for path in sorted(folder.rglob("*.py")) if path.is_file() and not path.is_symlink()]
    files = [file for path in paths if (file := _read(folder, path))]
    found: dict[str, Region] = {}
    for sentence, region in itertools.chain.from_iterable(file.functions for file in files):
        found.setdefault(sentence, region)
    sentences = sorted(found)
    drawn = (sentences[i] for i in np.random.default_rng(seed).permutation(len(sentences)).tolist())
    texts = [" ".join(file.document.text.split()) for file in files]
    hidden = (sentence for sentence in drawn if not any(sentence in text for text in texts))
    asked = list(itertools.islice(hidden, questions))
    if not asked:
        msg = (
            f"no function in {folder} has a docstring whose first sentence has {WORDS[0]} to {WORDS[-1]} "
            "words; name a folder of Python source"
        )
        raise InvalidInputError(msg)
    name = folder.resolve().name
    return EvaluationSet(
        name,
        tuple(file.document for file in files),
        tuple(Question(f"{name}-{i}", one, (found[one],)) for i, one in enumerate(asked)),
    )


@dataclass(frozen=True)
class _File:
    document: Document
    functions: Sequence[tuple[str, Region]]


def _read(folder: Path, path: Path) -> _File | None:
    try:
        with tokenize.open(path) as file:
            text = file.read()
        tree = ast.parse(text)
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError, OSError):  # as it likes to say
        return None
    lines = text.split("\n")  # as Python counts them; str.splitlines knows more line ends
    docstrings = dict(_docstrings(tree, lines))
    gone = {number for one in docstrings.values() for number in range(one.lineno, _end(one) + 1)}
    kept = [0 if number in gone else len(line) + 1 for number, line in enumerate(lines, 1)]
    places = [0, *itertools.accumulate(kept)]  # of the beginning of each line in what is left
    doc_id = path.relative_to(folder).as_posix()
    left = "\n".join(line for number, line in enumerate(lines, 1) if number not in gone)
    functions = []
    for node, docstring in docstrings.items():
        sentence = " ".join(_SENTENCE.split(ast.literal_eval(docstring.value).strip())[0].split())
        is_asked = len(sentence.split()) in WORDS and _end(node) - _end(docstring) in LINES
        if isinstance(node, _Function) and is_asked:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            functions.append((sentence, Region(doc_id, places[first - 1], places[_end(node)] - 1)))
    return _File(Document(doc_id, left), functions)


def _docstrings(tree: ast.Module, lines: Sequence[str]) -> Iterator[tuple[ast.AST, ast.Expr]]:
    """Yield functions and classes with their docstrings, where these have lines of their own."""
    for node in ast.walk(tree):
        if isinstance(node, _Function | ast.ClassDef) and ast.get_docstring(node) and len(node.body) > 1:
            docstring, following = node.body[:2]
            before = lines[docstring.lineno - 1].encode()[: docstring.col_offset]
            if isinstance(docstring, ast.Expr) and not before.strip() and following.lineno > _end(docstring):
                yield node, docstring


def _end(node: ast.AST) -> int:
    """Return the number of a node's last line."""
    end: int = node.end_lineno  # type: ignore[attr-defined]
    return end


def main(argv: Sequence[str] | None = None) -> int:
    """Write a set."""
    parser = argparse.ArgumentParser(
        prog="python -m s3_retriever.evaluation.docstrings",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("folder", type=Path, help="Python source")
    parser.add_argument("--out", type=Path, required=True, help="folder of the set")
    parser.add_argument("--questions", type=int, default=80, help="at most so many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of their choice (default: %(default)s)")
    args = parser.parse_args(argv)
    try:
        made = docstring_set(args.folder, questions=args.questions, seed=args.seed)
        write_set(made, args.out)
    except (S3RetrieverError, OSError) as error:
        parser.error(str(error))
    sys.stdout.write(f"{args.out}: {len(made.documents)} documents, {len(made.questions)} questions\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
