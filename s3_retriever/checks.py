"""Checks of settings that several modules and the integrations take."""

from __future__ import annotations

import importlib

from s3_retriever.errors import InvalidInputError, MissingDependencyError


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a setting that is none of the choices.

    Raises:
        InvalidInputError: Names the setting, the choices and the value.
    """
    if value not in choices:
        msg = f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}"
        raise InvalidInputError(msg)


def check_positive(name: str, value: object) -> None:
    """Refuse a setting that is no whole number above 0.

    Raises:
        InvalidInputError: Names the setting and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        msg = f"{name} must be a positive whole number, not {value!r}"
        raise InvalidInputError(msg)


def check_library(what: str, library: str, module: str, extra: str) -> None:
    """Say now rather than after the work that an optional library is missing.

    Args:
        what: What needs it, in the plural.
        library: Its name.
        module: The module that is going to be imported.
        extra: What to install of this distribution.

    Raises:
        MissingDependencyError: Names the library and the extra.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        msg = f'{what} need {library}: pip install "s3-retriever[{extra}]"'
        raise MissingDependencyError(msg) from error


def check_plots() -> None:
    """Say now rather than after the work that pictures cannot be drawn.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    check_library("plots", "matplotlib", "matplotlib.figure", "plots")
