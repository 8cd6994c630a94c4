"""Units of texts in XML: sentences over line breaks, titles, records; tags are no words of their own."""

from __future__ import annotations

import pytest
from found_units import header_of, levels_of_headings, of_kind, path_of, units

from s3_retriever.structure import find_units, title_of
from s3_retriever.structure.tagged import has_root
from s3_retriever.structure.units import Units

DOCBOOK = """<?xml version="1.0"?>
<!DOCTYPE book PUBLIC "-//OASIS//DTD DocBook XML V4.5//EN" "docbookx.dtd" [
<!ENTITY lamp "Lamp > 3">
]>
<!-- Written by Anna Lane. Not printed. -->
<book>
<bookinfo><title>The <emphasis>Lamp</emphasis> Book</title></bookinfo>
<chapter id="oil">
<title>Oil &amp; Wicks</title>
<para>The lamp is filled with <emphasis>clean</emphasis>
oil before it is <link linkend="x">lit.</link> It must
not be <emphasis>hot.</emphasis> See fig.&nbsp;3 for a drawing<footnote><para>By
J. Smith. Not to scale.</para></footnote>. Mr. Lane
made it.</para>
<itemizedlist>
<listitem><para>Trim the wick. Wipe
the glass.</para></listitem>
<listitem><para>Close the valve.</para></listitem>
</itemizedlist>
<para>Call it so:
<programlisting>
def light(lamp):
    lamp.on = True

light(lamp)
</programlisting>
and wait a minute. Then look.</para>
<figure><title>A lamp that burns</title><graphic fileref="a.png"/></figure>
<section><title>Wicks</title>
<para>A wick is a cord.</para>
</section>
</chapter>
</book>
"""


def test_docbook() -> None:
    assert units(DOCBOOK) == [
        ("data", '<?xml version="1.0"?>'),
        ("data", DOCBOOK[DOCBOOK.index("<!DOCTYPE") : DOCBOOK.index("\n<!--")]),
        ("data", "<!-- Written by Anna Lane. Not printed. -->"),
        ("heading", "<book>\n<bookinfo><title>The <emphasis>Lamp</emphasis> Book</title></bookinfo>"),
        ("heading", '<chapter id="oil">\n<title>Oil &amp; Wicks</title>'),
        (
            "prose",
            "<para>The lamp is filled with <emphasis>clean</emphasis>\noil before it is "
            '<link linkend="x">lit.</link>',
        ),
        ("prose", "It must\nnot be <emphasis>hot.</emphasis>"),
        (
            "prose",
            "See fig.&nbsp;3 for a drawing<footnote><para>By\nJ. Smith. Not to scale.</para></footnote>.",
        ),
        ("prose", "Mr. Lane\nmade it.</para>"),
        ("list", "<itemizedlist>\n<listitem><para>Trim the wick."),
        ("list", "Wipe\nthe glass.</para></listitem>"),
        ("list", "<listitem><para>Close the valve.</para></listitem>\n</itemizedlist>"),
        ("prose", "<para>Call it so:"),
        ("opener", "<programlisting>\ndef light(lamp):"),
        ("code", "lamp.on = True"),
        ("code", "light(lamp)\n</programlisting>"),
        ("prose", "and wait a minute."),
        ("prose", "Then look.</para>"),
        ("prose", "<figure><title>A lamp that burns</title>"),
        ("data", '<graphic fileref="a.png"/></figure>'),
        ("heading", "<section><title>Wicks</title>"),
        ("prose", "<para>A wick is a cord.</para>\n</section>\n</chapter>\n</book>"),
    ]
    assert path_of(DOCBOOK, "A wick") == ("The Lamp Book", "Oil & Wicks", "Wicks")
    assert path_of(DOCBOOK, "It must") == ("The Lamp Book", "Oil & Wicks")


def test_what_a_heading_in_tags_says() -> None:
    assert title_of('<sect1 id="a">\n<title>Tom &amp;\n <b>Ann</b></title>') == "Tom & Ann"
    assert title_of("<b> and <i>") == "<b> and <i>"


