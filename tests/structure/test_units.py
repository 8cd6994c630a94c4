"""Units of real texts of each kind, and what holds for those of any text."""

from __future__ import annotations

import pytest
from found_units import levels_of_headings, of_kind, units
from hypothesis import given
from hypothesis import strategies as st
from linear_work import lines_run

from s3_retriever.structure import Kind, find_units


@pytest.mark.parametrize(
    "sentences",
    [
        ["The ferry leaves at nine.", "Dr. Smith, e.g., came at 3.14 p.m. with J. R. Lane.", "Why?", "No!"],
        ['"Stop!" he said.', "Well... yes, it is.", "(That was all.)", "See Fig. 3 and pp. 4-5."],
        ["Der Zug fährt z. B. am 3. Oktober.", "Nr. 5 kostet ca. 20 Euro.", "„Halt!“ rief er.", "Ja."],
        ["La Sra. López llegó a las 9.", "¿Quién es?", "¡Qué día!"],
        ["M. Dupont est parti.", "« Où ? » dit-elle.", "Il pleut."],
        ["Đó là nhà ở.", "Xây dựng khác với sản xuất."],
        ["Он родился в 1990 г. в Москве.", "Потом уехал.", "Куда?"],
        ["यह एक वाक्य है।", "दूसरा वाक्य यहाँ है।", "क्यों?"],
        ["هذا كتاب.", "أين هو؟", "هنا."],
        ["یہ پہلا جملہ ہے۔", "یہ دوسرا ہے۔"],
        ["Αυτή είναι μια πρόταση.", "Εδώ είναι άλλη."],
        ["እንደምን አደሩ።", "ደህና ነኝ።"],
        ["Սա առաջինն է։", "Սա երկրորդն է։"],
        ["See No. 5 and sec. 4 of it.", "Cmdr. Lane says no.", "He sails to Mt. Athos."],
        ["قال د. أحمد إن الرحلة طويلة.", "ثم غادر."],
        ["डॉ. शर्मा ने यह कहा।", "वह चले गए।"],
        ["그는 1931. 4. 5. 마르타를 만났다.", "그리고 떠났다."],
        ["A kormány 1931. április 5-én kezdte.", "Aztán ment.", "Am 4. 5. 1931 kam er.", "Ja."],
        ["It was in 1931.", "Nothing came.", "It was in 1932.", "12 men came in.", "3 boats left."],
        ["Toget går kl. 9.30 i dag.", "Zie blz. 12 voor meer.", "Ring godz. 9 rano.", "Viz č. 12 zde."],
        ["Siehe Kap. 3 dazu.", "Er wohnt Bahnhofstr. 12 in Bonn.", "Мира, кв. 12 справа.", "Да."],
        ["Ich traf Hr. Meier aus dem 19. Jh. zzgl. Porto.", "It took 5 hr.", "The lamp is old."],
        ["Na ul. Mira stoi św. Anna.", "Проф. Иванов и акад. Павлов ушли.", "Dag mevr. Jansen."],
        ["Le livre de J.-C. Martin est là.", "Ở TP. Hồ Chí Minh.", "Rồi."],
        ["ড. রহমান ও মো. আলী এলেন।", "পরে।"],
        ["«Когда?» — спросил он.", "„Kiedy?” – zapytał Piotr.", "«Да.» — Иванов молчал.", "Да? — сказал он."],
        ["Πότε;", "Τώρα.", "Ναι\u037e", "Όχι; ναι.", "The lamp; Its oil; and α; Β is small."],
        ["Սա առաջինն է:", "Սա երկրորդն է: սա։", "Note: The end."],
        ["བོད་ཡིག ། །", "གཉིས་པ།"],
    ],
)
def test_sentences_with_spaces_between(sentences: list[str]) -> None:
    assert units(" ".join(sentences)) == [("prose", one) for one in sentences]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Kitap 19. yüzyılda yazıldı.", "Bina 5. katta.", "II. Dünya Savaşı uzun sürdü.", "IV. Murat döndü."],
        ["II. Rákóczi Ferenc és pl. Anna jött.", "A XIX. században élt.", "A 3. emeleten lakik."],
        [
            "Los EE. UU. firmaron el tratado.",
            "Las FF. AA. y los EE. UU. salieron.",
            "Vive en EE. UU.",
            "Ella no.",
        ],
        ["Das ist der 3. Platz.", "Der 2. Weltkrieg war im 20. Jahrhundert.", "Zum 3. Mal kam er.", "Ja."],
        ["Den 2. verdenskrig begyndte i 1939.", "Hän tuli 3. tammikuuta 1990.", "V 19. století žil král."],
        ["O Exmo. Sr. Presidente chegou.", "A Exma. Sra. Silva e a Profa. Costa saíram.", "Foi no séc. XIX."],
        ["MM. Dupont et Martin sont là.", "M. Dupont part.", "Ste. Anne est là.", "C'est M. Martin."],
        ["Mieszka na ul. Długiej 5 przy al. Jana Pawła II.", "Prof. dr hab. Jan Nowak i płk. Lis wyszli."],
        [
            "Он живёт в г. Москва, просп. Мира, т. е. там.",
            "Это (англ. Lamp) лампа.",
            "Ср. Иванов, напр. Петров.",
        ],
        ["Ông ở TP. HCM.", "PGS. Nguyễn Văn A và ThS. Trần Bình đến.", "GS.TS. Lê nói."],
        ["Nel sec. XIX era così.", "Spett. Ditta Rossi, ecco.", "Vidi il cap. IV qui."],
        ["Dl. Popescu a venit.", "Gosp. Horvat je došao.", "Jl. Merdeka di Kab. Bogor.", "Dhr. Jansen gaat."],
        ["Ο κ. Νίκος και η κα. Μαρία ήρθαν.", "Живе на вул. Шевченка.", "Живее на бул. Левски."],
        ["Doç. Dr. Ali Bey, bkz. Ankara, geldi.", "Dr. Ali Atatürk Cad. No. 5 adresinde.", "Evet."],
        ["Av. Reforma 5 y Sto. Domingo.", "El Gral. San Martín y Dª. Ana vinieron.", "Sí."],
        ["Např. Karel a sv. Václav, resp. Anna.", "RNDr. Novák přišel.", "Brig. Gen. Lane came."],
    ],
)
def test_ordinals_and_titles_of_many_languages_end_no_sentence(sentences: list[str]) -> None:
    assert units(" ".join(sentences)) == [("prose", one) for one in sentences]


