"""Checks of what users set: one rule per setting, one wording for all."""

from __future__ import annotations

import importlib
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, ClassVar, NoReturn

from s3_retriever.errors import InvalidInputError, MissingDependencyError

_LARGEST = sys.float_info.max  # whole numbers beyond it have no float

Rule = Callable[[object], str]
"""Returns what a value must be, or an empty string if it is that."""


def plain(value: Any) -> Any:
    """Return a value of NumPy or torch as Python's, also within a tuple or list; anything else as it is.

    Examples:
        >>> import numpy as np
        >>> plain(np.int64(512)), plain((np.float32(0.5), "a"))
        (512, (0.5, 'a'))
    """
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value)) if type(value) in (tuple, list) else value
    return value.item() if getattr(value, "ndim", None) == 0 else value


def whole(least: int = 0, most: int | None = None) -> Rule:
    """Allow whole numbers from ``least`` to ``most``, both included."""
    wanted = f"a whole number, {least} or more" if most is None else f"a whole number from {least} to {most}"

    def rule(value: object) -> str:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if is_whole and least <= value and (most is None or value <= most) else wanted  # type: ignore[operator]

    return rule


def number(
    least: float = -math.inf, most: float = math.inf, *, above: float = -math.inf, below: float = math.inf
) -> Rule:
    """Allow finite numbers from ``least`` to ``most``, greater than ``above`` and less than ``below``."""
    bounds = [(least, "at least"), (most, "at most"), (above, "above"), (below, "below")]
    limits = " and ".join(f"{word} {bound:g}" for bound, word in bounds if math.isfinite(bound))

    def rule(value: object) -> str:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = is_number and abs(value) <= _LARGEST and least <= value <= most and above < value < below  # type: ignore[arg-type, operator]
        return "" if fits else f"a number {limits}".rstrip()

    return rule


def choice(choices: Sequence[object]) -> Rule:
    """Allow some values only."""
    wanted = f"one of {', '.join(map(repr, choices))}"
    return lambda value: "" if any(type(value) is type(one) and value == one for one in choices) else wanted


def instance(kind: Any, wanted: str) -> Rule:
    """Allow instances of a type, or of one of several; ``wanted`` says which, with its article."""
    return lambda value: "" if isinstance(value, kind) else wanted


PATH = instance((str, os.PathLike), "a path")

FLAG = instance(bool, "True or False")


def each(rule: Rule, *, least: int = 1, distinct: bool = False) -> Rule:
    """Allow tuples and lists of at least ``least`` values that a rule allows, or only ``distinct`` ones."""

    def of_all(value: object) -> str:
        if not isinstance(value, (tuple, list)) or len(value) < least:
            return f"a list of at least {least}" if least else "a list"
        if distinct and any(value.count(one) > 1 for one in value):
            return "a list, each value once"
        return next((f"a list, each {wanted}" for wanted in map(rule, value) if wanted), "")

    return of_all


def optional(rule: Rule) -> Rule:
    """Allow None beside what a rule allows."""

    def or_none(value: object) -> str:
        wanted = "" if value is None else rule(value)
        return wanted and f"{wanted}, or None"

    return or_none


def check(name: str, value: object, rule: Rule) -> None:
    """Refuse a value that a rule does not allow.

    Raises:
        InvalidInputError: Names the setting, what it must be, and the value.

    Examples:
        >>> check("top_k", 3, whole(1))
        >>> check("top_k", 0, whole(1))
        Traceback (most recent call last):
        s3_retriever.errors.InvalidInputError: top_k must be a whole number, 1 or more, not 0
    """
    wanted = rule(plain(value))
    if wanted:
        msg = f"{name} must be {wanted}, not {value!r:.200}"
        raise InvalidInputError(msg)


_OF_ANNOTATION = {"bool": FLAG, "str": instance(str, "a str")}


def check_settings(settings: Any, **rules: Rule) -> None:
    """Refuse settings if a value breaks its rule; call it in ``__post_init__``.

    Values of NumPy and torch become Python's; see :func:`plain`.

    Args:
        settings: A dataclass. Its fields of type ``bool`` and ``str`` need no rule.
        rules: A rule for each other field.

    Raises:
        InvalidInputError: Names the setting, what it must be, and the value.
    """
    of_types = {one.name: _OF_ANNOTATION[one.type] for one in fields(settings) if one.type in _OF_ANNOTATION}
    for name, rule in (of_types | rules).items():
        value = plain(getattr(settings, name))
        check(name, value, rule)
        object.__setattr__(settings, name, value)  # also where the settings are frozen


def check_question(question: object) -> None:
    """Refuse a question that is no text, or blank.

    Raises:
        InvalidInputError: Names the value.
    """
    if not isinstance(question, str) or not question.strip():
        msg = f"the question must be text, not {question!r:.200}"
        raise InvalidInputError(msg)


def as_questions(questions: Iterable[str]) -> list[str]:
    """Return questions as a list, having checked each.

    Raises:
        InvalidInputError: One is no text, or blank, or they are no list but a single text.
    """
    if isinstance(questions, str) or not isinstance(questions, Iterable):
        msg = f"questions must be a list of questions, not {questions!r:.200}"
        raise InvalidInputError(msg)
    asked = list(questions)
    for question in asked:
        check_question(question)
    return asked


class Uncopyable:
    """Refuses to be pickled or copied: the base of what holds a language model or a lock.

    Attributes:
        instead: What to do instead; the end of the message.
    """

    instead: ClassVar[str]

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse.

        Raises:
            InvalidInputError: Always; names the class and what to do instead.
        """
        msg = f"{type(self).__name__} cannot be pickled or copied; {self.instead}"
        raise InvalidInputError(msg)


def pip_install(extra: str) -> str:
    """Return the command that installs an extra of this distribution."""
    return f'pip install "s3-retriever[{extra}]"'


def check_library(what: str, library: str, module: str, way: str) -> None:
    """Say before the work, not after it, that an optional library is missing.

    Args:
        what: What needs it, in the plural.
        library: Its name.
        module: The module that will be imported.
        way: What to do; see :func:`pip_install`.

    Raises:
        MissingDependencyError: Names the library and the way.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        msg = f"{what} need {library}: {way}"
        raise MissingDependencyError(msg) from error


def check_plots() -> None:
    """Say before the work, not after it, that pictures cannot be drawn.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    check_library("plots", "matplotlib", "matplotlib.figure", pip_install("plots"))
