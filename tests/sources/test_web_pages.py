"""What of a page is its text: no navigation, no permalinks; contents are lists; tables are filled."""

from __future__ import annotations

from pathlib import Path

import pytest
from found_units import levels_of_headings
from test_file_readers import read

from s3_retriever.structure import Kind, find_units

TEXT = "<h1>Lamps</h1><p>The keeper stores the oil.</p>"


def text_of(page: str, tmp_path: Path) -> str:
    return read(tmp_path / "page.html", page).text


@pytest.mark.parametrize(
    "anchor",
    [
        '<a class="headerlink" href="#lamps" title="Permalink to this heading">¶</a>',
        '<a class="headerlink" href="#lamps">\uf0c1</a>',
        '<a class="headerlink" href="#lamps">Link to this heading</a>',
        '<a class="anchor" href="#lamps">§</a>',
        '<span><a class="mark" href="#lamps" id="lamps">#</a></span>',
        '<a href="#lamps">Permalink</a>',
    ],
)
def test_a_permalink_is_no_part_of_its_heading(anchor: str, tmp_path: Path) -> None:
    text = text_of(f"<h2>2.4. Lamps{anchor}</h2><p>The keeper stores the oil.</p>", tmp_path)
    assert text == "## 2.4. Lamps\n\nThe keeper stores the oil."


def test_a_link_that_says_something_stays_in_its_heading(tmp_path: Path) -> None:
    page = '<h2><a href="#toc">Lamps</a> in C#</h2><p>See <a href="#p2">§</a> 2 and <a href="#p3">#</a>3.</p>'
    assert text_of(page, tmp_path) == "## Lamps in C#\n\nSee § 2 and #3."


@pytest.mark.parametrize(
    "way",
    [
        "<nav><ul><li><a href=a.html>Oil</a> stores</ul></nav>",
        '<div class="related" role="navigation"><h3>Way</h3><ul><li><a href=b.html>next</a> |</ul></div>',
        '<div class="related"><ul><li><a href=a.html>modules</a> |<li><a href=b.html>next</a> |</ul></div>',
        '<div class="sphinxsidebar"><h3>On this page</h3><ul><li><a href="#oil">Oil</a></ul></div>',
        '<div role="search"><h3>Quick search</h3><form><input></form></div>',
        '<div class="navheader"><table><tr><th>4. Lamps<tr><td><a href=x>Prev</a></table></div>',
        '<ul class="docnav top"><li><a href=a.html>Prev</a><li>The book<li><a href=b>Next</a></ul>',
        '<div id="banner"><a href="x.html">Download the ebook</a></div>',
        '<div class="nav"><a href="a">« previous</a> | <a href="b">up</a></div>',
        '<div class="header"><p>Next: <a href="b" rel="next">Boats</a>, Up: <a href="t">Top</a></p></div>',
        '<aside><ul><li><a href="a">Oil</a><li><a href="b">Boats</a></ul></aside>',
        '<footer><a href="a">Imprint</a> · <a href="b">Privacy</a></footer>',
    ],
)
def test_the_way_through_a_manual_is_no_text(way: str, tmp_path: Path) -> None:
    assert text_of(way + TEXT + way, tmp_path) == "# Lamps\n\nThe keeper stores the oil."


@pytest.mark.parametrize(
    "content",
    [
        "<aside>Never fill a lamp that burns; see <a href=a>Fire</a>.</aside>",
        "<header><h1><a href=a>The lighthouse</a></h1></header>",
        "<footer>Written by Ann Lane, <a href=a>keeper</a>.</footer>",
        '<div class="related"><h2>Related lamps</h2><p>The ferry has one.</p></div>',
        '<div class="sidebar"><p>BASICS</p><p>Oil burns with a wick.</p></div>',
        '<ul><li><a href="a">Oil</a><li><a href="b">Boats</a></ul>',
        '<div class="header">A lamp</div>',
        f'<div class="header">{"The keeper fills it at dusk. " * 20}<a rel="next" href="b">Next</a></div>',
    ],
)
def test_what_a_page_says_stays(content: str, tmp_path: Path) -> None:
    words = text_of(content, tmp_path)
    assert words and words in text_of(TEXT + content, tmp_path)