@pytest.mark.parametrize(
    "sentences",
    [
        ["He was 19.", "Then he left.", "I am 19.", "You know."],
        [
            "Er ist 19.",
            "Dann ging er.",
            "Bu 19.",
            "Sonra gitti.",
            "Tengo 19.",
            "Luego salí.",
            "Mødet er den 3.",
            "Vi ses.",
        ],
        ["Papst Johannes Paul II.", "Er starb 2005.", "It is the cap.", "It is red.", "No.", "I said no."],
        [
            "It is in the brig.",
            "It has 5 mm.",
            "The sta.",
            "He said sto.",
            "You sat on the ste.",
            "It is so.",
        ],
        [
            "Vive con él en EE. UU.",
            "Luego se va.",
            "No hay más UU.",
            "Así es.",
            "It is in the sec.",
            "I saw it.",
            "It has 5 MW.",
            "An eSIM.",
            "It is TS.",
            "We use it.",
        ],
    ],
)
def test_what_is_no_ordinal_or_title_ends_a_sentence(sentences: list[str]) -> None:
    assert units(" ".join(sentences)) == [("prose", one) for one in sentences]


@pytest.mark.parametrize(
    "sentences",
    [
        ["他来了。", "为什么？", "“好的。”", "三点一刻到了！"],
        ["猫が好きです。", "「行こう！」と彼は言った。", "はい。"],
        ["ខ្ញុំទៅផ្សារ។", "អ្នកទៅណា។"],
        ["သူသွားသည်။", "ငါလာသည်။"],
        ["他来了（真的。）。", "“好。”", "她走了！"],
    ],
)
def test_sentences_without_spaces_between(sentences: list[str]) -> None:
    assert units("".join(sentences)) == [("prose", one) for one in sentences]


def test_phrases_of_thai_stay_together_up_to_a_length() -> None:
    phrase = "ประเทศไทยเป็นประเทศที่ตั้งอยู่ในเอเชียตะวันออกเฉียงใต้"
    found = units(" ".join([phrase] * 6))
    assert len(found) == 3
    assert {piece for _, piece in found} == {f"{phrase} {phrase}"}
    assert len(units(f"{phrase} {phrase} ๆ")) == 1


def test_wrapped_lines_are_one_paragraph_and_short_ones_are_not() -> None:
    wrapped = (
        "The keeper of the harbour stores the oil for his lamp in the\n"
        "cellar below the tower, where Captain Lane put it long ago, and\n"
        "fills it twice a day."
    )
    assert units(wrapped) == [("prose", wrapped)]
    address = "Harbour Office\n12 Quay Street\nOld Town\n"
    assert [piece for _, piece in units(address)] == ["Harbour Office", "12 Quay Street", "Old Town"]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Wir können die Pumpen am\n12. Mai liefern.", "Das ist alles."],
        ["All the pipes have a total length of\n120.", "It is the longest of them."],
        ["This is so, as said in part\n(b) of the contract."],
        ["Der Hafen hat viele Lampen,\nz. B. rote."],
    ],
)
def test_a_wrapped_line_that_begins_with_a_number_is_no_item(sentences: list[str]) -> None:
    assert units(" ".join(sentences)) == [("prose", one) for one in sentences]


@pytest.mark.parametrize(
    ("opening", "items"),
    [
        ("You need", ["1. a pump", "2. a hose"]),
        ("The parts that you need", ["3. a pump", "4. a hose"]),
        ("All that you need is here.", ["7. a pump"]),
        ("He must pay, as is said below,", ["(b) the rent", "(c) the oil"]),
        ("The work is in these steps", ["i. a pump", "ii. a hose", "iii. a lamp"]),
        ("You need to buy just this", ["- a pump"]),
        ("Copyright 1997 Harbour Lamps Incorporated", ["(c) 1999 Lane"]),
    ],
)
def test_a_list_may_follow_a_line_without_a_mark(opening: str, items: list[str]) -> None:
    assert of_kind("list", "\n".join([opening, *items])) == items


def test_a_list_goes_on_after_a_paragraph() -> None:
    text = "1. a pump\n\nIt is old and made of iron\n2. a hose\n"
    assert of_kind("list", text) == ["1. a pump", "2. a hose"]


def test_references_begin_at_their_numbers() -> None:
    entries = ["[1] Smith and Lane, on ferries, doi 10.1000/xyz", "[2] Jones, on the lamps of old harbours"]
    assert [piece for _, piece in units("\n".join(entries))] == entries
    text = "The lamp was lit in the harbour each day, as was shown by Smith and\n[2] Jones in a paper on it."
    assert units(text) == [("prose", text)]


def test_speech_on_a_line_of_its_own_begins_a_unit() -> None:
    assert [piece for _, piece in units("«Да.»\n— Нет, — сказал он.")] == ["«Да.»", "— Нет, — сказал он."]


@pytest.mark.parametrize("indent", ["    ", "\t", "      "])
def test_a_comment_that_is_indented_like_code_is_no_heading(indent: str) -> None:
    told = "# Setup\n\nYou install it as root, and then you start it on each of the machines.\n\n"
    commands = "# install it", "apt-get install ferry", "# start it", "ferry start"
    text = told + "".join(f"{indent}{line}\n" for line in commands)
    assert levels_of_headings(text) == [("# Setup", 1)]
    assert levels_of_headings(text.replace(indent, "   ")) != [("# Setup", 1)]


def test_the_number_of_a_heading_decides_its_level() -> None:
    parts = [
        "2. RENT",
        "It is due each month.",
        "2.1 Amount",
        "It is ten crowns.",
        "HARBOUR RULES",
        "They are.",
    ]
    text = "\n\n".join(parts)
    assert levels_of_headings(text) == [("2. RENT", 1), ("2.1 Amount", 2), ("HARBOUR RULES", 2)]


def test_a_line_of_hyphens_is_below_the_first_number_sign() -> None:
    assert levels_of_headings("# Guide\n\nSetup\n-----\n\nWords.\n") == [("# Guide", 1), ("Setup\n-----", 2)]
    assert levels_of_headings("Setup\n-----\n\nWords.\n") == [("Setup\n-----", 1)]


@pytest.mark.parametrize("name", ["§ 5 Kündigung", "Art. 12 Delivery", "§ 7a Notice of leave"])
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_paragraphs_of_laws_have_headings(name: str, gap: str) -> None:
    text = f"{name}{gap}All of it is due within two weeks of the order.\n"
    assert levels_of_headings(text) == [(name, 1)]


@pytest.mark.parametrize(
    "line",
    ["§ 5 gilt nicht für alle Boote und ihre Lampen", "art. 12 of it", "§ 5 Lampen.", "Art 12 of all lamps,"],
)
def test_what_names_a_paragraph_of_a_law_may_be_prose(line: str) -> None:
    assert levels_of_headings(f"{line}\n\nAll is due within two weeks of the order, as it was told.\n") == []
    assert levels_of_headings("It is due as told in\n§ 5 Kündigung\nof the rules of the office.") == []


