"""What the cells of a sheet say: exact values, with the zeros and units of their number formats."""

from __future__ import annotations

import datetime as dt
import re

_DIGITS = re.compile(r"[#0?][#0?,]*(?:\.([0#?]+))?")
_CONDITION = re.compile(r"\[(?!\$)[^]]*\]")  # a colour, or a condition
_CURRENCY = re.compile(r"\[\$([^]-]*)[^]]*\]")
_UNSEEN = re.compile(r"[_*].")  # a space as wide as a character, and one that fills the cell
_QUOTED = re.compile(r'"([^"]*)"|\\(.)')


def shown(value: object, form: str) -> str:
    """Return a value as text: dates and times as ISO has them, without a time at midnight.

    Numbers have up to 15 digits, as in Excel. Those of a format are not rounded by it.

    Args:
        value: Of a cell: text, a number, a truth value, a date, a time, or a duration.
        form: Its number format, in Excel's notation.

    Examples:
        >>> shown(0.125, "0%"), shown(501, "00000"), shown(1234.5, '#,##0.00 "kg"'), shown(0.1 + 0.2, "")
        ('12.5%', '00501', '1234.50 kg', '0.3')
    """
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, (dt.datetime, dt.time)):
        precise = "milliseconds" if value.microsecond else "seconds" if value.second else "minutes"
        written = value.isoformat(timespec=precise)
        return written.replace("T", " ")
    if isinstance(value, dt.timedelta):
        return _duration(value)
    if isinstance(value, (int, float)):
        return _number(value, form)
    return str(value).strip()


def _duration(value: dt.timedelta) -> str:
    seconds = round(value.total_seconds())
    minutes, second = divmod(abs(seconds), 60)
    return f"{'-' * (seconds < 0)}{minutes // 60}:{minutes % 60:02}:{second:02}"


def _number(value: float, form: str) -> str:
    before, decimals, whole, after = _parsed(form)
    percent = "%" in after or "%" in before
    body = _plain(value * 100 if percent else value)
    sign, body = ("-", body[1:]) if body.startswith("-") else ("", body)
    if body.replace(".", "", 1).isdecimal():
        integer, _, fraction = body.partition(".")
        fraction = fraction.ljust(decimals, "0")
        body = integer.rjust(whole, "0") + ("." + fraction if fraction else "")
    return f"{sign}{before}{body}{after}".strip()


def _plain(value: float) -> str:
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e21)
    return str(int(value)) if whole else f"{value:.15g}"


def _parsed(form: str) -> tuple[str, int, int, str]:
    """Return what a format writes before a number, its decimals and digits at least, and what behind it."""
    section = _CONDITION.sub("", form.partition(";")[0])
    literals: list[str] = []

    def put_aside(text: str) -> str:
        literals.append(text)
        return chr(0xE000 + len(literals) - 1)  # of private use: no format has it

    section = _CURRENCY.sub(lambda found: put_aside(found[1]), section)
    section = _QUOTED.sub(lambda found: put_aside(found[1] or found[2] or ""), section)
    section = _UNSEEN.sub("", section)
    found = [*_DIGITS.finditer(section)]
    if len(found) != 1 or found[0][0].endswith(",") or re.search(r"[A-Za-z/@]", section):
        return "", 0, 0, ""
    (digits,) = found
    before, after = (
        re.sub("[\ue000-\uf8ff]", lambda mark: literals[ord(mark[0]) - 0xE000], part)
        for part in (section[: digits.start()], section[digits.end() :])
    )
    decimals, whole = (digits[1] or "").count("0"), digits[0].partition(".")[0].count("0")
    return before, decimals, whole, after
