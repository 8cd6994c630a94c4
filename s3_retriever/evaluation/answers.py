"""How well a text answers: exact match and F1 as SQuAD defines them, and whether a passage holds an answer.

Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Lower the case, take ASCII punctuation and the articles a, an and the out, and leave single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 where the prediction, normalised, is one of the answers, else 0; 0 without answers."""
    return _best(prediction, answers, lambda given, gold: float(given == gold))


def f1(prediction: str, answers: Sequence[str]) -> float:
    """Return the F1 of normalised words, in [0, 1], against the answer that gives the most.

    Where either side has no word left, it is 1 if both have none, else 0.
    """
    return _best(prediction, answers, _word_f1)


def answer_hit(passages: Sequence[str], answers: Sequence[str]) -> float:
    """Return 1 where one of the answers, normalised, stands in one of the passages as whole words, else 0."""
    texts = [f" {normalize_answer(passage)} " for passage in passages]
    golds = [gold for gold in map(normalize_answer, answers) if gold]
    return float(any(f" {gold} " in text for gold in golds for text in texts))


def _best(prediction: str, answers: Sequence[str], score: Callable[[str, str], float]) -> float:
    given = normalize_answer(prediction)
    return max((score(given, normalize_answer(answer)) for answer in answers), default=0.0)


def _word_f1(given: str, gold: str) -> float:
    words, wanted = given.split(), gold.split()
    if not words or not wanted:
        return float(words == wanted)
    shared = (Counter(words) & Counter(wanted)).total()
    return 2 * shared / (len(words) + len(wanted))
