"""The same passage once: nothing is lost, and what copies would have cost buys other passages."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from linear_work import lines_run

from s3_retriever import Copy, Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.index import CELL
from s3_retriever.index.words import words
from s3_retriever.search import copies
from s3_retriever.search.copies import LEAST, Said, _Known, saying, select_unique
from s3_retriever.search.passages import Page
from s3_retriever.search.spans import SelectedSpan, select_spans
from s3_retriever.structure import find_units

NOTICE = "The keeper of the lighthouse accepts no liability for oil that was spilled on the stairs."
CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
SENTENCES = [
    "The lamp burns oil that the keeper carries up the stairs every evening before the sun goes down.",
    "The lamp burns oil that the keeper carried up the stairs every evening before the sun goes down.",
    "THE LAMP burns oil that the keeper carries up the stairs\nevery evening before the sun goes down!",
    "In 1901 the lamp was replaced, and the keeper of the day was given 12 pounds and a silver watch.",
    "In 1902 the lamp was replaced, and the keeper of the day was given 12 pounds and a silver watch.",
    "Ships that pass at night see two flashes, one short and one long, and know where they are.",
    "灯台守は毎晩、日が沈む前に油を階段の上まで運び、灯りをともしてから海を見張る。",
    "!!! ??? ...",
]


class Library:
    """Documents of words, a token each, and selections of them."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.starts = [
            np.array([i for i, c in enumerate(t) if c != " " and (not i or t[i - 1] == " ")], np.uint32)
            for t in texts
        ]
        self.units = [find_units(text) for text in texts]
        sizes = [-(-len(starts) // CELL) for starts in self.starts]
        self.cells = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def select(self, density: np.ndarray, budget: int, *, rough: bool = False) -> list[SelectedSpan]:
        return select_spans(
            density,
            self.cells,
            budget=budget,
            document=lambda i: Page(self.texts[i], self.starts[i], self.units[i]),
            count_tokens=None if rough else lambda text: len(text.split()),
        )

    def text(self, span: SelectedSpan) -> str:
        return self.texts[span.doc][span.start : span.end]

    def unique(self, density: np.ndarray, budget: int) -> list[tuple[SelectedSpan, tuple]]:
        return select_unique(self.select, density, self.cells, budget, saying(self.text))


def shingles(text: str) -> set[tuple[str, ...]]:
    found = [term for term, _ in words(text)] or [text]
    return {tuple(found[at : at + 3]) for at in range(max(len(found) - 2, 1))}


LAMP = SENTENCES[0]
LONGEST = max(len(sentence.split()) for sentence in SENTENCES)


@example(
    [f"{LAMP} {LAMP}", LAMP, SENTENCES[6], f"{LAMP} {LAMP} {SENTENCES[3]}", *[f"{LAMP} {LAMP}"] * 3], 44, 70
)
@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=3).map(" ".join), min_size=1, max_size=8
    ),
    st.integers(10, 200),
    st.integers(0, 2**32 - 1),
)
def test_nothing_is_lost_and_nothing_comes_twice(texts: list[str], budget: int, seed: int) -> None:
    library = Library(texts)
    density = np.random.default_rng(seed).permutation(int(library.cells[-1])).astype(np.float32)
    before = density.copy()
    plain, found = library.select(density, budget), library.unique(density, budget)
    assert np.array_equal(density, before)
    kept = [span for span, _ in found]
    assert sum(len(library.text(span).split()) for span in kept) <= budget
    said = [" ".join(library.text(span).lower().split()) for span in kept]
    assert len(set(said)) == len(said)
    scores = [span.score for span in kept]
    assert scores == sorted(scores, reverse=True)
    shown = [(span.doc, span.start, span.end) for span in kept]
    shown += [(copy.span.doc, copy.span.start, copy.span.end) for _, copies in found for copy in copies]
    said_there = set().union(*(shingles(library.text(one)) for one in kept))
    left = budget - sum(len(library.text(span).split()) for span in kept)
    for (
        span
    ) in plain:  # each is there, or says what is said there, or denser ones leave no room for a sentence
        middle = (span.start + span.end) // 2
        assert (
            any(doc == span.doc and start <= middle < end for doc, start, end in shown)
            or shingles(library.text(span)) <= said_there
            or (left < LONGEST and any(one.score > span.score and one not in plain for one in kept))
        )
    if len(set(texts)) == len(texts) == 1:
        assert kept == plain


