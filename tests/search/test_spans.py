from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import assume, given
from hypothesis import strategies as st
from linear_work import lines_run
from numpy.typing import NDArray

from s3_retriever.errors import InvalidInputError
from s3_retriever.index import CELL
from s3_retriever.search import text as text_module
from s3_retriever.search.passages import LEAST_WORDS, Page, last_below
from s3_retriever.search.pieces import piece_around
from s3_retriever.search.spans import SelectedSpan, SpanConfig, _select, _Selection, peaks, select_spans
from s3_retriever.search.text import count_words, sentence_borders, sentences, splits_word
from s3_retriever.structure import Kind, find_units

# Sentences of all lengths, blank stretches, and characters of several tokens.
WORDS = st.sampled_from(
    ["word ", "Two. ", "end!\n", "\n\n", "   ", "漢字。", "😀", "\0", "\ud800", "- item\n", "x"]
)
TEXTS = st.lists(WORDS, max_size=150).map("".join)
# For tokens of three characters: words of several tokens, marks inside words, a script without spaces.
FINE_WORDS = ["a ", "twenty-one, ", "don't ", "impossibly ", "end. ", "\n\n", "漢字と仮名", "ab\u0301c "]
FINE_TEXTS = st.lists(st.sampled_from(FINE_WORDS), max_size=80).map("".join)
CONFIGS = st.builds(
    SpanConfig,
    context=st.integers(0, 40),
    suppression=st.integers(0, 3),
    slack=st.integers(0, 40),
    min_tokens=st.integers(0, 10),
    bias_tokens=st.integers(0, 20),
)


def starts_of(text: str) -> NDArray[np.uint32]:
    """Like byte-level BPE: a space belongs to the word after it, an emoji is three tokens."""
    found = re.finditer(r"😀| ?\w+|\s+|.", text, re.DOTALL)
    return np.array([m.start() for m in found for _ in range(3 if m[0] == "😀" else 1)], np.uint32)


def tokenise(text: str) -> Page:
    return Page(text, starts_of(text), find_units(text))


def count(text: str) -> int:
    return len(starts_of(text))


def fine_starts_of(text: str) -> NDArray[np.uint32]:
    """Words of several tokens, of three characters each."""
    return np.array([m.start() for m in re.finditer(r" ?\w{1,3}|\s+|.", text, re.DOTALL)], np.uint32)


def tokenise_finely(text: str) -> Page:
    return Page(text, fine_starts_of(text), find_units(text))


def count_finely(text: str) -> int:
    return len(fine_starts_of(text))


def select(
    density: NDArray[np.float64],
    pages: list[Page],
    budget: int,
    config: SpanConfig | None = None,
    count_tokens: Callable[[str], int] = count,
) -> list[SelectedSpan]:
    return select_spans(
        density,
        document_cells(pages),
        budget=budget,
        document=lambda doc: pages[doc],
        count_tokens=count_tokens,
        config=config,
    )


