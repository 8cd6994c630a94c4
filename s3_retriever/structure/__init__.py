"""The units of a text: sentences, headings, items, rows, lines of code; found once, when it is indexed."""

from s3_retriever.structure.heading_text import title_of
from s3_retriever.structure.scopes import scope_level, settings_above
from s3_retriever.structure.units import Kind, Units, find_units

__all__ = ["Kind", "Units", "find_units", "scope_level", "settings_above", "title_of"]
