"""Questions about invented facts, with distractors: sentences that look like an answer and are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product
from random import Random

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.needles.prose import Kind, Relation, load_prose

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so that no code is a word


@dataclass(frozen=True)
class Fact:
    """A sentence that tells a subject's value.

    Attributes:
        subject: Whose.
        relation: What it is.
        value: The value.
        sentence: Tells it, with a full stop.
    """

    subject: str
    relation: Relation
    value: str
    sentence: str


@dataclass(frozen=True)
class NeedleQuestion:
    """A question, what answers it, and what does not.

    Attributes:
        text: The question.
        needles: The facts that are needed; all of one relation.
        distractors: Each shares a needle's subject, or its relation and half its subject. None has both the
            subject and the relation of a needle.
    """

    text: str
    needles: tuple[Fact, ...]
    distractors: tuple[Fact, ...]


class FactMaker:
    """Makes questions; no two of them have a subject's name in common.

    Args:
        random: Source of all choices.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        prose = load_prose()
        words = prose.words
        names = {
            "place": list(map("".join, product(words["starts"], words["middles"], words["place_ends"]))),
            "surname": list(map("".join, product(words["starts"], words["middles"], words["surname_ends"]))),
            "ship": list(map(" ".join, product(words["colours"], words["animals"]))),
        }
        self._turns = [(kind, relation) for kind in prose.kinds for relation in kind.relations]
        self._left: list[tuple[Kind, Relation]] = []
        self._words = {**words, **names}
        self._names = {kind: random.sample(pool, len(pool)) for kind, pool in names.items()}

    def question(self, n_needles: int, n_distractors: int) -> NeedleQuestion:
        """Make a question.

        Args:
            n_needles: Facts that it asks for, at least 1.
            n_distractors: Distractors of each.

        Raises:
            InvalidInputError: The names are used up.
        """
        if not self._left:  # every relation comes once before any comes again
            self._left = self._random.sample(self._turns, len(self._turns))
        kind, relation = self._left.pop()
        subjects = [(self._random.choice(kind.roles), self._name(kind)) for _ in range(n_needles)]
        group = _Subjects(self._random, self._words, {name for _, name in subjects})
        needles = tuple(group.fact(kind, *subject, relation) for subject in subjects)
        names = [fact.subject for fact in needles]
        listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
        wording = relation.together if len(names) > 1 else self._random.choice(relation.questions)
        distractors = [
            fact
            for subject in subjects
            for fact in self._distractors(group, kind, subject, relation, n_distractors)
        ]
        return NeedleQuestion(_filled(wording, listed), needles, tuple(distractors))

    def _distractors(
        self, group: _Subjects, kind: Kind, subject: tuple[str, str], relation: Relation, number: int
    ) -> list[Fact]:
        """Make distractors, by turns with the subject's role, its name, and both but another relation."""
        role, name = subject
        others = [other for other in kind.relations if other is not relation]
        roles = [other for other in kind.roles if other != role]
        other_roles = iter(self._random.sample(roles, len(roles)))
        other_relations = iter(self._random.sample(others, len(others)))
        facts = []
        for turn in islice(cycle(("role", "relation", "name", "relation")), number):
            # Where a turn has no more to offer, there is always another subject of the same role.
            if turn == "relation" and (other := next(other_relations, None)):
                facts.append(group.fact(kind, role, name, other))
            elif turn == "name" and (other_role := next(other_roles, None)):
                facts.append(group.fact(kind, other_role, name, relation))
            else:
                facts.append(group.fact(kind, role, self._name(kind), relation))
        return facts

    def _name(self, kind: Kind) -> str:
        names = self._names[kind.names]
        if not names:
            msg = "there are not enough invented names for so many needles; use fewer per depth"
            raise InvalidInputError(msg)
        return names.pop()


class _Subjects:
    """Makes the facts of one question. No two have the same value, and no value is a name in the question."""

    def __init__(self, random: Random, words: Mapping[str, Sequence[str]], names: set[str]) -> None:
        self._random, self._words = random, words
        self._taken = names

    def fact(self, kind: Kind, role: str, name: str, relation: Relation) -> Fact:
        subject = kind.form.format(role=role, name=name)
        value = self._value(relation.value)
        while value in self._taken:
            value = self._value(relation.value)
        self._taken.add(value)
        wording = self._random.choice(relation.statements)
        return Fact(subject, relation, value, _filled(wording, subject, value))

    def _value(self, kind: str) -> str:
        pick, number = self._random.choice, self._random.randint
        if kind == "code":
            return f"{pick(_LETTERS)}{pick(_LETTERS)}-{number(1000, 9999)}"
        if kind == "small":
            return str(number(12, 480))
        if kind == "large":
            return f"{number(1100, 98_000):,}"
        if kind == "year":
            return str(number(1480, 1990))
        if kind == "day":
            return f"{number(1, 28)} {pick(_MONTHS)}"
        if kind == "thing":
            return f"{pick(self._words['traits'])} {pick(self._words['things'])}"
        if kind == "person":
            return f"{pick(self._words['first_names'])} {pick(self._words['surname'])}"
        return pick(self._words["place"])


def _filled(wording: str, subject: str, value: str = "") -> str:
    return wording.format(s=subject, S=f"{subject[0].upper()}{subject[1:]}", v=value)