def test_markdown() -> None:
    text = """# Harbours

The first one. It is old.

## Stores ##

- oil for the lamp
- rope, which is
  wrapped over two lines
  - a nested item. With two sentences.
1. first
2. second

Setext heading
--------------

| place | count |
| ----- | ----: |
| north | 12 |
| south | 3 |

```python
def fill(lamp):
    # a comment. Not a sentence.
    return lamp + 1
```

Last words.
"""
    assert units(text) == [
        ("heading", "# Harbours"),
        ("prose", "The first one."),
        ("prose", "It is old."),
        ("heading", "## Stores ##"),
        ("list", "- oil for the lamp"),
        ("list", "- rope, which is\n  wrapped over two lines"),
        ("list", "- a nested item."),
        ("list", "With two sentences."),
        ("list", "1. first"),
        ("list", "2. second"),
        ("heading", "Setext heading\n--------------"),
        ("header", "| place | count |\n| ----- | ----: |"),
        ("table", "| north | 12 |"),
        ("table", "| south | 3 |"),
        ("opener", "```python\ndef fill(lamp):"),
        ("code", "# a comment. Not a sentence.\n    return lamp + 1\n```"),
        ("prose", "Last words."),
    ]


def test_levels_of_headings() -> None:
    text = "# One\n\na b.\n\n### Three\n\nc d.\n\n1.2 Scope\n\ne f.\n\nCHAPTER IV\n\nThe end of all of it.\n"
    found = find_units(text)
    assert [
        int(level) for kind, level in zip(found.kinds, found.levels, strict=True) if kind == Kind.HEADING
    ] == [
        1,
        3,
        2,
        1,
    ]


def test_restructured_text() -> None:
    text = "Title\n=====\n\nWords of it.\n\nPart\n~~~~\n\n- item one\n- item two\n"
    assert units(text) == [
        ("heading", "Title\n====="),
        ("prose", "Words of it."),
        ("heading", "Part\n~~~~"),
        ("list", "- item one"),
        ("list", "- item two"),
    ]
    assert [int(level) for level in find_units(text).levels[[0, 2]]] == [1, 2]


def test_tables_of_columns() -> None:
    text = """Sales by year are as follows, in thousands of crowns.

Place        2021     2022
North        1,200    1,310
South          800      790
Total        2,000    2,100

They rose.
"""
    assert of_kind("header", text) + of_kind("table", text) == [
        "Place        2021     2022",
        "North        1,200    1,310",
        "South          800      790",
        "Total        2,000    2,100",
    ]
    assert of_kind("prose", text)[-1] == "They rose."


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_delimited_text(mark: str) -> None:
    rows = [["name", "town", "note"], ["Ann", "Oslo", "x"], ["Bo", "Bergen", "y"], ["Cy", "Voss", "z"]]
    lines = [mark.join(row) for row in rows]
    assert units("\n".join(lines)) == [("header", lines[0]), *(("table", line) for line in lines[1:])]


def test_a_quoted_field_may_hold_a_line_break() -> None:
    text = 'name,town,note\nAnn,Oslo,"two\nlines"\nBo,Bergen,y\nCy,Voss,z\n'
    assert of_kind("table", text) == ['Ann,Oslo,"two\nlines"', "Bo,Bergen,y", "Cy,Voss,z"]


INVOICE = """Item                     Qty    Unit price      Amount
Pump, type A              14        120.00    1,680.00
Hose 20 m                  3         45.50      136.50
------------------------------------------------------
Subtotal                                      1,816.50
VAT 25%                                         454.13
TOTAL                                         2,270.63
"""

BALANCE = """Buildings                100       90
Machines                  50       45
-------------------------------------
Fixed assets             150      135
Cash                      20       10
"""


def test_a_rule_before_totals_parts_no_header() -> None:
    assert of_kind("header", INVOICE) == [INVOICE.splitlines()[0]]
    assert [row.split()[0] for row in of_kind("table", INVOICE)] == [
        "Pump,",
        "Hose",
        "Subtotal",
        "VAT",
        "TOTAL",
    ]
    assert {kind for kind, _ in units(BALANCE)} == {"table"}
    headed = "Year ended               2019     2018\n" + BALANCE
    assert of_kind("header", headed) == [headed.splitlines()[0]]


@pytest.mark.parametrize(
    "head",
    [
        "            2019    2018",
        "            Q1      Q2",
        "Place       31.12.2019    31.12.2018",
        "            (1)     (2)",
        "Sales of places\n            2019    2018",
    ],
)
@pytest.mark.parametrize("rule", ["", "-------------------------\n"])
def test_years_quarters_and_numbers_of_columns_are_a_header(head: str, rule: str) -> None:
    rows = "North       1,200   1,310\nSouth         800     790\nTotal       2,000   2,100"
    text = f"{head}\n{rule}{rows}"
    assert of_kind("table", text) == rows.splitlines()


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_delimited_table_goes_on_after_a_blank_line(mark: str) -> None:
    lines = [
        mark.join(row.split()) for row in ("region q1 q2 q3", "North 1 2 4", "South 4 5 7", "East 7 8 1")
    ]
    more = [mark.join(row.split()) for row in ("West 3 4 5", "Mid 1 2 3", "Far 7 8 8")]
    last = mark.join(["In", "1", "2", "3"])
    text = "\n".join([*lines, "", *more, "", last])
    assert of_kind("header", text) == lines[:1]
    assert of_kind("table", text) == [*lines[1:], *more, last]
    other = [mark.join(row.split()) for row in ("port 2021 2022 2023", "Oslo 1 2 4", "Voss 4 5 7")]
    assert of_kind("header", "\n".join([*lines, "", *other])) == [lines[0], other[0]]


def test_prose_after_a_delimited_table_is_no_row_of_it() -> None:
    prose = "Sums of 1,200 and 3,400 crowns were paid to the keeper of the harbour."
    assert units(f"port,fee,tax\nOslo,1,2\nVoss,3,4\n\n{prose}\n")[-1] == ("prose", prose)


@pytest.mark.parametrize("ragged", ["Bo,Bergen", "Bo", "Bo,Bergen,x,y,z"])
def test_a_ragged_row_does_not_end_a_table(ragged: str) -> None:
    text = f"key,town,note\nAnn,Oslo,x\n{ragged}\nCy,Voss,z\nDi,Moss,w\n"
    assert of_kind("header", text) == ["key,town,note"]
    assert of_kind("table", text) == text.splitlines()[1:]


CAPITALS = "country,capital\nDenmark,Copenhagen\nNorway,Oslo\nCosta Rica,San José\nChad,N'Djamena"


@pytest.mark.parametrize(
    "text",
    [
        CAPITALS,
        CAPITALS.replace(",", ";"),
        "name, town, age\nAnn, Oslo, 30\nBo, , 41\nCy, Voss, 5\nDi, Moss, 6",
    ],
)
def test_few_columns_and_spaces_behind_commas(text: str) -> None:
    lines = text.splitlines()
    assert units(text) == [("header", lines[0]), *(("table", line) for line in lines[1:])]


@pytest.mark.parametrize(
    "text",
    [
        "Staff 3,000\nSales 2,400\nBoats 1,200\nPorts 4,500\nTowns 5,600",
        "The keeper, who was old and\nthe lamp, which was red and\nthe rope, now long and\nthe oil, now dark",
        "the keeper, the lamp, and\nthe rope, the oil, all\nof them, not new, not\nred, but old, and long",
        "- oil, rope, lamp\n- red, green, blue\n- one, two, three\n- a, b, c",
    ],
)
def test_lines_with_a_few_commas_are_no_table(text: str) -> None:
    assert {kind for kind, _ in units(text)} <= {"prose", "list"}


