"""What of a parsed HTML page is no text of its own, and what Markdown has no way to say."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator
from typing import Any

_CELLS = ("td", "th")
_LISTS = ("dl", "ul", "ol")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_TITLED = frozenset({*_HEADINGS, "dt", "figcaption", "caption", "summary"})
_ROLES = frozenset({"navigation", "search"})
_WAYS = frozenset(
    [
        "breadcrumb",
        "breadcrumbs",
        "docnav",
        "mw-editsection",
        "nav-panel",
        "navfooter",
        "navheader",
        "navpath",
        "rst-footer-buttons",
        "skip-link",
        "skip-nav",
        "sphinxsidebar",
        "wy-breadcrumbs",
        "wy-nav-side",
    ]
)
"""Classes of what leads through pages and nothing else."""
_MAYBE_WAYS = frozenset(
    [
        "aside",
        "banner",
        "bottomnav",
        "footer",
        "global-nav",
        "header",
        "menu",
        "nav",
        "navbar",
        "navigation",
        "related",
        "sidebar",
        "subnav",
        "tabs",
        "topnav",
    ]
)
"""Classes, ids and names of elements of what leads through pages where it holds links alone."""
_PERMALINKS = frozenset({"headerlink", "header-anchor", "hash-link"})
_MARKS = frozenset({"¶", "§", "#", "🔗", "⚓", "permalink"})  # the text of a permalink
_LONGEST = 200  # characters of a cell that is said again; a longer one is a page in a table for its looks
_LONGEST_WAY = 500  # characters of "Next: ..., Previous: ..., Up: ...", where it is no links alone
_MOST_COLUMNS = 1000  # that HTML allows a cell
_ROOM = 10_000  # characters that cells said again may always take; on a longer page, as many as it has


def tidy(soup: Any, length: int) -> None:
    """Leave out navigation and permalinks; make contents lists, and give each place of a table its cell.

    Navigation stays where a page has no text but headings beside it.

    Args:
        soup: The page, as Beautiful Soup parsed it; is changed.
        length: Characters of its source.
    """
    for link in soup.find_all("a"):
        if _is_permalink(link):
            link.decompose()
    words, links = _holders(soup)
    ways = [
        tag
        for tag in soup.find_all(True)
        if _is_way(tag, links_alone=id(tag) in links and id(tag) not in words)
    ]
    if any(not is_heading for *_, is_heading in _strings(soup, {id(way) for way in ways})):
        for way in ways:
            way.extract()
    for terms in soup.find_all("dl"):
        if id(terms) in links and id(terms) not in words:
            _make_list(terms)
    groups = {id(row.parent): row.parent for row in soup.find_all("tr")}
    room = max(_ROOM, length)
    for group in groups.values():
        room = _fill(group.find_all("tr", recursive=False), room)


def _is_permalink(link: Any) -> bool:
    if _PERMALINKS.intersection(link.get("class", ())):
        return True
    return (
        "#" in link.get("href", "")
        and link.get_text(strip=True).lower() in _MARKS
        and link.find_parent(_TITLED) is not None
    )


def _names(tag: Any) -> set[str]:
    return {name.lower() for name in (tag.name, tag.get("id", ""), *tag.get("class", ()))}


def _is_way(tag: Any, *, links_alone: bool) -> bool:
    """Whether an element leads through pages, given whether all of its words are links."""
    if tag.name == "nav" or tag.get("role") in _ROLES or not _WAYS.isdisjoint(_names(tag)):
        return True
    if _MAYBE_WAYS.isdisjoint(_names(tag)):
        return False
    is_line = len(tag.get_text()) <= _LONGEST_WAY and tag.find(_HEADINGS) is None
    return links_alone or (is_line and tag.find("a", rel=("next", "prev")) is not None)


def _strings(soup: Any, without: Container[int] = ()) -> Iterator[tuple[Any, bool, bool]]:
    """Yield each string that has a letter, and whether it is in a link and in a heading."""
    from bs4.element import NavigableString, Tag

    waiting = [(soup, False, False)]
    while waiting:
        node, is_linked, is_heading = waiting.pop()
        for child in node.children:
            if id(child) in without:
                continue
            if isinstance(child, Tag):
                linked = is_linked or child.name == "a"
                waiting.append((child, linked, is_heading or child.name in _HEADINGS))
            elif type(child) is NavigableString and any(map(str.isalpha, child)):
                yield child, is_linked, is_heading


def _holders(soup: Any) -> tuple[set[int], set[int]]:
    """Return which elements hold words of their own, or a heading, and which hold words of links."""
    words: set[int] = set()
    links: set[int] = set()
    for string, is_linked, is_heading in _strings(soup):
        holders = links if is_linked and not is_heading else words
        for parent in string.parents:
            if id(parent) in holders:
                break
            holders.add(id(parent))
    return words, links


def _make_list(terms: Any) -> None:
    """Make a list of terms that are links, with such lists below them, a list of contents."""
    entries = terms.find_all(("dt", "dd"), recursive=False)
    if any(one.name == "dd" and one.find(_LISTS, recursive=False) is None for one in entries):
        return
    terms.name = "ul"
    above = None
    for entry in entries:
        if entry.name == "dd" and above is not None:
            above.extend(list(entry.contents))
            entry.decompose()
        else:
            entry.name = "li"
            above = entry


def _fill(rows: list[Any], room: int) -> int:
    """Say a cell again in each place that it spans, while there is room; return how much room is left.

    A cell that is its whole row is said once.
    """
    above: dict[int, tuple[Any, int]] = {}  # by columns: what is said again, and in how many rows
    for number, row in enumerate(rows):
        cells = row.find_all(_CELLS, recursive=False)
        if len(cells) == 1 and not above and not cells[0].has_attr("rowspan"):
            continue
        column, last = 0, None
        for cell in [*cells, None]:
            while column in above and room > 0:
                again, left = above.pop(column)
                if left > 1:
                    above[column] = again, left - 1
                last, room = _put(row, last, again, room)
                column += 1
            if cell is None:
                break
            height, width = _span(cell, "rowspan", len(rows) - number), _span(cell, "colspan", _MOST_COLUMNS)
            again = _again(cell) if max(height, width) > 1 and room > 0 else None
            last = cell
            for place in range(1 if again is None else width):
                if place:
                    last, room = _put(row, last, again, room)
                if again is not None and height > 1:
                    above[column] = again, height - 1
                column += 1
    return room


def _span(cell: Any, name: str, most: int) -> int:
    """Take a span from a cell: 1 where it has none, ``most`` for 0 and for more."""
    value = str(cell.attrs.pop(name, 1))
    return min(int(value[:6]) or most, most) if value.isdecimal() else 1


def _again(cell: Any) -> Any:
    """Return what is said of a cell in the other places that it spans."""
    again = copy.copy(cell)
    if len(cell.get_text()) > _LONGEST:
        again.clear()
    return again


def _put(row: Any, last: Any, again: Any, room: int) -> tuple[Any, int]:
    """Put a copy behind the last cell of a row; return it, and the room that is left."""
    new = copy.copy(again)
    if last is None:
        row.insert(0, new)
    else:
        last.insert_after(new)
    return new, room - len(str(new))