def test_a_page_of_links_alone_keeps_them(tmp_path: Path) -> None:
    page = "<h1>Contents</h1><nav><ul><li><a href=a.html>Oil</a><li><a href=b.html>Boats</a></ul></nav>"
    assert text_of(page, tmp_path) == "# Contents\n\n- Oil\n- Boats"


CONTENTS = """<h2>Chapter 8. Settings</h2><div class="toc"><p><b>Table of Contents</b></p><dl class="toc">
<dt><span><a href="a.html">8.1. Language</a></span></dt><dd><dl>
<dt><a href="a.html#x">8.1.1. Choosing a language</a></dt><dt>8.1.2. <a href="a.html#y">Keyboard</a></dt>
</dl></dd><dt><a href="b.html">8.2. Clock</a></dt></dl></div>
<p>This chapter shows what can be set.</p>"""


def test_a_list_of_contents_is_a_list_and_heads_no_text(tmp_path: Path) -> None:
    text = text_of(CONTENTS, tmp_path)
    assert text == (
        "## Chapter 8. Settings\n\nTable of Contents\n\n- 8.1. Language\n  - 8.1.1. Choosing a language\n"
        "  - 8.1.2. Keyboard\n- 8.2. Clock\n\nThis chapter shows what can be set."
    )
    assert [heading for heading, _ in levels_of_headings(text)] == ["## Chapter 8. Settings"]


def test_terms_with_their_meanings_stay_terms(tmp_path: Path) -> None:
    page = '<dl><dt><a href="#oil">Oil</a></dt><dd>It burns.</dd><dt><a href="#wick">Wick</a></dt></dl>'
    assert text_of(page, tmp_path) == "Oil\n:   It burns.\n\nWick"


def rows(page: str, tmp_path: Path) -> list[str]:
    return text_of(page, tmp_path).splitlines()


def test_a_cell_of_several_rows_is_said_in_each(tmp_path: Path) -> None:
    page = """<table><thead><tr><th>CPU<th>Name<th>Board</thead><tbody>
    <tr><td rowspan=2>MIPS<td rowspan="2">mipsel<td>Malta<tr><td>Octeon<tr><td>ARM<td rowspan=0>arm64<td>any
    <tr><td>ARM 2<td>all</tbody></table>"""
    assert rows(page, tmp_path) == [
        "| CPU | Name | Board |",
        "| --- | --- | --- |",
        "| MIPS | mipsel | Malta |",
        "| MIPS | mipsel | Octeon |",
        "| ARM | arm64 | any |",
        "| ARM 2 | arm64 | all |",
    ]


def test_a_cell_of_several_columns_is_said_in_each_unless_it_is_the_row(tmp_path: Path) -> None:
    page = """<table><tr><th rowspan=2>Year<th colspan=2>Oil<tr><th>bought<th>burnt
    <tr><td>1931<td colspan=2>none<tr><td colspan=3>After the war<tr><td>1946<td>3<td>2</table>"""
    assert rows(page, tmp_path) == [
        "| Year | Oil | Oil |",
        "| --- | --- | --- |",
        "| Year | bought | burnt |",
        "| 1931 | none | none |",
        "| After the war | | |",
        "| 1946 | 3 | 2 |",
    ]


def test_spans_end_with_their_table_and_tables_within_have_their_own(tmp_path: Path) -> None:
    page = """<table><tr><td rowspan=9>Oil<td>3<tr><td>4</table>
    <table><tr><td rowspan=2><table><tr><td rowspan=2>a<td>b<tr><td>c</table><td>1<tr><td>2</table>"""
    assert rows(page, tmp_path)[:3] == ["| Oil | 3 |", "| --- | --- |", "| Oil | 4 |"]


@pytest.mark.parametrize("span", ["colspan=1000", "rowspan=60000", "colspan=-3", "rowspan=two"])
def test_spans_make_no_page_many_times_as_long(span: str, tmp_path: Path) -> None:
    page = "<table>" + f"<tr>{f'<td {span}>oil' * 3}" * 300 + "</table>"
    assert len(text_of(page, tmp_path)) < 4 * len(page)


def test_a_table_found_with_spans_is_rows(tmp_path: Path) -> None:
    page = "<table><tr><th>CPU<th>Board<tr><td rowspan=2>MIPS<td>Malta<tr><td>Octeon</table>"
    kinds = find_units(text_of(page, tmp_path)).kinds.tolist()
    assert kinds.count(Kind.TABLE) == 2
