"""How fast units are found, how much they take, and how sentences compare with those of libraries.

    python tests/structure/measure.py DATA

DATA is a folder of evaluation sets. Sentences are compared with the packages ``sentencex`` and
``icukit-pyicu`` where they are installed: how often evidence, mostly whole sentences, begins and
ends at a border.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

from s3_retriever import Host
from s3_retriever.evaluation.datasets import EvaluationSet, load_sets
from s3_retriever.index.units import UnitBuilder
from s3_retriever.search.text import sentences
from s3_retriever.structure import find_units

Ranges = Iterable[tuple[int, int]]

_CHARACTERS = 3_000_000  # of a text that is timed
_TIMES = 3


def ours(text: str, _: str) -> Ranges:
    return pairwise([*find_units(text).starts.tolist(), len(text)])


def old_rules(text: str, _: str) -> Ranges:
    return sentences(text)


def of_sentencex(text: str, language: str) -> Ranges:
    import sentencex  # type: ignore[import-not-found]

    found, reached = [], 0
    for sentence in map(str.strip, sentencex.segment(language, text)):
        start = text.find(sentence, reached) if sentence else -1
        if start >= 0:
            reached = start + len(sentence)
            found.append((start, reached))
    return found


def of_icu(text: str, language: str) -> Ranges:
    """Sentences by ICU, whose offsets count UTF-16: right for texts of the basic plane only."""
    import icu  # type: ignore[import-not-found]

    borders = icu.BreakIterator.createSentenceInstance(icu.Locale(language))
    borders.setText(icu.UnicodeString(text))
    return pairwise([0, *borders])


def methods() -> dict[str, Callable[[str, str], Ranges]]:
    others = (("sentencex", "sentencex", of_sentencex), ("ICU", "icu", of_icu))
    installed = {name: method for name, module, method in others if importlib.util.find_spec(module)}
    return {"ours": ours, "old rules": old_rules, **installed}


def at_borders(data: EvaluationSet, method: Callable[[str, str], Ranges]) -> tuple[float, float]:
    """Shares of the regions of evidence that begin and end where a sentence does."""
    language = (
        data.name.rpartition("_")[2] if data.name.rpartition("_")[2] in ("es", "zh", "hi", "vi") else "en"
    )
    regions = [region for question in data.questions for region in question.evidence]
    texts = {document.id: document.text for document in data.documents}
    starts, ends = set(), set()
    for doc_id in {region.doc_id for region in regions}:
        text = texts[doc_id]
        for begin, end in method(text, language):
            piece = text[begin:end]
            starts.add((doc_id, end - len(piece.lstrip())))
            ends.add((doc_id, begin + len(piece.rstrip())))
    begun = ended = 0
    for doc_id, begin, end in regions:
        piece = texts[doc_id][begin:end]
        begun += (doc_id, end - len(piece.lstrip())) in starts
        ended += (doc_id, begin + len(piece.rstrip())) in ends
    return begun / len(regions), ended / len(regions)


def main() -> None:
    host = Host.load()
    find_units("Compiled. Now.")
    for data in load_sets(Path(sys.argv[1]), ()):
        builder = UnitBuilder()
        for document in data.documents:
            builder.add(find_units(document.text))
        texts = [document.text for document in data.documents]
        n_tokens = sum(map(host.count_tokens, texts))
        text = "\n\n".join(texts)
        text *= max(1, _CHARACTERS // len(text))
        seconds = []
        for _ in range(_TIMES):
            begin = time.process_time()
            find_units(text)
            seconds.append(time.process_time() - begin)
        speed = len(text.encode("utf-8", "replace")) / min(seconds) / 1e6
        print(f"{data.name}: {speed:.1f} MB/s, {builder.build().nbytes / n_tokens:.2f} bytes a token")  # noqa: T201
        for name, method in methods().items():
            begun, ended = at_borders(data, method)
            print(f"  {name:10} evidence begins at a border {begun:.3f}, ends at one {ended:.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