def document_cells(pages: list[Page]) -> NDArray[np.int64]:
    return np.cumsum([0, *(-(-len(page.starts) // CELL) for page in pages)])


def one_peak(pages: list[Page], cell: int) -> NDArray[np.float64]:
    density = np.full(document_cells(pages)[-1], -np.inf)
    density[cell] = 1.0
    return density


@pytest.mark.long
@given(st.data(), st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 200), CONFIGS)
def test_what_holds_for_every_selection(
    data: st.DataObject, texts: list[str], budget: int, config: SpanConfig
) -> None:
    pages = [tokenise(text) for text in texts]
    n_cells = int(document_cells(pages)[-1])
    values = st.lists(st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]), min_size=n_cells, max_size=n_cells)
    density = np.array(data.draw(values), np.float64)
    extra = data.draw(st.integers(0, 2))  # a passage may take more tokens by itself than in its document

    def counter(text: str) -> int:
        return count(text) + extra

    spans = select(density, pages, budget, config, counter)
    passages = [texts[span.doc][span.start : span.end] for span in spans]

    assert sum(map(counter, passages)) <= budget
    assert sum(span.last_token - span.first_token for span in spans) <= budget
    assert all(passage and passage == passage.strip() for passage in passages)
    assert all(a.score >= b.score for a, b in pairwise(spans))
    assert spans == select(density, pages, budget, config, counter)
    by_place = sorted(spans, key=lambda span: (span.doc, span.start))
    for one, two in pairwise(by_place):
        assert one.doc < two.doc or (one.end <= two.start)
    for span in spans:
        if span.peak is not None:
            assert span.score == density[span.peak] > -np.inf
            assert document_cells(pages)[span.doc] <= span.peak < document_cells(pages)[span.doc + 1]


@given(st.text(st.sampled_from("word. W!\n漢。"), min_size=1, max_size=300), st.integers(1, 40))
def test_any_budget_gets_a_span_of_a_text_with_words(text: str, budget: int) -> None:
    pages = [tokenise("".join(text.split()) or "x")]
    spans = select(one_peak(pages, 0), pages, budget)
    assert len(spans) == 1
    assert 1 <= count(pages[0].text[spans[0].start : spans[0].end]) <= budget


@pytest.mark.long
@given(st.data(), st.lists(TEXTS, min_size=1, max_size=4), st.integers(1, 400), CONFIGS)
def test_passages_are_whole_units(
    data: st.DataObject, texts: list[str], budget: int, config: SpanConfig
) -> None:
    """A passage is cut only where it is alone, or was asked for by its tokens."""
    pages = [tokenise(text) for text in texts]
    n_cells = int(document_cells(pages)[-1])
    values = st.lists(st.sampled_from([-np.inf, 0.0, 0.5, 1.0, 2.0]), min_size=n_cells, max_size=n_cells)
    density = np.array(data.draw(values), np.float64)
    spans = select(density, pages, budget, config)
    if config.bias_tokens or len(spans) < 2:
        return
    for span in spans:
        page = pages[span.doc]
        borders = [page.stripped(*page.characters(i, i + 1)) for i in range(len(page))]
        assert span.start in [start for start, _ in borders]
        assert span.end in [end for _, end in borders]


def test_passages_are_tokenised_only_when_the_budget_is_nearly_spent() -> None:
    pages = [tokenise("Some words. " * 4000)]
    density = np.random.default_rng(0).random(document_cells(pages)[-1])
    calls = []

    def counter(text: str) -> int:
        calls.append(text)
        return count(text)

    spans = select(density, pages, 2000, count_tokens=counter)
    assert len(calls) < len(spans) + 10
    assert sum(count(pages[0].text[span.start : span.end]) for span in spans) <= 2000


@pytest.mark.long
@given(
    st.lists(st.lists(WORDS, max_size=200).map("".join) | st.integers(0, 900).map("word and ".__mul__)),
    st.integers(1, 1200),
    st.integers(0, 1),
    CONFIGS,
    st.integers(0, 99),
)
def test_passages_are_those_of_texts_tokenised_from_the_beginning(
    texts: list[str], budget: int, extra: int, config: SpanConfig, seed: int
) -> None:
    """Where texts by themselves have but a few tokens more than in their documents."""
    pages = [tokenise(text) for text in texts[:8]]
    density = np.random.default_rng(seed).random(document_cells(pages)[-1])

    def counter(text: str) -> int:
        return count(text) + extra

    plain = _Selection(budget, pages.__getitem__, counter, config, exact=True)
    _select(plain, density, document_cells(pages), config)
    assume(len(plain.spans()) <= 20)
    assert select(density, pages, budget, config, counter) == plain.spans()


@pytest.mark.parametrize("sentence", ["word and ", "漢字と仮名", "x"])
@pytest.mark.parametrize("others", [0, 50])
def test_a_long_sentence_is_tokenised_a_few_times_only(sentence: str, others: int) -> None:
    """However many peaks it has, and whatever was chosen before it."""
    pages = [tokenise_finely(text) for text in (*["Another short text. "] * others, sentence * 20000)]
    density = np.ones(document_cells(pages)[-1])
    read = []

    def counter(text: str) -> int:
        read.append(len(text))
        return count_finely(text)

    spans = select(density, pages, 8000, count_tokens=counter)
    assert sum(read) < 10 * sum(span.end - span.start for span in spans)


@pytest.mark.long
@pytest.mark.parametrize("unit", ["\n", " ", "word ", "x", ". ", "\n\n- "])
def test_choosing_passages_is_linear_in_the_text(unit: str) -> None:
    """Eight times the text takes eight times as long, not sixty-four times."""

    def seconds(n: int) -> float:
        text = unit * n
        # Tokens of two characters at most, so that there are many of them in white space too.
        page = Page(text, np.arange(0, len(text), 2, np.uint32), find_units(text))
        density = np.random.default_rng(0).random(document_cells([page])[-1])
        times = []
        for _ in range(3):
            begin = time.process_time()
            select(density, [page], 512, count_tokens=lambda piece: -(-len(piece) // 2))
            times.append(time.process_time() - begin)
        return min(times)

    seconds(1000)  # compiles the expressions
    n = 8000 // len(unit)
    assert seconds(8 * n) < 24 * max(seconds(n), 1e-3)


def test_borders_are_those_of_sentences() -> None:
    sentence = "The quick brown fox jumps over the lazy dog again. "
    text, pages = sentence * 30, [tokenise(sentence * 30)]
    spans = select(one_peak(pages, 4), pages, 500)
    passage = text[spans[0].start : spans[0].end]
    assert len(spans) == 1
    assert passage.startswith("The quick")
    assert passage.endswith("again.")
    assert spans[0].first_token <= 4 * CELL
    assert spans[0].last_token >= 5 * CELL


def test_a_sentence_longer_than_the_budget_is_cut_around_the_peak() -> None:
    pages = [tokenise("word " * 500)]
    (span,) = select(one_peak(pages, 7), pages, 10)
    assert span.last_token - span.first_token == 10
    assert 7 * CELL <= span.first_token < span.last_token <= 8 * CELL


def test_a_span_cut_to_the_rest_of_the_budget_keeps_whole_words() -> None:
    text = "extraordinarily unbelievable circumstances " * 60
    page = tokenise_finely(text)
    for budget in range(6, 40):
        (span,) = select(one_peak([page], 7), [page], budget, count_tokens=count_finely)
        words = text[span.start : span.end].split()
        assert words
        assert set(words) <= {"extraordinarily", "unbelievable", "circumstances"}
        assert count_finely(text[span.start : span.end]) <= budget


@pytest.mark.parametrize("mark", [".", ",", ")", " ."])
def test_a_span_cut_to_the_budget_begins_with_no_mark_of_what_was_cut_off(mark: str) -> None:
    text = f"some words{mark} " * 60
    page = tokenise_finely(text)
    for budget in range(8, 60):
        (span,) = select(one_peak([page], 7), [page], budget, count_tokens=count_finely)
        assert text[span.start].isalpha()


@pytest.mark.long
@given(st.data(), FINE_TEXTS, st.integers(1, 60), st.integers(0, 12))
def test_spans_begin_and_end_inside_a_word_only_if_they_are_part_of_one(
    data: st.DataObject, text: str, budget: int, bias_tokens: int
) -> None:
    page = tokenise_finely(text)
    n_cells = int(document_cells([page])[-1])
    values = st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.0]), min_size=n_cells, max_size=n_cells)
    density = np.array(data.draw(values), np.float64)
    spans = select(density, [page], budget, SpanConfig(bias_tokens=bias_tokens), count_finely)
    assert sum(count_finely(text[span.start : span.end]) for span in spans) <= budget
    for span in spans:
        if any(span.start < at < span.end and not splits_word(text, at) for at in page.starts.tolist()):
            assert not splits_word(text, span.start)
            assert not splits_word(text, span.end)


