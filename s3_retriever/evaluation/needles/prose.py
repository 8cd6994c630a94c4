"""What can be said and asked of invented subjects, as ``prose.json`` has it.

A subject has a *role* out of few and a *name* of its own; a distractor may share either. In statements and
questions, ``{s}`` is the subject, ``{S}`` the same at the beginning of a sentence, ``{v}`` the value.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

_FILE = files("s3_retriever.evaluation.needles") / "prose.json"


@dataclass(frozen=True)
class Relation:
    """Something that a subject has one of.

    Attributes:
        value: Kind of the value, as :mod:`s3_retriever.evaluation.needles.facts` makes it.
        statements: Sentences that tell it.
        questions: Questions for it, in other words than the statements'.
        together: The question for that of several subjects.
    """

    value: str
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    together: str


@dataclass(frozen=True)
class Kind:
    """A kind of subject.

    Attributes:
        form: How a subject is called, with ``{role}`` and ``{name}``.
        roles: Its roles.
        names: "place", "surname" or "ship".
        relations: What can be said of it.
    """

    form: str
    roles: tuple[str, ...]
    names: str
    relations: tuple[Relation, ...]


@dataclass(frozen=True)
class Prose:
    """All that needles are made of.

    Attributes:
        words: By their use: beginnings, middles and ends of invented names, colours, first names and so on.
        kinds: The kinds of subjects.
    """

    words: Mapping[str, tuple[str, ...]]
    kinds: tuple[Kind, ...]


@functools.cache
def load_prose() -> Prose:
    """Read the file, once."""
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    words = {use: tuple(some) for use, some in content["words"].items()}
    kinds = []
    for one in content["kinds"]:
        relations = [
            Relation(told["value"], tuple(told["statements"]), tuple(told["questions"]), told["together"])
            for told in one["relations"]
        ]
        relations += _noun_relations(one["nouns"], content["noun_statements"])
        roles = words[one["roles"]] if isinstance(one["roles"], str) else tuple(one["roles"])
        kinds.append(Kind(one["form"], roles, one["names"], tuple(relations)))
    return Prose(words, tuple(kinds))


def _noun_relations(nouns: Mapping[str, Sequence[str]], frames: Sequence[str]) -> Iterator[Relation]:
    """Yield relations that a noun names, such as the patron of something, with two statements each.

    Args:
        nouns: By the kind of the value.
        frames: Statements with ``{noun}``.
    """
    every = [(value, noun) for value, some in nouns.items() for noun in some]
    for number, (value, noun) in enumerate(every):
        asks = "Who is" if value == "person" else "What is"
        yield Relation(
            value,
            tuple(frames[(number + i) % len(frames)].replace("{noun}", noun) for i in (0, 3)),
            (f"{asks} the {noun} of {{s}}?", f"Can you name the {noun} of {{s}}?"),
            f"{asks} the {noun} of each of {{s}}?",
        )
