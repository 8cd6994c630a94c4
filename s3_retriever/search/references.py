"""Sections that the best passages name, by a title, a file name or a heading, count more.

A question whose answer takes two steps finds the first one: "Who is the mother of the director of ...?" finds
the film, which names its director. What the passage names is what it refers to, and there the second one is.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from s3_retriever.index.layout import CELL
from s3_retriever.index.referring import NAME, name_words, placed_name_words
from s3_retriever.index.snapshot import Snapshot
from s3_retriever.search.density import Float32, Int64
from s3_retriever.search.spans import SelectedSpan

NAMING = 2
"""Best passages that name sections."""

LIFT = 0.35
"""Part of the range of a question's densities that a section rises by, times the rarity of its name, over the
root of the number of names."""

MOST_SECTIONS = 3
"""Sections that have a name; one that more have, such as "Introduction", says nothing."""

FIRST_CELLS = 4
"""Cells of a section that rise, from its first one on."""


class Section(NamedTuple):
    """Cells of a document below a name.

    Attributes:
        name: The name, with its mark.
        document: Number of the document.
        first: The first cell, counted in the document.
        end: One past the last.
    """

    name: str
    document: int
    first: int
    end: int


class Raised(NamedTuple):
    """Cells of a document that count more since a better passage names them.

    Attributes:
        name: The name, as that passage writes it.
        document: Number of the document.
        first: The first cell, counted in the document.
        end: One past the last.
        by: What is added to their density.
        below: What they do not reach by that: the greatest density.
    """

    name: str
    document: int
    first: int
    end: int
    by: float
    below: float


class Naming:
    """The best passages of an answer, as what names sections.

    Args:
        texts: Of the passages.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._words = [*map(name_words, texts)]
        self._placed = functools.cache(placed_name_words)  # few texts name anything

    @property
    def words(self) -> list[str]:
        """Of all texts, an empty one between two."""
        return [word for of_text in self._words for word in (*of_text, "")]

    def written(self, name: str) -> dict[int, str]:
        """Return a name as it is written in each text that has it, by the number of the text."""
        wanted = _words(name)
        found = {}
        for number, (text, words) in enumerate(zip(self._texts, self._words, strict=True)):
            ends = range(len(wanted), len(words) + 1)
            end = next((end for end in ends if words[end - len(wanted) : end] == wanted), None)
            if end is not None:
                places = self._placed(text)
                found[number] = text[places[end - len(wanted)][1] : places[end - 1][2]]
        return found


def naming_of(spans: Iterable[SelectedSpan]) -> list[SelectedSpan]:
    """Return those of some passages, best first, that may name sections."""
    return [span for span in spans if span.peak is not None][:NAMING]


def sections_named(snapshot: Snapshot, text: Sequence[str]) -> list[Section]:
    """Return the sections of a snapshot that some words name."""
    found = []
    borders = snapshot.document_cells
    for name, ranges in snapshot.named_ranges(text):
        documents = np.searchsorted(borders, ranges[:, 0], side="right") - 1
        places = ranges - borders[documents][:, None]
        found += [Section(name, *one) for one in np.column_stack([documents, places]).tolist()]
    return found


def raised(
    naming: Naming,
    passages: Sequence[tuple[int, SelectedSpan]],
    sections: Sequence[Sequence[Section]],
    rarity: Callable[[str], float],
    densities: tuple[float, float],
) -> list[list[Raised]]:
    """Return what counts more in each part of a corpus since the best passages name it.

    A passage does not refer to a section that it is in. It does not refer to any by a name that more than
    :data:`MOST_SECTIONS` have, or by a single word without a capital. The more names there are, the less each
    says.

    Args:
        naming: The passages.
        passages: The same: the part that each is in, and where, with documents numbered as the part does.
        sections: That they name, of each part.
        rarity: How rare a word is in its language, in [0, 1]. A name is as rare as its rarest word.
        densities: The least and the greatest of what may be returned.
    """
    counts = Counter(section.name for of_part in sections for section in of_part)
    referred: list[tuple[int, Section, str]] = []
    for part, of_part in enumerate(sections):
        for section in of_part:
            if counts[section.name] <= MOST_SECTIONS:
                written = naming.written(section.name).items()
                names = (
                    name
                    for number, name in written
                    if not (passages[number][0] == part and _is_in(passages[number][1], section))
                )
                referred += [(part, section, name) for name in names if _may_name(section, name)][:1]
    low, high = densities
    greatest = LIFT * (high - low) / math.sqrt(max(1, len({section.name for _, section, _ in referred})))
    found: list[list[Raised]] = [[] for _ in sections]
    for part, section, name in referred:
        end = min(section.end, section.first + FIRST_CELLS)
        by = greatest * max(map(rarity, _words(section.name)))
        found[part].append(Raised(name, section.document, section.first, end, by, high))
    return found


def lift(density: Float32, document_cells: Int64, sections: Sequence[Raised]) -> None:
    """Let sections count more.

    What two names raise rises by the greater one; what is excluded stays so.

    Args:
        density: float32 (n_cells,), written on.
        document_cells: int64 (n_docs + 1,).
        sections: In these documents.
    """
    before = density.copy() if sections else density
    for one in sections:
        cells = slice(*(int(document_cells[one.document]) + place for place in (one.first, one.end)))
        below = np.nextafter(np.float32(one.below), np.float32(-np.inf))
        higher = np.maximum(before[cells], np.minimum(before[cells] + np.float32(one.by), below))
        density[cells] = np.maximum(density[cells], higher)


def name_of(sections: Iterable[Raised], document: int, cell: int) -> str:
    """Return the name by which a cell of a document, counted in it, counts more; empty where it does not."""
    names = (one.name for one in sections if one.document == document and one.first <= cell < one.end)
    return next(names, "")


def _words(name: str) -> list[str]:
    return name.removeprefix(NAME).split(" ")


def _may_name(section: Section, written: str) -> bool:
    """Whether what is written may be a name: several words may, and one that has a capital."""
    return len(_words(section.name)) > 1 or written != written.lower()


def _is_in(passage: SelectedSpan, section: Section) -> bool:
    """Whether a passage is in a section, by more than a cell at whose ends others may begin."""
    first, end = section.first * CELL, section.end * CELL
    shared = min(end, passage.last_token) - max(first, passage.first_token)
    return section.document == passage.doc and shared >= min(CELL, passage.last_token - passage.first_token)