@pytest.mark.parametrize("character", ["กี่", "ကျွန်", "👩\u200d👩\u200d👧", "e\u0301"])
def test_what_is_longer_than_the_budget_is_cut_between_characters(character: str) -> None:
    text = character * 200
    page = Page(text, np.arange(len(text), dtype=np.uint32), find_units(text))  # a token a code point
    for budget in range(7, 40):
        (span,) = select(one_peak([page], 3), [page], budget, count_tokens=len)
        assert set(regex.findall(r"\X", text[span.start : span.end])) <= set(regex.findall(r"\X", character))


@pytest.mark.parametrize(
    "clause",
    [
        "灯台守は塔の下の地下室に油を貯えています、",
        "ผู้ดูแลประภาคารเก็บน้ำมันไว้ในห้องใต้ดิน ",
        "he stores oil in the cellar, ",
    ],
)
def test_what_is_longer_than_the_budget_is_cut_at_clauses_where_it_can_be(clause: str) -> None:
    text = f"{clause * 20}end"
    page = Page(text, np.arange(len(text), dtype=np.uint32), find_units(text))
    page.units.begins[:] = False
    budget = 4 * len(clause)
    (span,) = select(one_peak([page], 3), [page], budget, count_tokens=len)
    passage = text[span.start : span.end]
    assert passage in text
    assert set(passage.split(clause.strip())) <= {"", " "}