IMPORTS = {
    "from": "from a import b,c\nfrom e import f,g\nfrom i.k import j,k\nfrom m import n,o",
    "spaced": "from a import b, c, d\nfrom e import f, g, h\nfrom i import j, k, l\nfrom m import n, o, p",
    "plain": "import os,sys\nimport re,json\nimport time,math\nimport abc,ast",
    "js": "import {a,b,c} from './a'\nimport {d,e,f} from './b'\nimport {g,h,i} from './c'",
    "js spaced": "import { a, b, c } from 'a'\nimport { d, e, f } from 'b'\nexport { g, h, i } from 'c'",
}


@pytest.mark.parametrize("name", IMPORTS)
def test_imports_in_prose_are_code(name: str) -> None:
    told = "The harbour has a lamp that burns oil.\n\n" * 4
    text = f"{told}We need these:\n\n{IMPORTS[name]}\n\nThen all of it runs.\n"
    assert {piece for kind, piece in units(text) if kind != "prose"} == {
        line.strip() for line in IMPORTS[name].split("\n")
    }
    assert {kind for kind, _ in units(text)} == {"prose", "code"}


@pytest.mark.parametrize("line", ["PATH{i}=/a;/b;/c", "ports{i} = 1,2,3", "--names{i}=a,b,c"])
def test_settings_with_lists_are_no_table(line: str) -> None:
    text = "\n".join(line.format(i=i) for i in range(4))
    assert {kind for kind, _ in units(text)} <= {"prose", "code"}
    assert [piece for _, piece in units(text)] == text.splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "He had the oil\nfrom all of the town, the\nimport of lamps, of\nrope, and so on.",
        "from the harbour import, lamp and oil\nfrom it the oil, the rope and net\n",
        "Import,Export,Year\nLamps,Oil,2001\nRope,Nets,2002\nimport,export,2003",
    ],
)
def test_words_of_imports_make_no_code_of_prose_and_rows(text: str) -> None:
    assert "code" not in {kind for kind, _ in units(text)}


@pytest.mark.parametrize(
    "text",
    [
        "Lane, Ann, Oslo\nVoss, Bo, Bergen\nMoss, Cy, Voss\nHill, Di, Moss",
        "2011, 2012, Ann\n2013, 2014, Bo\n2015, 2016, Cy\n2017, 2018, Di",
    ],
)
def test_names_and_years_with_commas_have_no_header(text: str) -> None:
    assert units(text) == [("table", line) for line in text.splitlines()]


def test_lines_between_few_semicolons_are_no_rows() -> None:
    text = ">&#60;dir&#62;</TT\n>, <TT\nCLASS\n" * 4
    assert {kind for kind, _ in units(text)} == {"prose"}


def test_a_sign_of_inches_opens_no_quoted_cell() -> None:
    text = (
        'item,count,price\nPipe 6" steel,12,4.50\nHose,3,2.00\nPipe 8" steel,1,9.00\n"Say ""hi"", Bo",1,2\n'
    )
    assert of_kind("table", text) == text.splitlines()[1:]


def test_prose_with_pipes_is_no_table() -> None:
    text = (
        "We write the probability P(A|B) of what is to come, whereas\n"
        "the other one, P(B|A), is that of the cause.\n"
    )
    assert {kind for kind, _ in units(text)} == {"prose"}
    assert units("On P(A|B)\n---------\n\nIt is small.")[0][0] == "heading"
    for table in ("a | b\nc | d", "|a|b|\n|c|d|", "a|b\n---|---\nc|d", "a|b\nc|d\ne|f"):
        assert units(table)[0][0] == "header"


def test_members_of_json() -> None:
    text = '{\n  "name": "lamp, old",\n  "parts": [\n    {"id": 1, "size": [1, 2]},\n    {"id": 2}\n  ]\n}\n'
    assert units(text) == [
        ("data", '{\n  "name": "lamp, old",'),
        ("data", '"parts": ['),
        ("data", '{"id": 1,'),
        ("data", '"size": [1, 2]},'),
        ("data", '{"id": 2}\n  ]\n}'),
    ]


PYTHON = '''"""Of lamps. And more."""

import os

LIMITS = {
    "oil": 3,
}


@cached
def fill(lamp, oil):
    """Fill a lamp."""
    for drop in oil:
        lamp.add(
            drop,
        )
    return lamp


class Lamp(Base):
    size = 1

    async def light(self):
        return os.name
'''

C = """#include <stdio.h>

static int fill(struct lamp *lamp, int oil)
{
    if (oil > 0) {
        lamp->oil += oil;
    }
    return lamp->oil;
}

int main(void) {
    printf("%d", fill(0, 1));
    return 0;
}
"""


def test_statements_of_python() -> None:
    assert units(PYTHON) == [
        ("code", '"""Of lamps. And more."""'),
        ("code", "import os"),
        ("code", 'LIMITS = {\n    "oil": 3,\n}'),
        ("opener", "@cached\ndef fill(lamp, oil):"),
        ("code", '"""Fill a lamp."""'),
        ("code", "for drop in oil:"),
        ("code", "lamp.add(\n            drop,\n        )"),
        ("code", "return lamp"),
        ("opener", "class Lamp(Base):"),
        ("code", "size = 1"),
        ("opener", "async def light(self):"),
        ("code", "return os.name"),
    ]


def test_statements_of_c() -> None:
    found = units(C)
    assert ("opener", "static int fill(struct lamp *lamp, int oil)") in [
        (kind, text.removesuffix("\n{")) for kind, text in found
    ]
    assert ("opener", "int main(void) {") in found
    assert [text for kind, text in found if kind == "prose"] == []


def body(opener: str, closer: str = "}") -> str:
    """A file with a function or class, after which more comes."""
    return f"x = 1;\n{opener}\n    go(1);\n    stop(2);\n{closer}\n\ny = 2;\n"


@pytest.mark.parametrize(
    "opener",
    [
        "export const run = async (x: number): Promise<void> => {",
        "const add = (a, b) => {",
        "const twice = x => {",
        "exports.fill = async (lamp, oil) => {",
        "const old = function (a) {",
        "lamp.fill = function(a) {",
        "fill() {",
        "init {",
        "deinit {",
        "impl<'a> Lamp<'a> {",
        "impl<T: Oil> Fill for Lamp<T> {",
        "func (l *Lamp) Fill(n int) error {",
        "public function __construct(private A $a) {",
        "public <R> List<R> all(@RequestParam String x,\n                       int y) throws IOException {",
        "Lamp<T>::Lamp(int x)\n    : oil(x), port(2) {",
        "fun <T> List<T>.second(): T {",
        "override fun fill(x: Int) {",
        "public Lamp(int a) : base(a) {",
    ],
)
def test_openers_with_braces(opener: str) -> None:
    assert of_kind("opener", body(opener))[0].startswith(opener.splitlines()[0])