TEI = """<TEI.2><teiHeader><fileDesc><titleStmt><title>Bylaws</title></titleStmt></fileDesc></teiHeader>
<text><body>
<div><head>Article I</head>
<p>Members pay dues.<note>Since 1999. Twice.</note> They
vote.</p>
<div><head>Voting</head><l>One voice each,</l><l>and no proxies.</l></div>
</div>
</body></text></TEI.2>"""


def test_tei() -> None:
    assert levels_of_headings(TEI) == [
        (TEI[: TEI.index("\n")], 1),
        ("<text><body>\n<div><head>Article I</head>", 4),
        ("<div><head>Voting</head>", 5),
    ]
    assert of_kind("prose", TEI) == [
        "<p>Members pay dues.<note>Since 1999. Twice.</note>",
        "They\nvote.</p>",
        "<l>One voice each,</l>",
        "<l>and no proxies.</l></div>\n</div>\n</body></text></TEI.2>",
    ]


POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <scm>
    <url>http://example.org/lamp</url>
    <tag>HEAD</tag>
  </scm>
  <dependencies>
    <!-- for tests -->
    <dependency>
      <groupId>junit</groupId>
      <artifactId>junit</artifactId>
    </dependency>
    <dependency>
      <groupId>org.lamp</groupId>
      <artifactId>oil</artifactId>
    </dependency>
  </dependencies>