@pytest.mark.parametrize("text", ["word and ", "ภาษาไทย", "漢字と仮名"])
def test_where_no_clause_ends_none_is_looked_for_at_every_token(text: str) -> None:
    page = tokenise_finely(text * 2000)
    few, many = (lines_run(lambda size=size: piece_around(page, (500, 532), size)) for size in (50, 1000))
    assert many < few + 100


def test_touching_picks_become_one_span_with_the_best_score() -> None:
    pages = [tokenise("The quick fox jumps over one lazy dog. " * 40)]
    density = np.arange(float(document_cells(pages)[-1]))
    (span,) = select(density, pages, 120)
    assert (span.end, span.peak) == (len(pages[0].text) - 1, len(density) - 1)
    assert span.score == density[-1]
    assert pages[0].text[span.start :].startswith("The quick")


def test_bias_spans_take_the_lowest_score_and_stay_in_the_budget() -> None:
    pages = [tokenise("word " * 639), tokenise("other " * 639)]
    density = np.full(40, -np.inf)
    density[[10, 30]] = 2.0, 1.0
    spans = select(density, pages, 300, SpanConfig(bias_tokens=5))
    bias = [span for span in spans if span.peak is None]
    assert [(s.doc, s.first_token, s.last_token) for s in bias] == [
        (0, 0, 5),
        (0, 635, 639),
        (1, 0, 5),
        (1, 635, 639),
    ]
    assert {span.score for span in bias} == {1.0}


@pytest.mark.parametrize("n", [60, 200])
def test_a_row_comes_with_its_header_or_says_it(n: int) -> None:
    rows = [f"| harbour {i} | the keeper stores the oil of lamp {i} |" for i in range(n)]
    head = "| place | what is stored |"
    text = "\n".join(["Stores of all harbours:", "", head, "| --- | --- |", *rows])
    page = tokenise(text)
    for cell in range(int(document_cells([page])[-1])):
        (span,) = select(one_peak([page], cell), [page], 200)
        passage = text[span.start : span.end]
        assert all(line in text.splitlines() for line in passage.splitlines())
        said = page.described(span.start, span.end)
        if said["kind"] == "table":
            assert (head in passage) != (head in said["header"])