@pytest.mark.parametrize(
    "line",
    [
        "items.forEach((x) => {",
        "setTimeout(() => {",
        "const found = items.map((x) => {",
        "const fill = useCallback(async (x) => {",
        "scope.launch(Dispatchers.IO) {",
        "VStack(spacing: 3) {",
        "synchronized (lamp) {",
        "lock (lamp) {",
        "else if (lamp) {",
        "elseif (lamp) {",
        "x == y => {",
        "use Handlers autotie => {",
        "lamp = {",
        "lamp.fill(oil, (error) => {",
        "return function(a) {",
    ],
)
def test_calls_with_blocks_open_nothing(line: str) -> None:
    assert of_kind("opener", body(line, "});" if line.count("(") > line.count(")") else "}")) == []


CLASSES = {
    "ts": """@Injectable()
export class Foo<T> extends Base {
  private readonly b: B;

  constructor(private a: A, b: B) {
    super();
    if (b) {
      this.b = b;
    }
  }

  @HostListener('window:resize', ['$event'])
  onResize(event) {
    group(event) {
      this.w = event.width;
    }
  }

  async load<T>(id: string): Promise<T> {
    return await this.a.get(id);
  }
}
""",
    "java": """public class Lamp {
    Lamp(Oil oil) {
        this.oil = oil;
    }

    @Override
    public String toString() {
        return "lamp";
    }
}
""",
    "swift": """struct Lamp: View {
    init(oil: Int) {
        self.oil = oil
    }

    func body() -> some View {
        VStack(spacing: 3) {
            Text("lamp")
        }
    }
}
""",
    "c#": """public class Foo : Bar
{
    Foo(int a)
    {
        this.a = a;
    }
}
""",
    "c++": """class Lamp : public Base {
public:
    Lamp(int oil) : oil_(oil) {
        go();
    }
    ~Lamp() {
        stop();
    }
};
""",
}


@pytest.mark.parametrize(
    ("name", "openers"),
    [
        ("ts", ["@Injectable()", "constructor(", "@HostListener(", "async load"]),
        ("java", ["public class", "Lamp(Oil", "@Override"]),
        ("swift", ["struct Lamp", "init(", "func body"]),
        ("c#", ["public class", "Foo(int"]),
        ("c++", ["class Lamp", "Lamp(int", "~Lamp()"]),
    ],
)
def test_methods_without_a_type_open_within_a_class(name: str, openers: list[str]) -> None:
    found = of_kind("opener", CLASSES[name])
    assert len(found) == len(openers)
    assert all(one.startswith(begin) for one, begin in zip(found, openers, strict=True))


RUBY = """require 'json'

module Harbour
  class Lamp < Base
    attr_reader :oil

    def initialize(oil)
      @oil = oil
    end

    def full?
      @oil > 3
    end

    def self.make(x)
      new(x)
    end

    private

    def go
      items.each do |x|
        puts x
      end
    end
  end
end
"""

ELIXIR = """defmodule Lamp do
  def fill(x) do
    x + 1
  end

  defp stop(x) do
    x
  end
end
"""

LUA = """local M = {}

function M.fill(lamp, oil)
  lamp.oil = oil
end

local function go(x)
  return x
end

M.stop = function(x)
  return x
end

function M:run()
  if self.x then
    self.x()
  end
end

return M
"""


@pytest.mark.parametrize(
    ("text", "openers"),
    [
        (RUBY, ["module", "class", "def initialize", "def full?", "def self.make", "def go"]),
        (ELIXIR, ["defmodule", "def fill", "defp stop"]),
        (LUA, ["function M.fill", "local function", "M.stop", "function M:run"]),
    ],
)
def test_languages_whose_blocks_have_an_end(text: str, openers: list[str]) -> None:
    assert {kind for kind, _ in units(text)} == {"opener", "code"}
    found = of_kind("opener", text)
    assert len(found) == len(openers)
    assert all(one.startswith(begin) for one, begin in zip(found, openers, strict=True))


def test_furniture_of_pages() -> None:
    page = "Annual report of the harbour\n\nThe keeper of lamp {i} is old. He stores oil.\n\n{i}\n"
    text = "\f".join(page.replace("{i}", str(i)) for i in range(1, 7))
    assert of_kind("furniture", text)[:2] == ["Annual report of the harbour", "1"]
    assert len(of_kind("furniture", text)) == 12
    assert len(of_kind("prose", text)) == 12


def test_contents_with_dot_leaders_are_furniture() -> None:
    entries = [f"{i} On the lamp of harbour {i} ........ {3 * i}" for i in range(1, 6)]
    chapters = [f"{i} On the lamp of harbour {i}\n\nThe lamp is old. It is red.\n" for i in range(1, 6)]
    text = "\n".join([*entries, "", *chapters])
    assert of_kind("furniture", text) == entries


MENU = "Soup of the day ........ 5\nPlaice, fried .......... 18\nSteak with onions ...... 24"


@pytest.mark.parametrize(
    "rows",
    [
        MENU,
        MENU.replace(" 5", " 5.00").replace("18", "12.00").replace("24", "18.00"),
        MENU.replace(" 5", " $5.00").replace("18", "$12.00").replace("24", "$18.00"),
        MENU.replace(" 5", " 5 EUR").replace("18", "12 EUR").replace("24", "18 EUR"),
        MENU.replace("......", ". . . . . "),
        "Anne Miller........555-1234\nBo Berg............555-9876",
        "Bakery ....... open daily\nButcher ....... Monday to Friday",
        "Hose, 20 m ........ 3\nRope ........ 12\nWhere is the lamp? ........ 14",
    ],
)
def test_rows_with_dot_leaders_that_are_no_contents_are_units(rows: str) -> None:
    text = f"Served from noon until nine in the evening.\n\n{rows}\n\nAll prices include service.\n"
    assert of_kind("table", text) == rows.split("\n")
    assert of_kind("furniture", text) == []


def test_a_price_list_that_comes_twice_is_no_contents() -> None:
    assert (
        of_kind("furniture", f"{MENU}\n\nThe soup is warm.\n\n{MENU}\n\nSteak with onions takes long.\n")
        == []
    )


def test_a_lone_row_is_not_cut_after_its_leader() -> None:
    assert units("Soup of the day ........ 5 EUR\n\nIt is warm.")[0][1] == "Soup of the day ........ 5 EUR"
    assert units("Soup . . . . . . 5 EUR\n\nIt is warm.")[0][1] == "Soup . . . . . . 5 EUR"


@pytest.mark.parametrize(
    ("entry", "heading"),
    [
        ("{i}. Lamps of harbour {n} ........ {page}", "{i} LAMPS OF  HARBOUR {n}"),
        ("{i}.1 Lamps of harbour {n} . . . . . {page}", "{i}.1. Lamps of harbour {n}. The keeper has them."),
        ("Chapter {i} ........ {page}", "Chapter {i}: Of harbour {n}"),
        ("Chapter {i}. Harbour {n} ........ {page}", "CHAPTER {i}\nHarbour {n}"),
        ("第{n}章 港口 …… {page}", "第{n}章 港口"),
    ],
)
def test_contents_name_what_stands_elsewhere(entry: str, heading: str) -> None:
    numbers = [{"i": i, "n": name, "page": 3 * i} for i, name in enumerate(("one", "two", "three"), 1)]
    entries = [entry.format(**one) for one in numbers]
    chapters = [heading.format(**one) + "\n\nThe lamp is old. It is red.\n" for one in numbers]
    assert of_kind("furniture", "\n".join([*entries, "", *chapters])) == entries


