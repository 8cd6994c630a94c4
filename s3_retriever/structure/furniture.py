"""What stands on pages beside their text: running heads, page numbers, contents with dot leaders."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from s3_retriever.structure.kinds import FURNITURE, Bytes
from s3_retriever.structure.lines import (
    DIGITS,
    END,
    FIRST,
    LAST,
    LEADERS,
    LETTERS,
    OTHERS,
    PAGE,
    SHAPE,
    WORDS,
    Lines,
)
from s3_retriever.structure.numbering import numbered_alike, value_of

_PAGE_WORDS = r"(?:\b(?:page|p\.|seite|página|pág\.|pagina|pag\.|страница|стр\.|side|sida|strona)|第)"
_NUMBER = re.compile(
    rf"[\W_]*(?:{_PAGE_WORDS}\s*)?"
    r"(\d{1,4}|[ivxlc]{1,6})\s*页?(?P<whole>\s*(?:of|von|de|di|sur|из|/|z)\s*\d{1,4})?[\W_]*",
    re.IGNORECASE,
)
_NAMED = re.compile(rf"{_PAGE_WORDS}|\W\d+\W", re.IGNORECASE)
_PAGE_NAMES = re.compile(_PAGE_WORDS, re.IGNORECASE)
_NAMES = re.compile(rf"{_PAGE_WORDS}\s*$", re.IGNORECASE)
_SET_OFF = re.compile(  # what parts a page number from the words before it; "Record 3" has none of it
    r"[\s–—-]*|.*(?:[,;|·•/]\s*|\s[–—-]\s*|\s{3}"
    rf"|(?:{_PAGE_WORDS}|\b(?:sheet|slide|blatt|folie|folio|hoja|лист|слайд))\s*)",
    re.IGNORECASE,
)
_LETTERED = r"(?<![\w-])(?:[A-Z]|[IVXLC]{1,6})[-–—]"  # the chapter before its page, as in "A-3" and "II-7"
_LETTERED_PAGE = re.compile(rf"{_LETTERED}(?=\d{{1,3}}(?![\w-]))")
_CHAPTER = rf"(?:{_LETTERED}|(?<![\w-])(?:\d{{1,2}}|#)[-–—])"
_AFTER_CHAPTER = re.compile(rf"{_CHAPTER}$")
_OF_CHAPTER = re.compile(rf"{_CHAPTER}#")
_LEADER = re.compile(r"(?:[.…·]\s*){2,}")
_PAGE = re.compile(r"\d{1,4}|[ivxlc]{1,6}", re.IGNORECASE)
_WHOLE = re.compile(r"\s*/\s*\d{1,4}")  # behind the number of a page: how many there are
_SECTION = re.compile(  # what numbers a heading; the named group is a heading by itself
    r"\#*\s*(?:(?P<named>(?:chapter|section|sec\.|part|article|art\.|appendix|annex|book|kapitel|abschnitt|teil"
    r"|artikel|anhang|chapitre|partie|capítulo|sección|capitolo|глава|раздел|часть|§)"
    r"\s*(?:\d{1,3}(?:\.\d{1,3}){0,5}|[ivxlc]{1,6}|[a-z]))\b|\d{1,3}(?:\.\d{1,3}){0,5}(?![\d,])|[ivxlc]{1,6}[.)])"
    r"[.):—–-]*(?:\s+|$)",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec|january|february|march|april|june|july|august"
    r"|september|october|november|december|januar|februar|märz|mai|juni|juli|oktober|dezember)\b"
)
_DATE = re.compile(  # numbers that count no pages: of dates, times, amounts
    rf"\d+(?:[.,:]\d+)+|\d+(?:-\d+){{2,}}|\d{{3,}}[-–]\d+|\d+[-–](?=\d)|\d+/\d+/\d+|\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:of\s)?{_MONTH}|\b{_MONTH}\.?\s\d{{1,2}}\b"
    r"|\d{1,2}\.?\s(?:de\s)?[^\W\d]{3,12}\.?\s(?:de\s)?\d{4}\b|\b[^\W\d]{3,12}\.?\s\d{1,2},\s\d{4}\b|\d+\s?[年月日]",
    re.IGNORECASE,
)
_LONGEST = 120  # characters of a line that can be furniture
_SENTENCE = 6  # words of a line with a full stop that is taken for text
_AT_BORDER = 2  # lines at either end of a page that can be
_FRONT = range(-5, 31)  # how far the numbers on pages can be from those of the pages
_HEAD_WORDS = 3  # of a running head, at least, whose page may have any number
_ANEW = 2  # the first number in a chapter that has its own, at most
_COUNTED = 3  # pages whose numbers tell, at least, that they count pages
_SCATTERED = 5  # numbers on pages here and there, at least, that are as far from those of the pages
_WIDE_LINE = 20  # characters of a line in a script without cases that is broken by the width of a page
_LEAST_PAGE = 8  # lines between two page numbers, at least, where no form feed tells pages


def mark_furniture(text: str, lines: Lines, kinds: Bytes, pages_before: int = 0) -> None:
    """Mark lines that are furniture among those that are not marked yet.

    Args:
        text: What the lines are of.
        lines: Its lines.
        kinds: Of the lines; those that are found become furniture.
        pages_before: How many pages came before the text, if it is a piece of a longer one.
    """
    filled = np.flatnonzero(lines[:, FIRST] < lines[:, END])
    if not len(filled):
        return
    length = lines[filled, LAST] - lines[filled, FIRST]
    pages = np.cumsum(lines[:, PAGE])[filled]
    short = length <= _LONGEST
    if pages[-1] > pages[0]:
        if short.any():
            border = _at_page_borders(filled[short], pages[short])
            n_pages = int(pages[-1] - pages[0]) + 1
            own = np.cumsum(lines[:, PAGE])[border] + pages_before + 1
            kinds[_heads_and_numbers(text, lines, border, own, n_pages)] = FURNITURE
    else:
        kinds[_lone_numbers(text, lines, filled)] = FURNITURE
    kinds[_contents(text, lines)] = FURNITURE


def _at_page_borders(lines: npt.NDArray[np.intp], pages: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return those of some lines that are the first and last of their pages."""
    starts = np.flatnonzero(np.diff(pages, prepend=-1))
    ends = np.append(starts[1:], len(pages))
    borders = list(zip(starts.tolist(), ends.tolist(), strict=True))
    picked = [np.arange(a, min(a + _AT_BORDER, b)) for a, b in borders]
    picked += [np.arange(max(a, b - _AT_BORDER), b) for a, b in borders]
    border: npt.NDArray[np.intp] = lines[np.unique(np.concatenate(picked))]
    return border


