"""Checks of settings that several modules and the integrations take."""

from __future__ import annotations

from s3_retriever.errors import InvalidInputError


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