def test_a_heading_comes_with_what_it_heads_and_never_ends_a_passage() -> None:
    part = (
        "## Lamp {i}\n\n" + "The keeper of the harbour stores oil for lamp {i} in the cellar. " * 3 + "\n\n"
    )
    text = "# Stores\n\n" + "".join(part.replace("{i}", str(i)) for i in range(30))
    page = tokenise(text)
    for cell in range(int(document_cells([page])[-1])):
        for budget in (40, 60, 200):
            (span,) = select(one_peak([page], cell), [page], budget)
            passage = text[span.start : span.end]
            assert not passage.splitlines()[-1].startswith("#")
            if not passage.startswith("#"):
                assert page.described(span.start, span.end)["heading_path"][0] == "Stores"


@pytest.mark.parametrize("seed", range(8))
def test_no_heading_ends_a_passage_where_the_rest_of_the_budget_has_no_room_for_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = ["harbour", "keeper", "lamp", "oil", "ship", "tide", "of", "the", "in", "and", "for", "every"]
    parts = []
    for i in range(40):
        heading = " ".join(rng.choice(words, rng.integers(1, 14)))
        lines = [" ".join(rng.choice(words, rng.integers(8, 30))) for _ in range(rng.integers(1, 4))]
        parts.append(f"## Part {i} {heading}\n\n" + " ".join(f"Then {line}." for line in lines) + "\n\n")
    page = tokenise("".join(parts))
    headings = page.units.kinds == Kind.HEADING
    assert headings.sum() == 40
    for _ in range(60):
        density = rng.random(int(document_cells([page])[-1]))
        for span in select(density, [page], int(rng.integers(40, 200))):
            assert not headings[page.unit_at(span.end - 1)]


PYTHON = """\
def depart(day):
    return 9

with open("fares.csv") as handle:
    fares = parse_fares(handle)
    publish_fares(fares)

class Boat(Ship):
    def leave(self):
        self.pier.open()
# a note in the first column
        return self.pier

    for day in DAYS:
        plan(day)
"""
BRACES = """\
class Harbour : public Place
{
public:
    int depth(int day)
    {
        return table[day];
    }
private:
    int offset;
};
int main()
{
#ifdef LOUD
    say_so();
#endif
    return run(3);
}
"""
LABELS = """\
int other(void)
{ // the body
    int y = 2;
    if (y)
        goto fail;
    y = 3;
fail:
    release(y);
    return y;
}
"""
TABS = """\
class Stack {
\tint size;

\tint pop() {
\t\tint top = data[size];

\t\t// shrink it now
\t\tsize = size - 1;
\t\treturn top;
\t}
}
"""
FENCES = """\
# Guide

The class is this.

```python
class Quay(Place):
    def open(self):
        return 3
```

It is used like this.

```python
    opened = quay.open()
    closed = quay.close()
```
"""


@pytest.mark.parametrize(
    ("text", "line", "header"),
    [
        (PYTHON, "publish_fares(fares)", []),
        (PYTHON, "return 9", ["def depart(day):"]),
        (PYTHON, "return self.pier", ["class Boat(Ship):", "    def leave(self):"]),
        (PYTHON, "plan(day)", ["class Boat(Ship):"]),
        (BRACES, "return table[day];", ["class Harbour : public Place", "    int depth(int day)"]),
        (BRACES, "int offset;", ["class Harbour : public Place"]),
        (BRACES, "say_so();", ["int main()"]),
        (BRACES, "return run(3);", ["int main()"]),
        (LABELS, "y = 3;", ["int other(void)"]),
        (LABELS, "release(y);", ["int other(void)"]),
        (LABELS, "return y;", ["int other(void)"]),
        (TABS, "size = size - 1;", ["class Stack {", "    int pop() {"]),
        (TABS, "return top;", ["class Stack {", "    int pop() {"]),
        (FENCES, "closed = quay.close()", []),
    ],
)
def test_the_header_of_a_statement_is_what_it_stands_in(text: str, line: str, header: list[str]) -> None:
    assert tokenise(text).header(text.index(line)) == "\n".join(header)