def _heads_and_numbers(
    text: str, lines: Lines, border: npt.NDArray[np.intp], pages: npt.NDArray[np.int64], n_pages: int
) -> npt.NDArray[np.intp]:
    """Return lines at the borders of pages that recur there as running heads do, and page numbers.

    A head whose number counts the pages may stand on any. Others stand on most pages or on one after the
    other, and seldom within pages.
    """
    least = 3 if n_pages > 4 else 2
    is_text = [text[lines[i, LAST] - 1] in ".!?。" and lines[i, WORDS] >= _SENTENCE for i in border.tolist()]
    heads = _page_numbers(text, lines, border, pages, n_pages, least)
    likely = np.flatnonzero((lines[border, WORDS] <= 16) & ~np.array(is_text, np.bool_))
    _values, inverse, counts = np.unique(
        _shapes(text, lines, border), return_inverse=True, return_counts=True
    )
    recurs = likely[counts[inverse[likely]] >= least]
    is_apart = 3 * counts[inverse] >= 2 * _everywhere(lines, border)
    for group in _groups(recurs, inverse[recurs]):
        members = [text[lines[i, FIRST] : lines[i, LAST]].expandtabs() for i in border[group].tolist()]
        found = _on_pages(pages[group], n_pages, least) & is_apart[group]
        if any(one != members[0] for one in members):
            counted = _without_counts(members, pages[group].tolist())
            found |= [one != " ".join(member.split()) for one, member in zip(counted, members, strict=True)]
            found &= _stay(counted, least)
        heads[group] |= found
    heads[numbered_alike(text, lines, border, pages, heads)] = True
    chosen: npt.NDArray[np.intp] = border[heads]
    return chosen