</project>
"""


def test_records_of_data_are_whole_below_what_they_stand_in() -> None:
    junit = POM[POM.index("<dependency>") : POM.index("\n    <dependency>\n      <groupId>org")]
    oil = POM[POM.rindex("<dependency>") :].rstrip()
    assert units(POM) == [
        ("data", '<project xmlns="http://maven.apache.org/POM/4.0.0">'),
        ("data", "<modelVersion>4.0.0</modelVersion>"),
        ("data", "<scm>\n    <url>http://example.org/lamp</url>\n    <tag>HEAD</tag>\n  </scm>"),
        ("data", "<dependencies>"),
        ("data", "<!-- for tests -->"),
        ("data", junit),
        ("data", oil),
    ]
    assert header_of(POM, "<dependency>\n      <groupId>org") == (
        '<project xmlns="http://maven.apache.org/POM/4.0.0">\n<dependencies>'
    )


RECORDS = {
    "schema": [
        '<key name="lit"><default>false</default><summary>Whether it burns</summary></key>',
        '<key name="old"><default>9</default><summary>Years. All.</summary></key>',
    ],
    "strings": [
        '<string name="a">Open a file. It may\n be large.</string>',
        '<string name="b">Save <b>now</b></string>',
    ],
    "channel": [
        "<item><title>Oil</title><link>http://a.b/1</link><description>It rose. It fell</description></item>",
        "<item><title>Gas</title><link>http://a.b/2</link></item>",
    ],
    "body": [
        '<tu><tuv xml:lang="en"><seg>Good day.</seg></tuv>\n<tuv xml:lang="de"><seg>Tag.</seg></tuv></tu>',
        '<tu><tuv xml:lang="en"><seg>Yes. No.</seg></tuv>\n<tuv xml:lang="de"><seg>Ja.</seg></tuv></tu>',
    ],
    "ItemGroup": [
        '<PackageReference Include="Lamp" Version="3.1" />',
        '<PackageReference Include="Oil"\n   Version="1.0" />',
    ],
}


@pytest.mark.parametrize("name", RECORDS)
def test_short_elements_that_recur_are_whole(name: str) -> None:
    records = RECORDS[name]
    text = f"<root><{name}>\n" + "\n".join(records) + f"\n</{name}></root>"
    found = [piece for kind, piece in units(text) if kind == "data"]
    assert [one.removesuffix(f"\n</{name}></root>") for one in found[-2:]] == records


def test_keys_of_a_property_list_come_with_their_values() -> None:
    pairs = [f"<key>Lamp{n}</key>\n<string>red</string>" for n in range(30)]
    assert of_kind("data", f"<plist><dict>{''.join(pairs)}</dict></plist>")[2:-1] == pairs[:-1]


def test_a_long_element_is_cut_within() -> None:
    story = "The lamp went out at nine. Nobody saw it. " * 30
    text = f"<rss><channel><item><title>Oil</title><description>{story}</description></item></channel></rss>"
    assert len(of_kind("prose", text)) == 60
    assert path_of(text, "Nobody saw") == ("Oil",)


def test_rows_of_a_table_are_whole_below_their_header() -> None:
    text = (
        "<doc><table><thead><row><entry>Town</entry><entry>People</entry></row></thead>\n<tbody>"
        "<row><entry><para>Ulm. A town</para></entry><entry>9</entry></row>\n"
        "<row><entry>Bonn</entry><entry>7</entry></row></tbody></table><p>They are old.</p></doc>"
    )
    assert of_kind("table", text) == [
        "<tbody><row><entry><para>Ulm. A town</para></entry><entry>9</entry></row>",
        "<row><entry>Bonn</entry><entry>7</entry></row></tbody></table>",
    ]
    assert "People" in header_of(text, "<row><entry>Bonn")


def test_html_source_without_all_closing_tags() -> None:
    text = (
        "<!doctype html>\n<html><head><title>Tides</title><style>p {color: red}</style></head>\n<body>"
        "<h1>Spring tides</h1><p>They follow the\nnew moon.<br>Neap tides come later. <img src=a.png>\n"
        "<p>In <b>May</b> they are high.<ul><li>One. Two<li>Three</ul>"
        "<script>if (a < b) { f('<p>'); }</script></body></html>"
    )
    assert of_kind("heading", text) == [
        "<!doctype html>\n<html><head><title>Tides</title>"[16:],
        "<body><h1>Spring tides</h1>",
    ]
    assert of_kind("prose", text) == [
        "<p>They follow the\nnew moon.<br>",
        "Neap tides come later. <img src=a.png>",
        "<p>In <b>May</b> they are high.",
    ]
    assert of_kind("list", text) == ["<ul><li>One.", "Two", "<li>Three</ul>"]


NO_XML = {
    "markdown": "<h1 align=center>Lamp</h1>\n\nIt burns. It is red.\n\n## Use\n\nTurn <b>it</b> on.\n",
    "centred": "<div>\n\n# Lamp\n\n</div>\n\nIt burns.\n<div>End.</div>",
    "php": "<?php\n$a = 1;\n?>\n<p>One</p>\n",
    "less": "a < b and c > d. The end. <ok>",
}


@pytest.mark.parametrize("name", NO_XML)
def test_text_outside_of_elements_is_no_xml(name: str) -> None:
    text = NO_XML[name]
    before = find_units("x\n\n" + text)
    assert find_units(text).starts.tolist()[1:] == [start - 3 for start in before.starts.tolist()][2:]


def tiled(text: str) -> Units:
    found = find_units(text)
    starts = found.starts.tolist()
    assert not starts[0]
    assert all(a < b for a, b in zip([*starts, len(text)], [*starts[1:], len(text)], strict=False))
    return found


UNENDED = r"""<a>
</a>
<a
<!--
<![CDATA[
<?x
&lt;p&gt;
<p><b>
<li>x
<a b="
<!DOCTYPE [
<
&#x
&lt;/
<script>""".splitlines()


@pytest.mark.parametrize("n", [1, 50])
@pytest.mark.parametrize("piece", UNENDED)
def test_tags_that_never_end_are_text(piece: str, n: int) -> None:
    for text in ("<r>{}</r>", "<html>One. Two.{}", "<r>{} One. Two.</r>", "<html>{}</html>", "{}"):
        tiled(text.format(piece * n))


@pytest.mark.parametrize("lead", [" \n", "<!-- a -- b -->", "<?x y?>", "<!DOCTYPE a [ <!ENTITY b 'c'> ]>"])
def test_what_stands_before_the_root_is_skipped_in_one_pass(lead: str) -> None:
    assert has_root(f"{lead * 200}<a>One.</a>\n")
    assert not has_root(f"{lead * 200}One.</a>")
    assert not has_root(f"{lead * 200}<!-- <a>One.</a>")


def test_a_piece_of_a_long_text_goes_on_within_elements() -> None:
    rows = "".join(f'<string name="n{i}">Word {i}. And\nmore.</string>\n' for i in range(120_000))
    text = f"<resources>\n{rows}</resources>\n"
    found = tiled(text)
    assert len(found) == 120_001