def test_what_opens_a_statement_is_looked_for_once() -> None:
    """Not with each unit by which a passage grows."""
    page = tokenise("".join(" " * (i % 200) + "if word:\n" for i in range(400)))
    once = lines_run(lambda: page.openings(390))
    often = lines_run(lambda: [page.openings(391) for _ in range(50)])
    assert often < 2 * once


class Looked(np.ndarray):
    """Numbers that count how many of them are looked at."""

    looked = 0

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            Looked.looked += len(range(len(self))[key])
        return super().__getitem__(key)


@given(st.lists(st.integers(-1, 5), max_size=400), st.integers(0, 400), st.integers(-1, 6))
def test_the_last_lower_one_is_found_by_looking_back_to_it(values: list[int], end: int, level: int) -> None:
    end, Looked.looked = min(end, len(values)), 0
    plain = max((i for i in range(end) if values[i] < level), default=-1)
    assert last_below(np.array(values, np.int16).view(Looked), end, level) == plain
    assert Looked.looked <= 64 + 3 * (end - max(plain, 0))


def test_code_comes_in_statements_with_what_opens_its_function() -> None:
    body = "\n".join(
        f"        self.total += compute(value_{i}, [\n            {i},\n        ])" for i in range(40)
    )
    head = "class Ledger(Base):\n    def add(self, value):"
    text = f"import os\n\n\n{head}\n{body}\n\n\ndef other():\n    return 1\n"
    page = tokenise(text)
    lines = text.splitlines()
    (span,) = select(one_peak([page], 20), [page], 90)
    passage = text[span.start : span.end]
    said = page.described(span.start, span.end)
    assert said["kind"] == "code"
    assert said["header"] == head
    assert passage.startswith("self.total")
    assert passage.endswith("])")
    first, last = said["lines"]
    assert "\n".join(lines[first - 1 : last]).strip() == passage


@pytest.mark.parametrize("budget", range(20, 60))
def test_no_passage_ends_with_the_line_that_opens_a_function(budget: int) -> None:
    body = "".join(f"    value_{i} = read(value_{i - 1}, 'of the lamp in the harbour')\n" for i in range(3))
    pages = [tokenise("".join(f"def read_{i}(value):\n{body}\n" for i in range(4)))]
    for cell in range(int(document_cells(pages)[-1])):
        for span in select(one_peak(pages, cell), pages, budget):
            assert not pages[0].text[span.start : span.end].splitlines()[-1].startswith("def")


def test_a_long_run_of_marks_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Watched:
        def match(self, *args: Any) -> Any:
            found = clusters.match(*args)
            read.append(found.end() - args[1])
            return found

    clusters = text_module._CLUSTER
    monkeypatch.setattr(text_module, "_CLUSTER", Watched())
    text = "e" + "\u0301" * 10_000
    assert [text_module.splits_character(text + "e", at) for at in (1, 500, 10_001)] == [True, True, False]
    assert max(read) <= 100


def test_running_heads_and_page_numbers_are_in_no_passage() -> None:
    sentence = "The keeper of harbour {i} stores the oil for his lamp in the cellar below the tower. "
    pages = [f"Harbour stores\n\n{sentence.replace('{i}', str(p)) * 9}\n\n- {p} -\n" for p in range(1, 9)]
    text = "\f".join(pages)
    page = tokenise(text)
    for cell in range(int(document_cells([page])[-1])):
        (span,) = select(one_peak([page], cell), [page], 120)
        passage = text[span.start : span.end]
        assert "Harbour stores" not in passage
        assert not re.search(r"- \d -", passage)


def test_short_passages_take_in_their_neighbours() -> None:
    text = "Yes.\n\nNo.\n\n" + "Short one. Another. " * 40
    page = tokenise(text)
    for cell in range(int(document_cells([page])[-1])):
        (span,) = select(one_peak([page], cell), [page], 100)
        assert count_words(text[span.start : span.end], LEAST_WORDS) >= LEAST_WORDS