def _everywhere(lines: Lines, border: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return how many lines of the text have the shape of each of some lines."""
    shapes = np.sort(lines[:, SHAPE])
    own = lines[border, SHAPE]
    found: npt.NDArray[np.intp] = np.searchsorted(shapes, own, side="right") - np.searchsorted(shapes, own)
    return found


def _on_pages(pages: npt.NDArray[np.int64], n_pages: int, least: int) -> npt.NDArray[np.bool_]:
    """Tell on which pages, ascending, a running head would stand: most of all, or some one after the other.

    It may also stand on every second page, but then on one more.
    """
    if 2 * len(np.unique(pages)) >= max(n_pages, 2 * least):
        return np.ones(len(pages), np.bool_)
    found = np.zeros(len(pages), np.bool_)
    for step in (1, 2):
        runs = np.cumsum(np.diff(pages, prepend=pages[0]) > step, dtype=np.intp)
        for run in _groups(np.arange(len(pages)), runs):
            found[run] |= len(np.unique(pages[run])) >= least + step - 1
    return found


def _page_numbers(
    text: str,
    lines: Lines,
    border: npt.NDArray[np.intp],
    pages: npt.NDArray[np.int64],
    n_pages: int,
    least: int,
) -> npt.NDArray[np.bool_]:
    """Tell which lines are but numbers that are called pages, or that go up with the pages."""
    found = np.zeros(len(border), np.bool_)
    by_offset: dict[int, list[int]] = {}
    for place, i in enumerate(border.tolist()):
        if match := _number(text, lines, i):
            value = value_of(match[1].lower())
            offset = value - int(pages[place])
            is_front = match[1].islower() and offset in _FRONT
            is_named = match["whole"] is not None or _PAGE_NAMES.search(match[0]) is not None
            found[place] = is_front or (is_named and match[0][-1] not in ".)")  # "(p. 58)." refers to a page
            by_offset.setdefault(offset, []).append(place)
    for offset, places in by_offset.items():
        is_often = len(places) >= (least if offset in _FRONT else _SCATTERED)
        found[places] |= is_often or _on_pages(pages[places], n_pages, least)
    return found


def _number(text: str, lines: Lines, i: int) -> re.Match[str] | None:
    if lines[i, LETTERS] > 12 or lines[i, OTHERS] > 8:
        return None
    return _NUMBER.fullmatch(text, lines[i, FIRST], lines[i, LAST])


def _shapes(text: str, lines: Lines, border: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Return the shapes of lines, in which the letters of chapters look alike too: of "A-3" and "II-7"."""
    shapes: npt.NDArray[np.int64] = lines[border, SHAPE].copy()
    known: dict[str, int] = {}
    for place in np.flatnonzero(lines[border, DIGITS] > 0).tolist():
        line = text[lines[border[place], FIRST] : lines[border[place], LAST]]
        shape, n = _LETTERED_PAGE.subn("A-", line)
        if n:
            shapes[place] = -known.setdefault(re.sub(r"\d+", "0", shape), len(known) + 1)
    return shapes


def _groups(places: npt.NDArray[np.intp], labels: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Return the places that have the same label together, each group in its order."""
    order = np.argsort(labels, kind="stable")
    return np.split(places[order], np.flatnonzero(np.diff(labels[order])) + 1) if len(places) else []


def _without_counts(members: list[str], pages: list[int]) -> list[str]:
    """Return lines of one shape without those of their numbers that count the pages."""
    parts = [re.split(r"(\d+)", member) for member in members]
    for column in range(1, min(map(len, parts)), 2):
        values = [int(part[column]) if len(part[column]) <= 6 else -1 for part in parts]
        is_named = all(_NAMES.search(part[column - 1]) for part in parts)
        counting = _counting(values, pages, _is_head(parts[0], column))
        if not is_named and (
            sum(counting) < max(_COUNTED, 0.8 * len(parts))
            or not (_is_head(parts[0], column) or _is_set_off(parts[-1], column))
            or _is_of_date(parts, column, values)
        ):
            continue
        for part, counts in zip(parts, counting, strict=True):
            if counts or is_named:
                part[column] = "#"
    return [" ".join(_OF_CHAPTER.sub("#", "".join(part)).split()) for part in parts]


def _counting(values: list[int], pages: list[int], anywhere: bool) -> list[bool]:
    """Tell which numbers go up with the pages: from the first one, from ``anywhere``, or in each chapter."""
    offsets = [value - page for value, page in zip(values, pages, strict=True)]
    most = Counter(offsets).most_common(1)[0][0]
    found: list[bool] = []
    for offset, run in itertools.groupby(zip(offsets, values, strict=True), key=lambda one: one[0]):
        numbers = [value for _, value in run]
        is_most = offset == most and (most in _FRONT or anywhere)
        found += [is_most or (len(numbers) > 1 and 0 <= numbers[0] <= _ANEW)] * len(numbers)
    return found


def _is_set_off(parts: list[str], column: int) -> bool:
    """Tell whether a number begins its line, that of its chapter aside, or a mark parts it from the words."""
    return _SET_OFF.fullmatch(_AFTER_CHAPTER.sub("", "".join(parts[:column]))) is not None


def _is_head(parts: list[str], column: int) -> bool:
    """Tell whether a number at an end of a line is the page of a running head, and not of a record."""
    before, after = "".join(parts[:column]), "".join(parts[column + 1 :])
    is_outside = not before.strip() or not after.strip() or _WHOLE.fullmatch(after) is not None
    words = re.findall(r"[^\W\d_]{2,}", before + after)
    return (
        is_outside and len(words) >= _HEAD_WORDS and not before.rstrip().endswith((".", ":", "#", "°", "№"))
    )


def _is_of_date(parts: list[list[str]], column: int, values: list[int]) -> bool:
    """Tell whether a number that goes up from line to line is one of a date, a time or an amount."""
    first = parts[0]
    if first[column - 1].endswith("/"):
        return True
    if first[column + 1] == "/" and first[column + 2 :]:  # 3/7, whose second number is how many there are
        wholes = {part[column + 2] for part in parts if len(part) > column + 2}
        if len(wholes) > 1 or int(wholes.pop()[:9]) < max(values):
            return True
    place = len("".join(first[:column]))
    return any(match.start() <= place < match.end() for match in _DATE.finditer("".join(first)))


def _stay(members: Sequence[str], least: int) -> list[bool]:
    """Tell which lines, in their order, stay the same over several pages, if most of them do."""
    runs = Counter(member for member, _ in itertools.groupby(members))
    counts = Counter(members)
    found = [counts[member] >= least * runs[member] for member in members]
    return found if sum(found) * 3 >= 2 * len(found) else [False] * len(found)


def _lone_numbers(text: str, lines: Lines, filled: npt.NDArray[np.intp]) -> list[int]:
    """Return lines that are page numbers by their look, where nothing says where pages end."""
    likely = filled[
        (lines[filled, DIGITS] > 0) & (lines[filled, LETTERS] <= 12) & (lines[filled, OTHERS] <= 8)
    ]
    alone: list[tuple[int, int, bool]] = []
    for i in likely.tolist():
        blank_above = i == 0 or lines[i - 1, FIRST] == lines[i - 1, END]
        blank_below = i + 1 == len(lines) or lines[i + 1, FIRST] == lines[i + 1, END]
        match = (
            _NUMBER.fullmatch(text, lines[i, FIRST], lines[i, LAST]) if blank_above and blank_below else None
        )
        if match and match[1].isdecimal():
            alone.append((i, int(match[1]), _NAMED.search(match[0]) is not None))
    found = []
    for k, (i, number, named) in enumerate(alone):
        near = [alone[j] for j in (k - 1, k + 1) if 0 <= j < len(alone)]
        ascends = [
            abs(other - number) == 1 and (other > number) == (j > i) and abs(j - i) >= _LEAST_PAGE
            for j, other, _ in near
        ]
        if any(ascends) and (named or (len(alone) >= 3 and all(ascends))):
            found.append((i, named))
    bare = [i for i, named in found if not named]
    is_parting = 3 * sum(_parts_a_sentence(text, lines, filled, i) for i in bare) >= len(bare)
    return [i for i, named in found if named or is_parting]


def _parts_a_sentence(text: str, lines: Lines, filled: npt.NDArray[np.intp], i: int) -> bool:
    """Tell whether a sentence goes on below a line: a page may end within one, a record or a stanza does not.

    A running head may stand between.
    """
    place = int(np.searchsorted(filled, i))
    above, below = _two_nearest(filled[:place][::-1]), _two_nearest(filled[place + 1 :])
    open_above = [k for k in above if text[lines[k, LAST] - 1] not in ".!?:。！？："]
    initials = [text[lines[k, FIRST]] for k in below]
    if not open_above or not below:
        return False
    is_wide = initials[0].isalpha() and initials[0].lower() == initials[0].upper()
    longest = max(lines[k, LAST] - lines[k, FIRST] for k in open_above)
    return any(map(str.islower, initials)) or (is_wide and longest >= _WIDE_LINE)


def _two_nearest(filled: npt.NDArray[np.intp]) -> list[int]:
    """Return the first of some lines, and the second if a blank line parts them."""
    two: list[int] = filled[:2].tolist()
    return two if len(two) == 2 and abs(two[1] - two[0]) > 1 else two[:1]


def _contents(text: str, lines: Lines) -> list[int]:
    """Return the entries of contents pages: titles that stand elsewhere, dot leaders, and numbers.

    Three or more, whose numbers do not fall. Prices, stocks and directories look alike, but what they
    list does not head anything.
    """
    groups = _with_leaders(text, lines)
    if not groups:
        return []
    longest = max(len(title) for group in groups for _, title, _ in group)
    headings = _headings(text, lines, 2 * longest + 40)
    found: list[int] = []
    for group in groups:
        known = sum(_title(title) in headings for _, title, _ in group)
        if known >= max(2, len(group) / 3):
            found += [line for line, _, _ in group]
    return found


def _with_leaders(text: str, lines: Lines) -> list[list[tuple[int, str, int]]]:
    """Return groups of lines with dot leaders and numbers that do not fall: each with title and number."""
    groups: list[list[tuple[int, str, int]]] = []
    group: list[tuple[int, str, int]] = []
    for i in [*np.flatnonzero(lines[:, LEADERS] >= 4).tolist(), len(lines) + 9]:
        if group and i - group[-1][0] > 4:
            rises = sum(one[2] <= other[2] for one, other in itertools.pairwise(group))
            if len(group) >= 3 and rises * 10 >= 8 * (len(group) - 1):
                groups.append(group)
            group = []
        if i >= len(lines):
            break
        line = text[lines[i, FIRST] : lines[i, LAST]]
        if (leader := _LEADER.search(line)) and (number := _PAGE.fullmatch(line, leader.end())):
            group.append((i, line[: leader.start()], int(number[0]) if number[0].isdecimal() else 0))
    return groups


def _headings(text: str, lines: Lines, longest: int) -> set[str]:
    """Return what begins lines without leaders: all of a short one, what numbers it, a numbered sentence."""
    found: set[str] = set()
    for first, last in lines[lines[:, LEADERS] < 4][:, [FIRST, LAST]].tolist():
        line = text[first : min(last, first + longest)]
        section = _SECTION.match(line)
        if last - first <= longest:
            found.add(_title(line))
        if section:
            if section["named"]:
                found.add(_plain(section["named"]))
            found.add(_plain(re.split(r"[.:—–]\s", line[section.end() :], maxsplit=1)[0]))
    return found - {""}


def _title(line: str) -> str:
    """Return a title without what numbers it, if it is more than that, and as it is compared."""
    section = _SECTION.match(line)
    return _plain(line[section.end() :] if section and section.end() < len(line.rstrip()) else line)


def _plain(title: str) -> str:
    return "".join(title.casefold().split()).strip("#*_.:—–-")