def test_what_differs_in_a_number_is_no_copy() -> None:
    library = Library(SENTENCES[3:5])
    assert [len(copies) for _, copies in library.unique(np.ones(2, np.float32), 200)] == [0, 0]


@pytest.mark.parametrize("other", SENTENCES[1:3])
def test_nearly_the_same_is_a_copy(other: str) -> None:
    texts = [f"{SENTENCES[0]} {SENTENCES[6]} {NOTICE}", f"{other} {SENTENCES[6]} {NOTICE}", SENTENCES[5]]
    library = Library(texts)
    (first, copies), (second, none) = library.unique(
        np.arange(library.cells[-1], 0, -1).astype(np.float32), 200
    )
    assert (first.doc, second.doc, none) == (0, 2, ())
    (copy,) = copies
    assert (copy.span.doc, copy.span.start, copy.span.end) == (1, 0, len(texts[1]))
    assert copy.similarity == 1 if other == SENTENCES[2] else 0.9 <= copy.similarity < 1


CLAUSE = (
    "The tenant and all persons who live with the tenant in the flat that stands above the harbour office "
    "of the town shall {} be allowed to keep boats, nets and ropes in the yard behind the house at any time."
)
KLAUSEL = (
    "Der Mieter und alle Personen, die mit ihm in der Wohnung über dem alten Hafenamt der Stadt leben, "
    "dürfen im Hof hinter dem Haus zu jeder Zeit {} Boote, Netze und Seile lagern, wenn der Verwalter davon "
    "weiß und alle zustimmen."
)


@pytest.mark.parametrize(("text", "denial"), [(CLAUSE, "not"), (CLAUSE, "never"), (KLAUSEL, "niemals")])
@pytest.mark.parametrize("first", [0, 1])
def test_what_differs_by_a_denial_is_no_copy(text: str, denial: str, first: int) -> None:
    texts = [text.format(denial), text.replace("{} ", "")]
    library = Library([texts[first], texts[1 - first]])
    density = np.arange(library.cells[-1], 0, -1).astype(np.float32)
    assert [copies for _, copies in library.unique(density, 200)] == [(), ()]
    other = [text.format("also"), text.replace("{} ", "")]
    (_, copies), *rest = Library(other).unique(density, 200)
    assert (len(copies), rest) == (1, [])


RULES = {  # sentences of which the one differs from the other by what they deny, and two around them
    "ja": (
        "港の灯台の守り人は毎晩、日が沈む前に油を階段の上まで運び、灯りをともしてから海を見張ることになっている。",
        [
            ("会員は舟を置ける。", "会員は舟を置けない。"),
            ("舟を置きます。", "舟を置きません。"),
            ("言う。", "言わぬ。"),
        ],
        ("舟を置きます。", "舟を置きました。"),
    ),
    "ko": (
        "항구의 등대지기는 매일 저녁 해가 지기 전에 기름을 계단 위로 나르고 불을 켠 뒤에 밤새 바다를 "
        "지켜보며 모든 배가 지나간 시간을 공책에 적고 아침이 오면 불을 끄고 집으로 돌아가서 잠을 잔다.",
        [
            ("배를 둔다.", "배를 두지 않는다."),
            ("배가 있다.", "배가 없다."),
            ("그는 간다.", "그는 안 간다."),
            ("그는 간다.", "그는 못 간다."),
        ],
        ("배를 둔다.", "배를 두었다."),
    ),
    "th": (
        "ผู้ดูแลประภาคารขนน้ำมันขึ้นบันไดทุกเย็นก่อนพระอาทิตย์ตกและจุดไฟแล้วเฝ้าดูทะเลตลอดทั้งคืนจนถึงเช้า",
        [("สมาชิกจอดเรือได้", "สมาชิกไม่จอดเรือได้"), ("จอดเรือ", "อย่าจอดเรือ")],
        ("สมาชิกจอดเรือได้", "สมาชิกจอดเรือแล้ว"),
    ),
    "tr": (
        "Limandaki fenerin bekçisi her akşam güneş batmadan önce yağı merdivenden yukarı taşır ve "
        "ışığı yaktıktan sonra sabaha kadar denizi gözler, geçen bütün gemilerin saatini deftere tek tek "
        "yazar ve sonra evine döner.",
        [
            ("Üye geldi.", "Üye gelmedi."),
            ("Üye gidiyor.", "Üye gitmiyor."),
            ("Tekne konur, olur.", "Tekne konur, olmaz."),
        ],
        ("Üye geldi.", "Üye gelmişti."),
    ),
    "en": (
        "The keeper does not sleep at night and carries the oil up the stairs each evening before the sun "
        "goes down, then lights the lamp and looks at the sea until the morning comes and all of the ships "
        "have passed, with their sails and their nets and ropes, on the way to the old town.",
        [("Members may sleep here.", "Members may not sleep here.")],
        ("Members may sleep here.", "Members may also sleep here."),
    ),
}


