"""Text of others on a terminal: what would steer it, hide, or pass for a line of ours is shown escaped."""

from __future__ import annotations

import re
import sys
import unicodedata

_SEPARATORS = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")
_PLAIN = re.compile(r"[\x20-\x7e]*")
_JOINERS = "\u200c\u200d"  # which Persian, Indic scripts and emoji need within words


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return a text in which no character steers a terminal, is invisible, or changes the order of others.

    Control characters, marks of direction, and invisible and unassigned ones are written as ``\u202e``.
    So is what the terminal's encoding does not have.

    Args:
        text: Any text.
        lines: Whether it may have several lines and tabs, and joiners between letters, as passages do; in a
            name a line break could forge a line of ours.
    """
    encoding = sys.stdout.encoding or "utf-8"
    kept = f"\n\t{_JOINERS}" if lines else ""
    if not _PLAIN.fullmatch(text):
        text = "".join(one if one in kept or not _hides(one) else _escaped(one) for one in text)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _hides(character: str) -> bool:
    return unicodedata.category(character) in _SEPARATORS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
