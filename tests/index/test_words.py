"""Words as search terms, and the cells that they lie in."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from linear_work import work

from s3_retriever.index import scripts
from s3_retriever.index.words import PAGE, RUN, asked, cell_terms, placed_words, words

# Marks, breaks and scripts that decide borders, plus anything at all, lone surrogates included.
CRITICAL = st.text(
    st.sampled_from(
        list(" \n\t.!?…。！\"')-1aAé漢ไท\0\ud800😀")
        + list("_,'’\u00ad\u200b\u200c\u200d\u2060\ufeff\u202e\ufe0f\u0301\u0327")
        + list("ßİıΣςά㎏ﬁﷺ½²№ᄀ\u1161\u11a8가ｶﾞガ\u3099کהשׁ٣क\u093f្កŁÆ")
    ),
    max_size=60,
)
TEXT = st.one_of(CRITICAL, st.text(st.characters(codec=None), max_size=60))


def terms(text: str) -> list[str]:
    return [term for term, _ in words(text)]


def meets(question: str, text: str) -> bool:
    """Whether every word of a question is found in a text, in itself or in a weaker form."""
    here = set(terms(text))
    wanted: dict[tuple[int, int], bool] = {}
    for one in asked(question):
        wanted[one.start, one.end] = wanted.get((one.start, one.end), False) or one.term in here
    return bool(wanted) and all(wanted.values())


def strength(question: str, text: str) -> float:
    """How much of a question a text has, each term by its weight."""
    here = set(terms(text))
    return sum(one.weight for one in asked(question) if one.term in here)


def shared_out(text: str, cell_starts: np.ndarray) -> list[list[str]]:
    """The terms of each cell."""
    cells: list[list[str]] = [[] for _ in cell_starts]
    for found, places in cell_terms(text, cell_starts):
        assert places.dtype == np.int64
        for term, place in zip(found, places.tolist(), strict=True):
            cells[place].append(term)
    return cells


@given(TEXT)
@example("\u0e33")  # which is two characters in NFKC
@example("\u24885 \u338f\u33a57")
def test_words_point_into_the_text_as_given(text: str) -> None:
    found = list(placed_words(text))
    assert [(term, start) for term, start, _ in found] == list(words(text))
    starts = [start for _, start, _ in found]
    assert starts == sorted(starts)
    for term, start, end in found:
        assert term.strip("~")
        assert 0 <= start < end <= len(text)
        # Where a word is written says all that its term does: what it begins with is its first character.
        assert not re.match(f"[{scripts.IGNORABLE}\n -]", text[start])
        if unicodedata.is_normalized("NFKC", text) and not re.search("['’]", text[start:end]):
            assert term in terms(text[start:end])


@given(TEXT, st.integers(0, 60), st.integers(0, 60))
def test_a_question_copied_from_a_text_meets_it(text: str, one: int, other: int) -> None:
    """Cut at white space, so that no word is cut in two."""
    borders = [0, *(match.end() for match in re.finditer(r"[ \t]+(?![\d])|\n\n", text)), len(text)]
    start, end = sorted(borders[number % len(borders)] for number in (one, other))
    copied = text[start:end]
    assert not terms(copied) or meets(copied, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The dog's __init__ and sort_values()", "the dog __init__ init and sort_value sort value"),
        ("flies classes statements classes bus gas", "fly classe statement classe bus gas"),
        ("Straße ＡＢＣ ﬁsh e\u0301te\u0301", "strasse abc fish été ~ete"),
        ("東京都 人 Python入門", "東京 東 京都 京 都 人 python 入門 入 門"),
        ("한국어 ไทย", "한국 한 국어 국 어 ไท ไ ทย ท ย"),
        ("हिन्दी", "हिन्दी ~हिंदी"),
        ("a\0b \ud800c 😀", "a b c"),
        ("", ""),
        # Identifiers, and what they are made of.
        ("getUserById", "getuserbyid get user by id"),
        ("get_user_by_id", "get_user_by_id get user by id"),
        (
            "HTTPServer2 utf8 DNAs PDF McDonald",
            "httpserver2 http server 2 utf8 utf 8 dna pdf mcdonald mc donald",
        ),
        ("größeURLs", "grösseurl ~grosseurl grösse ~grosse url"),
        ("größteZahl", "grösstezahl ~grosstezahl grösste ~grosste zahl"),
        (
            "x_train iPhone mRNA 9f86d081884c7d65 aGVsbG8gd29ybGQ",
            "x_train train iphone phone mrna rna 9f86d081884c7d65 agvsbg8gd29ybgq",
        ),
        # Numbers.
        (
            "1,234.56 1.234,56 1'234.56 12,34,567 1234.56",
            "1234.56 1234 56 1234.56 1234 56 1234.56 1234 56 1234567 1234.56 1234 56",
        ),
        ("1 234 1\u202f234 2010 300 1 234,5", "1234 1 234 1234 1 234 2010 300 1234.5 1234 1 234 5"),
        ("1.5kg 1,234mm 3MB 220V", "1.5 1 5 kg 1234 mm 3mb 3 mb 220v 220"),
        ("python3.11 2.1rc1", "python3.11 python3 python 3.11 3 11 2.1rc1 2 1rc1 1 rc 1"),
        ("3.14 3,14 0.125", "3.14 3 14 3.14 3 14 0.125 0 125"),
        ("١٢٣٫٤٥ ١٬٢٣٤", "123.45 123 45 1234"),
        ("v1.2.3 192.168.1.1 1,2,3", "v1.2.3 v1 1.2.3 1 2 3 192.168.1.1 192 168 1 1 1 2 3"),
        ("2012-02-29 2012/2/9", "2012.02.29 2012 02 29 2012.2.9 2012 2 9"),
        ("29/02/2012, 29.02.2012", "29.02.2012 29 02 2012 29.02.2012 29 02 2012"),
        ("/2012/02/29/a 1-2-3 2012-02/29", "2012.02.29 2012 02 29 a 1 2 3 2012 02 29"),
        ("2012-02-29T12:05", "2012.02.29 2012 02 29 t12 12 05"),
        ("٣٤ ４２ x² ½", "34 42 x2 2 1 2"),
        ("1½ 10² 1990¹² CO₂ ①② m²5", "1 1 2 10 2 1990 12 co2 co 2 1 2 m2 2 5"),
        ("１，２３４．５ 1，2 ３．１４", "1234.5 1234 5 1 2 3.14 3 14"),
        ("lʼeau пʼять Oʻzbekiston", "l eau п ять o zbekiston"),
        ("अन्न सम्मान", "अन्न सम्मान"),
        # What says nothing, and hyphens at ends of lines.
        (
            "Infor\u00admations\u00adsystem \u200blight\u200bhouse\u200b li\u2060ght",
            "informationssystem lighthouse light",
        ),
        (
            "light-\nhouse well-\r\n  known Ver\u00ad\nein",
            "lighthouse light house wellknown well known verein ver ein",
        ),
        ("Ver\u00ad \nein 1.5m-\nman", "verein ver ein 1.5mman 1 5mman 5m 5 man"),
        ("2010-\n2012 a - \nb --\nc", "2010 2012 a b c"),
        ("well-known", "well known"),
        ("№5 ㎏ Acme™ ﷺ", "no5 no 5 kg acme صلى ~صلي الله عليه وسلم"),
        ("می\u200cخواهم क्\u200dष", "میخواهم ~ميخواهم می ~مي خواهم क्ष"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert terms(text) == expected.split()


IGNORED = [
    "\u00ad",
    "\u034f",
    "\u061c",
    "\u180e",
    "\u200b",
    "\u200c",
    "\u200d",
    "\u200e",
    "\u200f",
    "\u202a",
    "\u202e",
    "\u2060",
    "\u2063",
    "\u2066",
    "\u2069",
    "\ufe0e",
    "\ufe0f",
    "\ufeff",
    "\U000e0020",
    "\U000e0101",
]


@pytest.mark.parametrize(
    "word", ["lighthouse", "маяк", "φάρος", "मन्दिर", "東京", "한국", "ประภาคาร", "מגדלור", "getUserById"]
)
@pytest.mark.parametrize("ignored", IGNORED)
def test_what_nobody_sees_hides_no_word(word: str, ignored: str) -> None:
    hidden = ignored + ignored.join(word) + ignored
    assert meets(word, f"The {hidden}, as it is.")
    assert meets(hidden, f"The {word}, as it is.")
    assert strength(word, hidden) == strength(word, word)
    first = next(place for term, place in words(f"x {hidden}") if term != "x")
    assert first == 3  # where its first character stands, not what nobody sees before it


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("İSTANBUL", "istanbul"),
        ("ısı", "ISI"),
        ("STRASSE", "Straße"),
        ("STRAẞE", "strasse"),
        ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("각", "\u1100\u1161\u11a8"),
        ("한국어", unicodedata.normalize("NFD", "한국어")),
        ("ガイド", "ｶﾞｲﾄﾞ"),
        ("Ｐｙｔｈｏｎ３", "python3"),
        ("Cafe\u0301", "café"),
        ("Việt", unicodedata.normalize("NFD", "việt")),
        ("ﬁnance", "FINANCE"),
        ("القاهـــرة", "القاهرة"),
        ("⽇本", "日本"),
        ("٢٠٢٤", "2024"),
        ("1,234,567", "1.234.567"),
        ("12 345", "12345"),
        ("1,234.5", "1.234,5"),
        ("１，２３４．５", "1,234.5"),
        ("അവൻ", "അവന്\u200d"),
        ("น้ำ", "นํ้า"),
        ("ນ້ຳ", "ນໍ້າ"),
    ],
)
def test_ways_to_write_a_word_are_one_term(one: str, other: str) -> None:
    for question, text in ((one, other), (other, one)):
        assert strength(question, text) >= strength(text, text) - 1e-9 or strength(question, text) >= 1
        assert meets(question.split()[0] if " " not in question else question.replace(" ", ""), text)


@pytest.mark.parametrize(
    ("plain", "marked"),
    [
        ("cafe", "café"),
        ("Αθηνα", "Αθήνα"),
        ("ΑΘΗΝΑ", "Αθήνα"),
        ("שלום", "שָׁלוֹם"),
        ("كتاب", "كِتَابٌ"),
        ("احمد", "أحمد"),
        ("елка", "ёлка"),
        ("lodz", "Łódź"),
        ("kobenhavn", "København"),
        ("duong", "đường"),
        ("फ़िल्म".replace("\u093c", ""), "फ़िल्म"),
        ("हिंदी", "हिन्दी"),
        ("कंपनी", "कम्पनी"),
        ("पांच", "पाँच"),
        ("خانه", "خانۀ"),
        ("هندوستان", "ہندوستان"),
        ("Quran", "Qurʾān"),
        ("Gogol", "Gogolʹ"),
    ],
)
def test_accents_and_vowel_marks_are_a_weaker_form(plain: str, marked: str) -> None:
    """Either meets the other; what is written the same counts more."""
    for question, other in ((plain, marked), (marked, plain)):
        assert meets(question, other)
        assert 0 < strength(question, other) < strength(question, question)
    assert strength(marked, marked) == pytest.approx(1)
    assert "~" + terms(plain)[0] not in terms(plain)


@pytest.mark.parametrize("identifier", ["getUserById", "get_user_by_id", "GetUserById", "GET_USER_BY_ID"])
def test_identifiers_are_found_by_their_parts_and_best_by_themselves(identifier: str) -> None:
    assert meets("get user by id", identifier)
    assert meets("get the user by id", f"the {identifier}")
    assert strength(identifier, identifier) > strength(identifier, "get user by id") > 0
    assert strength(identifier, identifier) > strength(identifier, "getUser_byId") - 1e-9


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 MB", "3MB"),
        ("10 kg", "10kg"),
        ("1.5 kg", "1.5kg"),
        ("1,5 kg", "1.5kg"),
        ("220 V", "220V"),
        ("2.10.1", "v2.10.1"),
        ("Python 3.11", "python3.11"),
        ("1234", "1,234.00"),
        ("1234", "1 234,00"),
    ],
)
def test_numbers_with_units_and_versions_are_found_either_way(one: str, other: str) -> None:
    """By all of their figures at least."""
    for question, text in ((one, other), (other, one)):
        met = {term for term in terms(text) if term in {one.term for one in asked(question)}}
        figures = "".join(filter(str.isdigit, question)).removesuffix("00")
        assert figures in {"".join(filter(str.isdigit, term)) for term in met}


def test_one_part_alone_does_not_repeat_a_name() -> None:
    assert [one.term for one in asked("SARS-CoV") if not one.exact] == ["sar", "cov"]
    assert meets("RNA", "mRNA")


@pytest.mark.parametrize(
    "text", ["東京都", "ประเทศไทย", "ភាសាខ្មែរ", "ພາສາລາວ", "မြန်မာစာ", "ひらがな", "한국어"]
)
def test_scripts_without_spaces_are_met_in_any_place(text: str) -> None:
    characters = re.findall(rf".(?:[{scripts.STACKING}][^{scripts.ATTACHED}]|[{scripts.ATTACHED}])*", text)
    for n in range(1, len(characters) + 1):
        for first in range(len(characters) - n + 1):
            part = "".join(characters[first : first + n])
            assert strength(part, f"…{text}。") == pytest.approx(strength(part, part))


def test_a_pair_splits_no_written_character() -> None:
    for term in terms("ប្រទេសកម្ពុជា ที่นี่ မြန်မာ"):
        assert not re.match(f"[{scripts.ATTACHED}]", term)


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "\n",
        "a",
        "word ",
        ".",
        "a.",
        "a'",
        "é",
        "漢",
        "ไ",
        "漢a",
        "\ud800",
        "1\n",
        "1,",
        "1,234 ",
        "a-\n",
        "a-  ",
        "\u00ad",
        "a\u00ad\n",
        "e\u0301",
        "\u200b",
        "aB",
        "a_",
        "1 234 ",
        "_",
        "a1",
        "ក្ក",
        "م\u200c",
        "\u1100\u1161",
        "㎏ﬁ",
    ],
)
def test_work_is_linear(unit: str) -> None:
    """White space alone, one word many times, one word without an end, and what else could be slow."""

    def cut(text: str) -> None:
        for _ in cell_terms(text, np.arange(0, len(text), 64)):
            pass
        asked(text)

    once, twice = (work(cut, unit * (size // len(unit))) for size in (1_000, 2_000))
    assert twice < 2.2 * once + 200


def test_pairs_of_characters_that_come_again_take_less_work() -> None:
    """A text without spaces has few of them, which are not normalised again and again."""
    few = "灯台守は油を地下室に保管する" * 200
    many = "".join(map(chr, range(0x4E00, 0x4E00 + len(few))))
    assert 2 * work(terms, few) < work(terms, many)


def test_marks_are_put_in_order_a_thousand_at_a_time() -> None:
    """To sort all marks of a word takes time quadratic in them; of a hundred thousand, minutes."""
    below, above = "\u0323", "\u0300"
    assert terms("a" + 400 * (above + below))[0] == "ạ" + 399 * below + 400 * above
    long = terms("a" + 100_000 * (above + below))[0]
    assert [long.count(mark) for mark in (below, above)] == [100_000 - 1, 100_000]


@given(TEXT)
def test_no_pattern_looks_further_in_vain(text: str) -> None:
    """Where its first character lets the pattern match, it does, so a failed attempt costs one character.

    And a search for all matches is linear: what an attempt has looked at is part of its match, or bounded.
    """
    for at, character in enumerate(text):
        assert bool(RUN.match(text, at)) == bool(RUN.match(character))


def test_the_tables_of_characters_hold_what_unicode_says() -> None:
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    known = [one for one in every if unicodedata.category(one) != "Cn"]
    marks = re.compile(rf"[\w{scripts.MARKS}{scripts.IGNORABLE}]")
    if unicodedata.unidata_version <= "14.0.0":
        assert all(marks.match(one) for one in known if unicodedata.category(one) in ("Mn", "Mc"))
    trade = "\u2120\u2122\U0001f16a\U0001f16b\U0001f16c\u2adc"
    letters = re.compile(rf"[\w{scripts.MARKS}{scripts.COMPATIBLE}]")
    for one in known:
        normal = unicodedata.normalize("NFKC", one)
        if re.search(r"\w", normal) and one not in trade:
            assert letters.match(one), hex(ord(one))
    canonical = (one for one in known if unicodedata.normalize("NFC", one) == one)
    composed = (unicodedata.decomposition(one).split() for one in canonical)
    second = {chr(int(parts[1], 16)) for parts in composed if len(parts) == 2 and "<" not in parts[0]}
    whole = {one for one in second if not unicodedata.combining(one)}
    assert {one for one in whole if re.match(rf"[{scripts.MARKS}]", one)} <= scripts.FOLLOWING
    pairs_of_jamo = [chr(0x1100) + chr(code) for code in range(0x1161, 0x1176)]
    assert all(
        len(unicodedata.normalize("NFC", pair)) == 1 and pair[1] in scripts.FOLLOWING
        for pair in pairs_of_jamo
    )


@given(TEXT, st.lists(st.integers(0, 60), max_size=40))
def test_cells_share_out_all_words(text: str, offsets: list[int]) -> None:
    starts = np.array(sorted(offsets), np.uint32)
    cells = shared_out(text, starts)
    if cells:
        assert [term for one in cells for term in one] == terms(text)
        for number, one in enumerate(cells[1:], 1):
            expected = [t for t, at in words(text) if starts[number] <= at]
            assert expected[: len(one)] == one


@pytest.mark.long
def test_a_long_text_is_shared_out_in_pieces() -> None:
    text = "; ".join(map(str, range(50_000)))
    starts = np.arange(0, len(text), 1000)
    assert len(list(cell_terms(text, starts))) > 1
    found = shared_out(text, starts)
    assert [term for one in found for term in one] == list(map(str, range(50_000)))
    offsets = np.array([at for _, at in words(text)])
    assert list(map(len, found)) == np.diff(np.searchsorted(offsets, [*starts, len(text)])).tolist()


def test_every_term_of_a_question_says_where_it_stands() -> None:
    question = "Who wrote light-\nhouse, the ca\u00adfé?"
    for one, after in pairwise(asked(question)):
        assert one.start <= after.start
    assert {question[one.start : one.end] for one in asked(question) if one.weight == 1} == {
        "Who",
        "wrote",
        "light-\nhouse",
        "light",
        "house",
        "the",
    }


def test_what_a_long_question_repeats_counts_once() -> None:
    frame = '  File "/site-packages/ferry/{0}.py", line {0}, in step_{0}\n    return self.engine.start({0})\n'
    trace = "Traceback:\n" + "".join(frame.format(number) for number in range(50))
    found = asked(trace)
    assert len({(one.term, one.exact) for one in found}) == len(found) < 300
    assert {one.term for one in found} >= {"engine", "step_7", "49", "traceback"}
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert sum(one.term == "engine" for one in asked(frame.format(1) * 2)) == 2


@pytest.mark.parametrize(
    ("question", "pages"),
    [
        ("What does page 12 say about tides?", [12]),
        ("see p. 3, and pp. 7-9", [3, 7, 8, 9]),
        ("Pages 4 \u2013 5?", [4, 5]),
        ("Was steht auf Seite 31?", [31]),
        ("¿Qué dice la página 8?", [8]),
        ("第12页讲什么? 第 3 頁 / 5ページ", [12, 3, 5]),
        ("на странице 40", [40]),
        ("page 9 to 2", [9]),
        ("pages 5-3", [5]),
        ("pages 1-99999", [*range(1, 17)]),
        ("page 1.5, page 3x, rampage 12, homepage 4, page -3, 12 pages, 12 page", []),
    ],
)
def test_pages_that_a_question_names_are_terms_behind_the_others(question: str, pages: list[int]) -> None:
    found = asked(question)
    named = [one for one in found if one.term.startswith(PAGE)]
    assert [one.term for one in named] == [f"{PAGE}{page}" for page in pages]
    assert found[len(found) - len(named) :] == named
    for one in named:
        assert question[one.start : one.end].isdigit()
        assert (one.weight, one.exact) == (1.0, "")


def test_no_text_has_the_term_of_a_page() -> None:
    assert not any(term.startswith(PAGE) for term, _ in words("\f12 \f 12\f\n page\f12"))