@pytest.mark.parametrize(
    ("around", "one", "other", "n_copies"),
    [
        (around, *pair, n)
        for around, denied, same in RULES.values()
        for pair, n in [*((pair, 0) for pair in denied), (same, 1)]
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_what_denies_in_a_part_of_a_word_is_no_copy(
    around: str, one: str, other: str, n_copies: int, first: int
) -> None:
    texts = [f"{around} {said} {around}" for said in (one, other)]
    known = _Known()
    known.add(Said(texts[first]))
    found = known.best(Said(texts[1 - first]))
    assert (found is not None) == n_copies


TELLING = [  # two ways to fill a gap by which the text says something else
    (CLAUSE, "Anna Lane", "Peter Smith"),
    (CLAUSE, "on Mondays", "on Fridays"),
    (CLAUSE, "for 5 mg", "for 5 g"),
    (CLAUSE, "for 5 µg", "for 5 mg"),
    (CLAUSE, "in 5 °C", "in 5 °F"),
    (CLAUSE, "to -5", "to 5"),
    (CLAUSE, "of $5", "of €5"),
    (CLAUSE, "at 5 %", "at 5"),
    (CLAUSE, "at <5", "at >5"),
    (CLAUSE, "in section 5", "in page 5"),
    (KLAUSEL, "Anna", "Maria"),
    (KLAUSEL, "mit 5 kg", "mit 5 g"),
    (
        "Жилец {} платит за квартиру над старой конторой порта в первый день каждого месяца на счёт хозяина "
        "и держит двор, лестницу и подвал в чистоте во всякое время, насколько это ему возможно по правилам "
        "дома и города, если об этом знает хозяин и согласны все остальные жильцы дома.",
        "Иванов",
        "Петров",
    ),
    (
        "Le locataire paie le loyer de l'appartement situé au-dessus du bureau du port le premier jour du "
        "mois {} sur le compte du propriétaire, et garde la cour, l'escalier et la cave propres à tout "
        "moment, dans la mesure du possible selon les règles de la maison.",
        "de mars 2020",
        "de juin 2020",
    ),
    (
        "租户应当在{}第一天将港口办公室楼上公寓的租金支付到业主的账户中，并且应当随时保持院子、楼梯和地窖的"
        "清洁，只要这在该人根据房屋和城镇规则的能力范围之内，并且业主知道这件事情，所有住户都同意。",
        "三月",
        "五月",
    ),
    (
        "يدفع المستأجر في {} إيجار الشقة الواقعة فوق مكتب الميناء القديم إلى حساب المالك ويحافظ على نظافة "
        "الفناء والدرج والقبو في جميع الأوقات بقدر ما يستطيع وفقا لقواعد البيت والمدينة إذا كان المالك "
        "على علم بذلك ووافق عليه جميع السكان الآخرين في البيت",
        "٥ مايو",
        "٥ يونيو",
    ),
]


@pytest.mark.parametrize(("text", "one", "other"), TELLING)
@pytest.mark.parametrize("first", [0, 1])
def test_what_differs_by_a_name_a_unit_a_date_or_a_sign_is_no_copy(
    text: str, one: str, other: str, first: int
) -> None:
    texts = [text.format(one), text.format(other)]
    known = _Known()
    known.add(Said(texts[first]))
    assert known.best(Said(texts[1 - first])) is None
    assert known.best(Said(texts[first].replace(" ", "  "))) == (0, 1.0)


@pytest.mark.parametrize(("one", "other"), [("usually", "mostly"), ("at 5 %", "at 5%"), ("Anna", "ANNA")])
def test_what_differs_by_another_word_a_gap_or_in_case_is_a_copy(one: str, other: str) -> None:
    known = _Known()
    known.add(Said(CLAUSE.format(one)))
    assert known.best(Said(CLAUSE.format(other))) is not None


def test_what_says_less_than_another_is_a_copy_and_what_says_more_is_none() -> None:
    known = _Known()
    known.add(Said(CLAUSE.format("with Anna Lane")))
    assert known.best(Said(CLAUSE.replace("{} ", ""))) is not None
    known = _Known()
    known.add(Said(CLAUSE.replace("{} ", "")))
    assert known.best(Said(CLAUSE.format("with Anna Lane"))) is None


def test_listing_a_crowd_of_copies_takes_work_in_proportion() -> None:
    def work(n: int) -> int:
        library = Library([NOTICE] * n)
        density = np.ones(n, np.float32)
        return lines_run(lambda: library.unique(density, 60))

    few, many = work(300), work(1200)
    assert many < 5 * few


@pytest.mark.parametrize(
    "text",
    [
        "Report of machine {}: all is well today",
        f"Number {{}}. {NOTICE * 5}",
        f"Ann{{}}ette Lane. {NOTICE * 5}",
        f"It is 5 mg{{}}k. {NOTICE * 5}",
    ],
)
def test_passages_that_differ_by_a_number_or_a_name_are_told_apart_with_work_in_proportion(text: str) -> None:
    def work(n: int) -> int:
        letters = str.maketrans("0123456789", "abcdefghij" if "Ann" in text or "mg" in text else "0123456789")
        library = Library([text.format(str(1000 + i).translate(letters)) for i in range(n)])
        density = np.ones(library.cells[-1], np.float32)
        found = []
        lines = lines_run(lambda: found.extend(library.unique(density, 10**6)))
        assert len(found) == n
        return lines

    few, many = work(100), work(400)
    assert many < 5 * few


def test_texts_that_are_equal_are_cut_into_words_once() -> None:
    """A crowd of equal notices takes less work than one of notices with other gaps between their words."""

    def work(gaps: list[int]) -> int:
        notice = " ".join([NOTICE[:-1]] * 16)
        library = Library([notice.replace(" ", " " * gap, 1) for gap in gaps])
        density = np.ones(library.cells[-1], np.float32)
        return lines_run(lambda: library.unique(density, 1000))

    assert 2 * work([1] * 100) < work([*range(1, 101)])


def test_a_crowd_of_copies_makes_room_in_few_selections() -> None:
    """Of 2,000 documents with one notice, as of two, the notice comes once and others after it."""
    library = Library([NOTICE] * 2000 + SENTENCES)
    density = np.concatenate([np.full(2000, 2.0), np.ones(len(library.texts) - 2000)]).astype(np.float32)
    calls = []

    def select(density: np.ndarray, budget: int, *, rough: bool = False) -> list[SelectedSpan]:
        calls.append(budget)
        return library.select(density, budget, rough=rough)

    found = select_unique(select, density, library.cells, 60, saying(library.text))
    assert len(calls) < 40
    assert library.text(found[0][0]) == NOTICE
    assert len(found) > 1


def test_copies_that_take_nobodys_place_are_not_looked_for() -> None:
    """Of 400 texts that all stand twice, those far below cost no selection of everything."""
    texts = [f"Lamp number {i} burns {7 * i} pounds of oil. " + SENTENCES[5] for i in range(400)]
    library = Library([NOTICE, NOTICE, *texts, *texts])
    calls = []

    def select(density: np.ndarray, budget: int, *, rough: bool = False) -> list[SelectedSpan]:
        calls.append(budget)
        return library.select(density, budget, rough=rough)

    density = np.arange(library.cells[-1], 0, -1).astype(np.float32)
    found = select_unique(select, density, library.cells, 100, saying(library.text))
    assert [copy.span.doc for copy in found[0][1]] == [1]
    assert len(found) > 1
    assert max(calls) <= LEAST


@pytest.mark.parametrize("seed", [0, 1])
def test_a_long_text_that_stands_twice_is_looked_through_no_further_than_its_copies_come(seed: int) -> None:
    """Each selection may bring the copy of one passage more; none of them needs a look at everything."""
    rng = np.random.default_rng(seed)
    terms = ["".join(rng.choice([*"abcdefghijklmno"], 6)) for _ in range(400)]
    sentences = (" ".join(rng.choice(terms, rng.integers(6, 30))).capitalize() for _ in range(400))
    text = ". ".join(sentences)
    library = Library([text, text])
    calls = []

    def select(density: np.ndarray, budget: int, *, rough: bool = False) -> list[SelectedSpan]:
        calls.append(budget)
        return library.select(density, budget, rough=rough)

    once = rng.random(int(library.cells[1])).astype(np.float32)
    density = np.concatenate([once, once + rng.normal(0, 0.01, len(once)).astype(np.float32)])
    found = select_unique(select, density, library.cells, 512, saying(library.text))
    assert any(copies for _, copies in found)
    assert len(calls) > 4
    assert max(calls) <= 4 * 512


def test_a_small_budget_says_where_else_its_passage_stands() -> None:
    library = Library([NOTICE, SENTENCES[5], NOTICE])
    ((span, copies),) = library.unique(np.array([3, 1, 2], np.float32), len(NOTICE.split()))
    assert (span.doc, [copy.span.doc for copy in copies]) == (0, [2])


@pytest.fixture(scope="module")
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    texts = {f"manual {i}": f"{NOTICE}\n\n{SENTENCES[i % 2 * 5]}" for i in range(4)}
    documents = [Document(key, text, metadata={"tenant": key[-1]}) for key, text in texts.items()]
    documents.append(Document("bread", "Bread is baked at four in the morning. The baker sings. " * 5))
    return S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=CONFIG)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["hybrid", "s3", "bm25"])