def pages(*lines: str, n: int = 6) -> str:
    """Pages with a text of their own; in the lines, ``i`` is the number of the page from 0."""
    told = ["the third", "the fourth", "the ninth", "the tenth", "the last", "the first"]
    page = "\n".join(
        [*lines[:1], "Hose was delivered on {day} of May to the office of the harbour.", *lines[1:]]
    )
    return "\f".join(
        page.format(i=i, one=i + 1, later=i + 345, odd=1000 + 37 * i * i, day=told[i % 6], part=i // 3 + 1)
        + "\n"
        for i in range(n)
    )


@pytest.mark.parametrize(
    "line",
    [
        "Invoice No. {odd}",
        "Total {odd} EUR.",
        "Invoice 100{one} of 7 May 2024",
        "{one} May 2024",
        "May {one}, 2024",
        "2024-05-0{one}",
        "Delivered 0{one}.05.2024",
        "Customer {odd}, sheet {one}",
        "Reading at {one}:30",
        "Invoice No. {later}",
        "Order number {later}",
        "Case of the North Light Company No. {later}",
    ],
)
def test_numbers_of_records_at_borders_of_pages_are_text(line: str) -> None:
    for text in (pages(line), pages("Harbour", line), pages("Harbour", line, n=2)):
        assert not {piece for piece in of_kind("furniture", text) if piece != "Harbour"}


@pytest.mark.parametrize(
    "line",
    [
        "- {one} -",
        "Page {one} of 40",
        "Seite {odd}",
        "{odd} / 4000",
        "Annual report of 2024, {one}",
        "Sheet {one} of 7",
        "{one} | Pumps of the harbour, 2nd edition",
        "Section {part}, printed 3 May 2024",
        "Section {part}, sheet {one}",
        "Printed 3 May 2024 at 10:30",
        "Journal of Things 12 (2004) {later}",
        "{later} Smith and Jones",
        "Chapter {part}, page {one}",
    ],
)
def test_numbers_that_count_pages_are_furniture(line: str) -> None:
    assert len(of_kind("furniture", pages("Harbour", line))) == 12


def test_numbers_of_one_shape_in_more_or_fewer_parts_are_taken() -> None:
    numbers = ["1 1/7", *(f"11/{i}" for i in range(2, 8))]
    text = "\f".join(f"Doc {one}\nThe lamp is lit on day {i}." for i, one in enumerate(numbers))
    assert "".join("".join(piece for _, piece in units(text)).split()) == "".join(text.split())


def test_heads_of_left_and_right_pages_are_furniture() -> None:
    left, right = "{one} The harbour of Voss", "Of lamps and oil {one}"
    both = "\f".join(pages((left, right)[i % 2], n=8).split("\f")[i] for i in range(8))
    assert len(of_kind("furniture", both)) == 8


def test_pages_are_counted_over_the_pieces_of_a_long_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = pages("Annual report, sheet {one}\n", n=100).replace("\f", "\n\f")
    monkeypatch.setattr("s3_retriever.structure.units._PIECE", 1 << 12)
    assert len(of_kind("furniture", text)) == 100


CHAPTERS = [(chapter, page) for chapter in range(3) for page in range(4)]


def chapters(line: str, of: list[tuple[int, int]] = CHAPTERS) -> str:
    """Pages of chapters, each numbered from 1, with a line at the head and a text of their own."""
    told = "Hose was delivered on the {i}th of May to the office of the harbour.\n"
    return "\f".join(
        f"{line}\n{told}".format(n=c + 1, letter="ABC"[c], roman=("I", "II", "III")[c], p=p + 1, i=3 * i * i)
        for i, (c, p) in enumerate(of)
    )


@pytest.mark.parametrize(
    "line",
    [
        "{n}-{p}",
        "{letter}-{p}",
        "{roman}-{p}",
        "- {n}-{p} -",
        "Page {n}-{p}",
        "Page {letter}-{p}",
        "{n}-{p} Lamps",
        "Pumps of the harbour {n}-{p}",
        "Pumps, {letter}-{p}",
        "Chapter {n}, Lamps | {p}",
        "Lamps    {n}\u2013{p}",
        "Chapter {n} of the Lamps {p}",
    ],
)
def test_pages_that_each_chapter_counts_anew_are_furniture(line: str) -> None:
    assert len(of_kind("furniture", chapters(line))) == 12


@pytest.mark.parametrize(
    "line", ["{n}-{p}", "{letter}-{p}", "{roman}-{p}", "Pumps of all kinds {letter}-{p}"]
)
def test_pages_of_short_chapters_are_furniture(line: str) -> None:
    short = [one for one in CHAPTERS if one[1] < 2 or not one[0]]
    assert len(of_kind("furniture", chapters(line, short))) == len(short)


@pytest.mark.parametrize(
    "line",
    [
        "Record {n}-{p}",
        "Figure {letter}-{p}",
        "Minutes of the council 202{n}-{p}",
        "{p}-{n} goals",
        "Lamp No. {p}",
        "Room {roman}{p}",
        "Question {p}",
        "{n}.{p} Scope",
        "{n}:{p}",
    ],
)
def test_records_that_are_numbered_anew_are_text(line: str) -> None:
    assert of_kind("furniture", chapters(line)) == []


@pytest.mark.parametrize(
    "line",
    [
        "Record {one}",
        "Customer No. {one}",
        "Question {one}",
        "Question {one} of 6",
        "Form {one}: Lamps",
        "Lamp-{one}",
        "Day {one} of the voyage",
        "Fragebogen {one}",
        "Patient #{one}",
        "\u8bb0\u5f55 {one}",
    ],
)
def test_records_of_which_each_has_a_page_are_text(line: str) -> None:
    for text in (pages(line), pages("Harbour", line)):
        assert not {piece for piece in of_kind("furniture", text) if piece != "Harbour"}


def broken_by_numbers(ends: str, begins: str, n: int = 5) -> str:
    """Parts of ten lines that end and begin so, the number of each above it."""
    middle = "\n".join(f"The lamp of the harbour is lit by the keeper in month {i}," for i in range(8))
    return "\n\n".join(f"{i}\n\n{begins}\n{middle}\n{ends}" for i in range(1, n + 1))


@pytest.mark.parametrize(
    ("ends", "begins"),
    [
        ("Note: none", "Name: Ann"),
        ("and so it burns.", "The keeper is old, and the lamp"),
        ("and so it burns", "Here stands the keeper"),
        ("\u7070\u8272\u7684\u706f", "\u59d3\u540d \u5f20\u4e09"),
    ],
)
def test_numbers_of_records_and_stanzas_are_text(ends: str, begins: str) -> None:
    assert of_kind("furniture", broken_by_numbers(ends, begins)) == []


@pytest.mark.parametrize(
    ("ends", "begins"),
    [
        ("and is lit by the", "keeper at nine"),
        ("and is lit by the", "THE HARBOUR\n\nkeeper at nine"),
        ("\u4eca\u5929\u7684\u6e2f\u53e3" * 5, "\u8239\u53ea\u5f88\u591a"),
    ],
)
def test_numbers_that_part_sentences_are_those_of_pages(ends: str, begins: str) -> None:
    numbers = [str(i) for i in range(1, 6)]
    assert of_kind("furniture", broken_by_numbers(ends, begins)) == numbers
    named = broken_by_numbers("It burns.", "The lamp")
    for i in numbers:
        named = named.replace(f"{i}\n\n", f"Page {i}\n\n")
    assert of_kind("furniture", named) == [f"Page {i}" for i in numbers]


def test_prose_is_not_taken_for_something_else() -> None:
    text = (
        "He said, in short, that the lamp, the oil and the rope were old. She knew.\n"
        "In 1999, the town of Voss, which is small, had 3,000 people, 20 boats and 1 ferry.\n"
        "Call it what you will: a lamp; a light; a fire.\n"
    )
    assert {kind for kind, _ in units(text)} == {"prose"}


PLAIN = [
    "word ",
    "Two. ",
    "end!\n",
    "\n\n",
    "   ",
    "漢字。",
    "😀",
    "\0",
    "\ud800",
    "é",
    "\u2028",
    "สวัสดี ",
    "\t",
]
MARKED = ["- item\n", "1. ", "# a\n", "| a | b |\n", "a,b,c\n", "```\n", "---\n", "\f", "12\n", "....... 3\n"]
RULED = [
    "+--+--+\n",
    "+==+==+\n",
    "| a  |  |\n",
    "==  ==\n",
    "    b\n",
    "== A\n",
    "|===\n",
    "----\n",
    "* B\n",
    "** TODO B\n",
    "#+begin_src\n",
    "#+end_src\n",
    ":a:\n",
    ":END:\n",
    "\\section{A\n",
    "\\item\n",
    "\\begin{tabular}\n",
    "\\end{tabular}\n",
    "\\hline\n",
    "-----\n",
    "=====\n",
    "A title of an\n",
]
CODED = ["def f():\n", "    x = (1,\n", '"""', "}\n", "{", '"', "[", "],\n", "\r\n"]
WORDS = st.sampled_from([*PLAIN, *MARKED, *RULED, *CODED])


@given(st.one_of(st.lists(WORDS, max_size=120).map("".join), st.text(max_size=200)))
def test_units_tile_any_text(text: str) -> None:
    found = find_units(text)
    starts = found.starts.tolist()
    assert bool(text) == bool(starts)
    assert starts == sorted(set(starts))
    assert starts[:1] in ([], [0])
    assert all(at < len(text) for at in starts)
    assert all(not text[at].isspace() for at in starts[1:])
    assert set(found.kinds.tolist()) <= {*Kind}
    assert len(starts) == len(found.kinds) == len(found.levels) == len(found.begins)
    assert found.begins[:1].all()


@pytest.mark.parametrize("n", [1, 3, 200_000])
def test_long_texts_are_looked_at_in_pieces(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3_retriever.structure.units._PIECE", 1 << 12)
    text = "The lamp is old. It is red.\n\n" * (n // 8) + "x" * n
    found = find_units(text)
    assert found.starts.tolist()[: 2 * (n // 8)] == [29 * i + at for i in range(n // 8) for at in (0, 17)]


def test_a_manual_with_listings_is_prose_with_code_in_it() -> None:
    told = "The valve of the pump opens when the pressure is above the limit.\nIt closes by itself."
    listing = "\n".join(f"    pump_{i} = open_valve(limit={i})" for i in range(2))
    text = "\n\n".join([told, listing] * 4)
    assert {kind for kind, _ in units(text)} == {"prose", "code"}
    assert [piece.split()[0] for piece in of_kind("prose", text)] == ["The", "It"] * 4
    assert {kind for kind, _ in units(listing)} == {"code"}


def test_tables_of_restructured_text() -> None:
    grid = "+------+------+\n| Port | Fare |\n+======+======+\n| A    | 3    |\n+------+------+\n"
    assert units(grid + "| B    | 4    |\n+------+------+\n") == [
        ("header", grid[:47]),
        ("table", "| A    | 3    |\n+------+------+"),
        ("table", "| B    | 4    |\n+------+------+"),
    ]
    head = "====  ====\nPort  Fare\n====  ====\n"
    rows = "A     3\nB     4\n====  ====\n"
    assert units(head + rows) == [
        ("header", head.strip()),
        ("table", "A     3"),
        ("table", "B     4\n====  ===="),
    ]
    assert units("Port  Fare\n----  ----\n" + rows)[0] == ("header", "Port  Fare\n----  ----")


LOGS = [
    "2024-05-03 09:12:13,001 INFO [main] passenger 1 went on board at port 1, 39 seats are left",
    "May  3 09:12:14 harbour ferryd[12]: passenger 2 went on board at port 1, 38 seats are left",
    '10.0.0.1 - - [03/May/2024:09:12:15 +0200] "GET /ferry HTTP/1.1" 200 1234 "-" "Lamp/1.0"',
]


@pytest.mark.parametrize("line", LOGS)
def test_each_line_of_a_log_is_a_unit(line: str) -> None:
    assert [piece for _, piece in units("\n".join([line] * 5))] == [line] * 5


@pytest.mark.parametrize(
    "lines",
    [["kind: Ferry", "metadata:", "  name: red", "  labels:", "    port: a"], ["seats = 4", "port=9"]],
)
def test_each_entry_of_settings_is_a_unit(lines: list[str]) -> None:
    assert [piece for _, piece in units("\n".join(lines))] == [line.strip() for line in lines]


def test_quoted_mail_is_cut_by_sentences() -> None:
    one = "> I could not find the timetable,\n> and the office was closed."
    assert units(one + " I left.") == [("prose", one), ("prose", "I left.")]


def test_a_script_with_a_shebang_is_code() -> None:
    text = "#!/bin/sh\nset -e\nfor f in *.txt; do\n  echo it\ndone\nbuild the rest\n"
    assert {kind for kind, _ in units(text)} == {"code"}


@pytest.mark.parametrize(
    ("title", "rule"),
    [
        ("A guide to the ferries of the harbour\nand of all its islands", "="),
        ("Ein Führer zu den Fähren des alten Hafens\nUnd zu allen Inseln (2. Auflage)", "-"),
        ("港にある古い灯台と新しい船着き場と倉庫についての\n長い案内", "="),
        ("O que é preciso saber antes de viajar\nnum barco do porto?", "~"),
    ],
)
def test_a_title_of_two_lines_above_an_underline_is_one_heading(title: str, rule: str) -> None:
    underlined = f"{title}\n{rule * 22}"
    text = f"Harbour\n=======\n\nThe lamp is lit.\n\n{underlined}\n\nThe ferry leaves at nine. It is red.\n"
    levels = {"=": 1, "-": 2, "~": 2}
    assert levels_of_headings(text) == [("Harbour\n=======", 1), (underlined, levels[rule])]
    assert of_kind("furniture", text) == []


@pytest.mark.parametrize(
    "lines",
    [
        "The ferry is late today and so I will\nnot come to the office\n---",
        "The ferry leaves at nine from the old harbour\nand comes back at ten.\n----------------------",
        "The ferry leaves at nine from the harbour.\nIt comes back at ten\n----------------------",
        "Harbour Office\n12 Quay Street\n==============",
        "Keeper: Lane of the old harbour of Voss\nFerry: none yet\n======================",
        "The lamp hangs above the whole harbour\nand was lit by the keeper\nof it each day\n==============",
    ],
)
def test_a_rule_below_a_paragraph_makes_no_heading_of_it(lines: str) -> None:
    text = f"Harbour\n=======\n\nThe lamp is lit.\n\n{lines}\n\nAnna is the keeper of it. She is old.\n"
    assert levels_of_headings(text) == [("Harbour\n=======", 1)]


def test_hyphens_below_two_lines_need_other_underlines() -> None:
    text = "Greetings from all of us in the old harbour\nAnna Lane\n---------\n\nShe wrote it. It is old.\n"
    assert levels_of_headings(text) == []


GRID = """+--------+---------------------+
| Port   | Note                |
| (town) |                     |
+========+=====================+
| Oslo   | Leaves at nine and  |
|        | comes back at ten.  |
+--------+---------------------+
| Voss   | Two lines:          |
|        |                     |
|        | - one               |
+--------+---------------------+
| Bergen | A full line of text |
| by sea | and another one     |
+--------+---------------------+"""


def test_a_row_of_a_grid_is_all_lines_between_two_rules() -> None:
    lines = GRID.splitlines()
    rows = ["\n".join(lines[first:last]) for first, last in ((4, 7), (7, 11), (11, 14))]
    assert units(GRID) == [("header", "\n".join(lines[:4])), *(("table", row) for row in rows)]
    plain = GRID.replace("=", "-").replace("| (town) |                     |\n", "")
    lines = plain.splitlines()
    assert units(plain)[:2] == [("header", "\n".join(lines[:3])), ("table", "\n".join(lines[3:6]))]


def test_a_header_of_a_grid_may_have_several_rows_and_many_lines() -> None:
    head = GRID.splitlines()
    above = "\n".join([head[0], *head[1:3] * 4, head[0], "| a      | b                   |", head[3]])
    text = "\n".join([above, *head[4:]])
    assert "\n".join(of_kind("header", text)) == above
    assert len(of_kind("table", text)) == 3


def test_cells_of_a_grid_may_span_rows_and_columns() -> None:
    text = """+------------+------------+-----------+
| Header 1   | Header 2   | Header 3  |
+============+============+===========+
| body row 2 | Cells may span columns.|
+------------+------------+-----------+
| body row 3 | Cells may  | - Cells   |
+------------+ span rows. | - contain |
| body row 4 |            | - blocks. |
+------------+------------+-----------+"""
    lines = text.splitlines()
    assert of_kind("table", text) == ["\n".join(lines[3:5]), "\n".join(lines[5:])]


@pytest.mark.parametrize("total", ["", "| sum    |    60 |\n+--------+-------+\n"])
def test_rows_of_a_result_of_sql_are_single_lines(total: str) -> None:
    head = "+--------+-------+\n| port   | fare  |\n+--------+-------+\n"
    rows = ["| Oslo   |    30 |", "| Voss   |    20 |", "| Bergen |    10 |"]
    border = "+--------+-------+"
    text = head + "\n".join(rows) + f"\n{border}\n{total}"
    assert units(text)[:3] == [("header", head.strip()), *(("table", row) for row in rows[:2])]
    assert len(of_kind("table", text)) == 3 + bool(total)


SIMPLE = """======  =====================
Port    Note
======  =====================
Oslo    Leaves at nine and
        comes back at ten.
Voss    Has no ferry.

Bergen  Leaves at noon. It
        is full.

        It is old.
======  ====================="""


@pytest.mark.parametrize(("indent", "end"), [("", ""), ("", "\n\nAfter it. It is red.\n"), ("    ", "\n")])
def test_a_row_of_a_simple_table_goes_on_below_an_empty_first_column(indent: str, end: str) -> None:
    lines = [(indent + line).rstrip() for line in SIMPLE.splitlines()]
    text = "The ports. All of them.\n\n" + "\n".join(lines) + end
    found = [("\n".join(lines[first:last])).strip() for first, last in ((0, 3), (3, 5), (5, 6), (7, 12))]
    assert of_kind("header", text) == found[:1]
    assert of_kind("table", text) == found[1:]
    assert of_kind("furniture", text) == []


def test_headers_of_simple_tables_may_span_columns() -> None:
    text = """=====  =====  ======
   Inputs     Output
------------  ------
  A      B    A or B
=====  =====  ======
False  False  False
True   False  True
=====  =====  ======"""
    lines = text.splitlines()
    assert units(text) == [
        ("header", "\n".join(lines[:5])),
        ("table", lines[5]),
        ("table", "\n".join(lines[6:])),
    ]


def test_simple_tables_in_wide_characters_and_without_a_header() -> None:
    text = """======  ==========
港      時刻
======  ==========
大阪    九時に出て
        十時に戻る
東京    船はない
======  =========="""
    lines = text.splitlines()
    assert of_kind("table", text) == ["\n".join(lines[3:5]), "\n".join(lines[5:])]
    bare = "\n".join([lines[0], *lines[3:]])
    assert units(bare) == [("table", "\n".join([lines[0], *lines[3:5]])), ("table", "\n".join(lines[5:]))]


def test_rules_in_columns_around_prose_are_no_simple_table() -> None:
    told = "The ferry leaves at nine. It is red."
    text = f"=====  =====\n{told}\n=====  =====\n"
    assert [piece for kind, piece in units(text) if kind in ("table", "header")] == []
    assert ("prose", "It is red.") in units(f"=====  =====\n\n{told}\n\n=====  =====\n")


@pytest.mark.parametrize(
    "line", [".. _ferries:", ".. image:: lamp.png", "... And then he left", ". First of all"]
)
def test_a_stop_that_nothing_precedes_ends_no_sentence(line: str) -> None:
    assert units(f"Words of it.\n\n{line}\n")[-1] == ("prose", line)
    assert units(line) == [("prose", line)]


def test_work_for_a_simple_table_is_linear_in_its_columns_and_rows() -> None:
    def work(n: int) -> int:
        border = " ".join(["="] * n)
        text = "\n".join([border, *["x"] * n, border])
        return lines_run(lambda: find_units(text))

    assert work(400) < 3 * work(200)