def test_excluded_and_blank_cells_are_never_returned() -> None:
    pages = [tokenise("word " * 31 + "\n" + "a\n\n " * 0), tokenise("\n \n"), tokenise("")]
    assert select(np.array([-np.inf, 5.0]), pages, 100) == []
    assert select(np.empty(0), [tokenise("")], 100) == []


@pytest.mark.long
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
)
def test_peaks_descend_and_keep_their_distance(sizes: list[int], suppression: int, seed: int) -> None:
    borders = np.cumsum([0, *sizes])
    density = np.random.default_rng(seed).integers(0, 4, borders[-1]).astype(float)
    found = list(peaks(density, borders, suppression))
    values = [density[cell] for _, cell in found]
    assert values == sorted(values, reverse=True)
    for doc, cell in found:
        assert borders[doc] <= cell < borders[doc + 1]
    for cell in range(int(borders[-1])):  # every cell is a peak or near one at least as high
        doc = int(np.searchsorted(borders, cell, side="right")) - 1
        near = [c for d, c in found if d == doc and abs(c - cell) <= suppression]
        assert near and max(density[c] for c in near) >= density[cell]


@pytest.mark.long
@given(st.lists(WORDS, min_size=1, max_size=200).map("".join), st.data())
def test_borders_read_locally_are_those_of_the_whole_text(text: str, data: st.DataObject) -> None:
    text = re.sub(r"\s{5,}", "\n\n", text)
    starts = starts_of(text)
    low = data.draw(st.integers(0, len(starts) - 1))
    high = data.draw(st.integers(low, len(starts)))
    everywhere = sentence_borders(text, starts, 0, len(starts))
    assert len(everywhere) >= 2 or len(sentences(text)) <= 1
    characters = [*starts.tolist(), len(text)]
    local = {characters[border] for border in sentence_borders(text, starts, low, high)}
    assert local == {
        characters[b] for b in everywhere if characters[low] <= characters[b] <= characters[high]
    }


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_must_be_positive(budget: int) -> None:
    with pytest.raises(InvalidInputError, match=str(budget)):
        select(np.empty(0), [tokenise("")], budget)


def test_a_malformed_density_is_refused() -> None:
    pages = [tokenise("word " * 100)]
    with pytest.raises(InvalidInputError, match="cell 2 is NaN"):
        select(np.array([0.0, 1.0, np.nan, 0.0]), pages, 10)
    with pytest.raises(InvalidInputError, match="4 cells"):
        select(np.zeros(3), pages, 10)


def test_a_negative_setting_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="slack must be a whole number, 0 or more, not -1"):
        SpanConfig(slack=-1)


def test_finding_a_place_in_a_long_document_copies_nothing() -> None:
    """NumPy copies an array in which it looks for a number of another type."""
    page = tokenise("One two three. " * 20_000)
    assert len(page.starts) == 80_001
    tracemalloc.start()
    try:
        tokens, unit = page.token_range(150_000, 150_040), page.unit_at(150_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tokens, unit) == ((40_000, 40_011), 10_000)
    assert peak < 10_000


@given(st.lists(st.integers(1, 6), min_size=1, max_size=300))
def test_a_passage_has_the_headings_that_a_stack_has(levels: list[int]) -> None:
    text = "".join(f"{'#' * level} Port {i}\n\nIts lamp burns.\n\n" for i, level in enumerate(levels))
    page = Page(text, np.arange(len(text), dtype=np.uint32), find_units(text))
    stack: list[tuple[int, str]] = []
    for i, level in enumerate(levels):
        stack = [*(one for one in stack if one[0] < level), (level, f"Port {i}")]
        below = page.unit_at(text.index(f" Port {i}\n") + len(f" Port {i}\n\n"))
        assert page.headings(below) == tuple(title for _, title in stack)