def test_a_span_says_where_else_it_stands(retriever: S3Retriever, mode: str) -> None:
    question = "Who is liable for spilled oil?"
    every = retriever.retrieve(question, 400, mode=mode, unique=False)
    found = retriever.retrieve(question, 400, mode=mode)
    assert not any(span.also_in for span in every)
    assert len({span.text for span in found}) == len(found)
    assert any(span.also_in for span in found)
    for span in found:
        for one in span.also_in:
            assert isinstance(one, Copy)
            assert 0.9 <= one.similarity <= 1
            text = retriever.document(one.doc_id).text[one.start : one.end]
            assert one.similarity < 1 or " ".join(text.split()) in " ".join(span.text.split())
    places = {(span.doc_id) for span in found} | {one.doc_id for span in found for one in span.also_in}
    assert places >= {span.doc_id for span in every}


@pytest.mark.long
def test_copies_that_a_filter_leaves_out_are_not_named(retriever: S3Retriever) -> None:
    spans = retriever.retrieve("spilled oil", where={"tenant": ["0", "2"]})
    assert {one.doc_id for span in spans for one in span.also_in} <= {"manual 0", "manual 2"}


@pytest.mark.parametrize("seed", range(8))
def test_a_few_passages_are_compared_as_many_are(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(seed)  # noqa: S311
    whole = [f"{draw.choice(['oil', 'water', 'Anna', 'not'])}{'abcdefghij'[i % 10]}" for i in range(40)]
    said = []
    for _ in range(30):
        some = list(whole)
        for _ in range(draw.randint(0, 2)):
            some[draw.randrange(40)] = draw.choice(["12", "Berta", "nor", "oila", "watera"])
        said.append(Said(" ".join(some[draw.randint(0, 1) :])))

    def found() -> list[tuple[int, float] | None]:
        known, best = _Known(), []
        for one in said:
            best.append(known.best(one))
            known.add(one)
        return best

    monkeypatch.setattr(copies, "_FEW", 100)
    each = found()
    assert len({one is None for one in each}) == 2
    for few in (0, 7):
        monkeypatch.setattr(copies, "_FEW", few)
        assert found() == each


def test_of_two_passages_as_much_alike_the_first_has_the_copy() -> None:
    """Shingles are sets of texts, whose order is another one in each process."""
    for n in range(2, 60):
        text = [letter * n for letter in "abcdefghijklm"]
        known = _Known()
        for said in (["other", *text[1:]], [*text[:-1], "other"]):
            known.add(Said(" ".join(said)))
        found = known.best(Said(" ".join(text)))
        assert found is not None
        assert found[0] == 0
