"""What elements of XML and HTML are, by their names: of DocBook, DITA, TEI, JATS, HTML and feeds."""

from __future__ import annotations

import numpy as np

from s3_retriever.structure.characters import hash_of

TITLE, TEXTUAL, ITEM, BLOCK, INLINE, VERBATIM, ROW, CELL, HEAD = (1 << bit for bit in range(9))
"""Bits of a name: heads what it stands in; holds sentences; is an item of a list; ends the sentence in which
it stands; ends none; holds code; is a row of a table, a cell of one, the rows of its header."""

CAPTIONED, WRAPPER, SECTION, ASIDE, BREAK, RAW, VOID, LAX, HTML, KEY = (1 << bit for bit in range(9, 19))
"""Bits of a name: its title is a caption; makes nothing deeper; is no record; is a note within a sentence;
breaks a line; holds what has no tags; in HTML, never holds anything, or ends where the next one begins;
is that of a page of HTML; without attributes, names what comes next, as in a plist."""

_NAMES = {
    TITLE: "title head h1 h2 h3 h4 h5 h6 article-title bridgehead refentrytitle",
    TEXTUAL: "p para simpara h1 h2 h3 h4 h5 h6 li dd dt term label shortdesc cmd l ab lead figcaption "
    "caption paragraph abstract blockquote",
    ITEM: "li listitem item dd step substep callout list-item answer",
    BLOCK: "p para simpara h1 h2 h3 h4 h5 h6 ul ol dl li dt dd listitem item dlentry varlistentry table tr "
    "row informaltable itemizedlist orderedlist variablelist procedure steps list table-wrap fig figure "
    "informalfigure equation informalequation disp-formula blockquote div section article example "
    "informalexample lg l sp speaker boxed-text disp-quote hr form header footer main nav aside address",
    INLINE: "a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd mark q s samp small span "
    "strike strong sub sup tt u var img br wbr emphasis literal link ulink xref ph codeph uicontrol ref hi "
    "ext-link italic bold underline monospace sc named-content email uri filename command option replaceable "
    "varname parmname filepath apiname keyword quote phrase application function firstterm citetitle "
    "systemitem constant type classname parameter guilabel guimenu inlinegraphic see seealso tspan footnote "
    "fn indexterm milestone pb cb anchor",
    VERBATIM: "programlisting screen pre codeblock literallayout synopsis script style msgblock eg preformat",
    ROW: "tr row strow sthead",
    CELL: "td th entry stentry",
    HEAD: "thead sthead",
    CAPTIONED: "figure table example informaltable informalfigure note tip warning caution important "
    "formalpara procedure variablelist itemizedlist orderedlist simplelist list fig table-wrap ref "
    "element-citation mixed-citation bibl biblstruct biblioentry monogr analytic image textinput svg g "
    "citerefentry sidebar caption",
    WRAPPER: "bookinfo articleinfo chapterinfo sectioninfo refentryinfo info refmeta titlestmt filedesc "
    "teiheader title-group article-meta front head prolog header topicmeta",
    SECTION: "section sect1 sect2 sect3 sect4 sect5 simplesect refsect1 refsect2 refsect3 refsection chapter "
    "part appendix article book preface topic concept task reference glossary div sec body",
    ASIDE: "footnote fn indexterm note",
    BREAK: "br lb",
    RAW: "script style",
    VOID: "area base br col embed hr img input link meta source track wbr",
    LAX: "p li dt dd tr td th option",
    HTML: "html",
    KEY: "key",
}


def _by_name() -> dict[int, int]:
    found: dict[int, int] = {}
    for bit, names in _NAMES.items():
        for name in names.split():
            found[hash_of(name)] = found.get(hash_of(name), 0) | bit
    return dict(sorted(found.items()))


_FOUND = _by_name()
NAMES = np.array([*_FOUND], np.uint64)
"""Hashes of the names, ascending."""
BITS = np.array([*_FOUND.values()], np.int64)
"""Bits of each."""
