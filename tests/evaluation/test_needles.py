"""Needles in haystacks: facts that can be told apart, exact places, honest counts, a run that goes on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from html_page import BROWSER, Page, seen_in_browser
from hypothesis import given, settings
from hypothesis import strategies as st
from killed_run import Fragile, Killed

from s3_retriever.cli.main import main
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation import EvaluationSet, Question, Region
from s3_retriever.evaluation.methods import System, WindowSystem
from s3_retriever.evaluation.needles.facts import FactMaker
from s3_retriever.evaluation.needles.haystack import Buried, Supply, bury
from s3_retriever.evaluation.needles.prose import load_prose
from s3_retriever.evaluation.needles.report import write_needle_report
from s3_retriever.evaluation.needles.run import NeedleConfig, make_haystacks, run_needles
from s3_retriever.evaluation.needles.scores import Haystack, NeedleScores, score, wilson
from s3_retriever.evaluation.records import RESULTS, Records, Result
from s3_retriever.evaluation.report.heat_map import draw_heat_map
from s3_retriever.host import Host
from s3_retriever.search.text import sentences

PROSE = " ".join(f"The miller counted {n} sacks. Nobody saw him do it, or so he said." for n in range(60))
TEXTS = [
    Document("mill", PROSE),
    Document("list", "Heading\n\n" + "\n".join(f"- item {n} of the list" for n in range(40))),
    Document("empty", " \n"),
    Document("end", "No full stop at the end"),
]


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311


CONFIG = NeedleConfig(lengths=(4500,), depths=3, per_depth=2, distractors=2, budget=128, windows=(64,))


@pytest.mark.parametrize(
    ("seed", "digest"),
    [
        (0, "2da3468e2c8f61ec2bee965633a00b78068fd4aca580028592c02789d78d36cc"),
        (1, "d23672ec7943937f9113838290b7a270318e0aea1e15651e83203275763a70a6"),
        (7, "8d649fb4033b7ed14d2b17422229553b150ef1b05d960ceed5dd8e627a4e9fc0"),
    ],
)
def test_a_seed_gives_the_same_needles_in_every_version(seed: int, digest: str) -> None:
    maker, found = FactMaker(seeded(seed)), hashlib.sha256()
    for number in range(600):
        made = maker.question(1 + number % 3, 4)
        needles, distractors = ([fact.sentence for fact in part] for part in (made.needles, made.distractors))
        values = [fact.value for fact in made.needles]
        found.update(repr((made.text, needles, distractors, values)).encode())
    assert found.hexdigest() == digest  # published figures are of these


@pytest.mark.parametrize("seed", range(3))
def test_only_the_needles_answer_the_question(seed: int) -> None:
    maker = FactMaker(seeded(seed))
    told: set[tuple[str, str]] = set()
    for number in range(200):
        question = maker.question(1 + number % 3, 4)
        facts = (*question.needles, *question.distractors)
        assert len(facts) == (1 + number % 3) * 5
        assert len({fact.value for fact in facts}) == len(facts)
        for fact in facts:
            assert fact.value in fact.sentence
            assert fact.value not in question.text
            assert fact.subject.lower() in fact.sentence.lower()
            subject_and_relation = (fact.subject, fact.relation.together)
            assert subject_and_relation not in told  # by this or any other question
            told.add(subject_and_relation)
        assert all(needle.subject in question.text for needle in question.needles)
        asked = set(re.findall(r"\w+", question.text.lower())) - {"the", "of", "in", "and"}
        for fact in question.distractors:  # each shares a name or a role
            assert asked & set(re.findall(r"\w+", fact.sentence.lower()))


def test_every_wording_is_one_sentence_with_its_value() -> None:
    kinds = load_prose().kinds
    relations = [relation for kind in kinds for relation in kind.relations]
    wordings = [text for one in relations for text in (*one.statements, *one.questions)]
    assert len(wordings) == len(set(wordings)) >= 50
    for kind in kinds:
        assert "{name}" in kind.form and "{role}" in kind.form
        for relation in kind.relations:
            for wording in relation.statements:
                assert "{v}" in wording and re.search(r"\{[sS]\}", wording)
                assert wording.endswith(".")
            assert all("{s}" in wording for wording in (*relation.questions, relation.together))


def test_a_sentence_stays_one_between_others() -> None:
    maker = FactMaker(seeded(0))
    for _ in range(100):
        (needle,) = maker.question(1, 0).needles
        text = f"Before it. {needle.sentence} After it."
        assert (11, 11 + len(needle.sentence) + 1) in sentences(text)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(st.text(alphabet="ab .\n!éx", max_size=200), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    n=st.integers(1, 3),
)
def test_needles_stand_exactly_where_it_is_said(texts: list[str], seed: int, n: int) -> None:
    documents = [Document(str(i), PROSE[:400] + text) for i, text in enumerate(texts)]
    random = seeded(seed)
    maker = FactMaker(random)
    depths = tuple(random.random() for _ in range(n))
    buried = Buried("q", maker.question(n, 1), depths)
    made = bury("a", documents, [buried], random, 0.1)
    found = {one.id: one.text for one in made.documents}
    (question,) = made.questions
    assert [found[r.doc_id][r.start : r.end] for r in question.evidence] == [
        needle.sentence for needle in buried.question.needles
    ]
    # Without what was put in, the text is what it was, but for white space at the seams.
    for document in documents:
        text = found[document.id]
        for fact in (*buried.question.needles, *buried.question.distractors):
            text = text.replace(fact.sentence, "")
        assert text.split() == document.text.split()
    assert sum(one.text.count(buried.question.distractors[0].sentence) for one in made.documents) == 1


def test_needles_stand_at_their_depths() -> None:
    maker = FactMaker(seeded(0))
    document = Document("mill", PROSE)
    buried = [Buried(str(i), maker.question(1, 0), (i % 3 / 2,)) for i in range(9)]
    made = bury("a", [document], buried, seeded(0), 0.25)
    (text,) = (one.text for one in made.documents)
    places = [question.evidence[0].start / len(text) for question in made.questions]
    assert places[0] == 0
    assert made.questions[2].evidence[0].end == len(text) - 1
    assert places[1] == pytest.approx(0.5, abs=0.1)
    for i, place in enumerate(places):
        assert abs(place - i % 3 / 2) < 0.3
    assert len(set(places)) == 9


def test_too_little_text_is_refused(wide_host: Host) -> None:
    buried = [Buried("q", FactMaker(seeded(0)).question(1, 4), (0.5,))]
    with pytest.raises(InvalidInputError, match="fewer sentences than there are needles"):
        bury("a", [Document("a", "One. Two.")], buried, seeded(0), 0.1)
    with pytest.raises(InvalidInputError, match="no text to hide needles in"):
        Supply([Document("a", " ")], wide_host, seeded(0))
    with pytest.raises(InvalidInputError, match="200 tokens are too few for a question"):
        make_haystacks(TEXTS, 200, CONFIG, wide_host)


def test_a_supply_never_ends_and_cuts_between_sentences(wide_host: Host) -> None:
    supply = Supply(TEXTS, wide_host, seeded(0))
    taken = [supply.take(700) for _ in range(12)]
    for documents in taken:
        tokens = sum(wide_host.count_tokens(document.text) for document in documents)
        assert 600 <= tokens <= 720
    ids = [document.id for documents in taken for document in documents]
    assert len(set(ids)) == len(ids)
    assert taken[0][-1].text.rstrip().endswith(".")
    pieces = [d.text for documents in taken for d in documents if d.id.split("+")[0] == "mill"]
    assert "".join(pieces) == PROSE
    shuffled = [d.text for documents in taken for d in documents if d.id.startswith("list#")]
    assert shuffled and any(not text.startswith("Heading") for text in shuffled)


@pytest.mark.long
def test_haystacks_are_as_long_as_wanted_and_depend_on_the_seed(wide_host: Host) -> None:
    for length in (3000, 9000):
        haystacks = make_haystacks(TEXTS, length, CONFIG, wide_host)
        for one in haystacks:
            tokens = sum(wide_host.count_tokens(document.text) for document in one.set.documents)
            assert tokens == pytest.approx(length, rel=0.05)
        ids = [question.id for one in haystacks for question in one.set.questions]
        assert len(set(ids)) == len(ids) == 6 + 3 + 2
        depths = [one.depths[f"1-{i}"] for i in range(6) for one in haystacks if f"1-{i}" in one.depths]
        assert depths == [(0.0,), (0.5,), (1.0,)] * 2
    assert make_haystacks(TEXTS, 4500, CONFIG, wide_host) == make_haystacks(TEXTS, 4500, CONFIG, wide_host)
    other = make_haystacks(TEXTS, 4500, replace(CONFIG, seed=1), wide_host)
    assert other != make_haystacks(TEXTS, 4500, CONFIG, wide_host)


def test_a_needle_counts_only_as_a_whole() -> None:
    questions = (
        Question("a", "?", (Region("d", 10, 20),)),
        Question("b", "?", (Region("d", 30, 40), Region("d", 50, 60))),
    )
    haystack = Haystack(
        100,
        EvaluationSet("s", (Document("d", "x" * 100),), questions),
        {"a": (0.5,), "b": (0.0, 1.0)},
    )

    def result(question: str, method: str, *spans: tuple[str, int, int]) -> Result:
        return Result("s", question, method, 0, 512, 9, spans, {}, 1.0)

    scores = score(
        [haystack],
        [
            result("a", "whole", ("d", 0, 15), ("d", 15, 20)),  # in two passages that touch
            result("a", "part", ("d", 10, 19)),
            result("b", "whole", ("d", 25, 65)),
            result("b", "part", ("d", 30, 40), ("d", 51, 60)),
        ],
    )
    whole, part = (
        {
            one.n_needles: (one.asked, one.complete, one.found)
            for one in scores.lengths
            if one.method.name == name
        }
        for name in ("whole", "part")
    )
    assert whole == {1: (1, 1, 1), 2: (1, 1, 2)}
    assert part == {1: (1, 0, 0), 2: (1, 0, 1)}
    assert [(one.depth, one.asked, one.found) for one in scores.depths] == [(0.5, 1, 1), (0.5, 1, 0)]
    assert scores.lengths[-1].share == 0.5


def test_intervals_are_those_of_wilson() -> None:
    assert wilson(220, 220) == pytest.approx((0.98284, 1.0), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-4)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I


def test_a_heat_map_has_a_tile_per_length_and_depth() -> None:
    shares = {(2000.0, 0.0): (1, 1000), (2000.0, 1.0): (10, 10), (1e6, 0.0): (0, 7), (1e6, 1.0): (999, 1000)}
    heat = draw_heat_map("t", shares)
    assert heat.lengths == ("2000", "1M")
    texts = {depth: [tile.text if tile else "" for tile in tiles] for depth, tiles in heat.rows}
    assert texts == {"0": ["1", "0"], "100": ["100", "99"]}  # 99.9 % is not all of them
    tiles = [tile for _, tiles in heat.rows for tile in tiles if tile]
    assert [tile.ink for tile in tiles] == ["#fff"] * 4
    assert [tile.fill for tile in tiles if tile.text in ("0", "100")] == ["#b35806", "#2166ac"]
    del shares[1e6, 0.0]
    assert draw_heat_map("t", shares).rows[0][1][1] is None


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, wide_host: Host
) -> Callable[[str, int | None], tuple[Path, NeedleScores]]:
    """Runs the measurement into a folder, or kills it after some questions."""
    folder = tmp_path_factory.mktemp("needles")

    def measure(name: str, kill_after: int | None, **changes: Any) -> tuple[Path, NeedleScores]:
        system: System = WindowSystem(64, ["window-bm25"])
        system = system if kill_after is None else Fragile(system, kill_after)
        config = replace(CONFIG, methods=("window-bm25",), **changes)
        return folder / name, run_needles(TEXTS, folder / name, config, host=wide_host, systems=[system])

    return measure


@pytest.mark.long
def test_a_killed_run_goes_on_where_it_was(run: Callable[..., tuple[Path, NeedleScores]]) -> None:
    whole, scores = run("whole", None)
    with pytest.raises(Killed):
        run("killed", 9)
    kept = (whole.parent / "killed" / RESULTS).read_bytes()
    killed, resumed = run("killed", None)
    assert (killed / RESULTS).read_bytes().startswith(kept)
    assert resumed == scores
    results = Records(killed / RESULTS, Result).all()
    assert len(results) == 6 + 3 + 2
    assert [one.spans for one in results] == [one.spans for one in Records(whole / RESULTS, Result).all()]
    with pytest.raises(InvalidInputError, match="other settings"):
        run("killed", None, seed=1)
    summary = json.loads((killed / "summary.json").read_text(encoding="utf-8"))
    assert len(summary["lengths"]) == len(scores.lengths) == 3
    assert len(summary["depths"]) == 3


@pytest.mark.long
def test_the_page_shows_maps_tables_and_misses(run: Callable[..., tuple[Path, NeedleScores]]) -> None:
    source = (run("whole", None)[0] / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(source)
    page.close()
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert page.tags.count("figure") == 1
    assert len([style for name, style in page.attributes if name == "style"]) == 3  # a tile per depth
    text = "".join(page.text)
    for heading in (
        "One needle within 128 tokens: 6 questions",
        "2 needles within",
        "3 needles within",
        "Costs",
    ):
        assert heading in text
    assert "What window-bm25 (64) missed" in text


@pytest.mark.long
def test_a_hostile_name_or_text_is_shown_and_does_nothing(
    run: Callable[..., tuple[Path, NeedleScores]], tmp_path: Path
) -> None:
    hostile = '</p><script>console.log("1")</script><img src=x onerror="console.log(2)">'
    _, scores = run("whole", None)
    settings = {"host": {"name": hostile}, "distractors": hostile}
    write_needle_report(tmp_path / "report.html", [], scores, [], [], settings, 128)
    page = Page()
    page.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    page.close()
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert "".join(page.text).count(hostile) >= 2
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    if BROWSER is not None:
        assert seen_in_browser(tmp_path / "report.html", 375, tmp_path)[1] == 0


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
@pytest.mark.parametrize("width", [375, 1100])
def test_a_browser_shows_it_without_complaints(
    run: Callable[..., tuple[Path, NeedleScores]], tmp_path: Path, width: int
) -> None:
    wide, drawings = seen_in_browser(run("whole", None)[0] / "report.html", width, tmp_path)
    assert wide <= width
    assert drawings == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": ()}, "lengths must be a list of at least 1"),
        ({"methods": ("s3", "s3")}, "methods must be a list, each value once"),
        ({"per_depth": 0}, "per_depth must be a whole number, 1 or more, not 0"),
        ({"distractors": -1}, "distractors must be a whole number, 0 or more, not -1"),
        ({"depths": 2}, "3 needles of a question need as many depths, not 2"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        NeedleConfig(**changes)


@pytest.mark.host
def test_the_command_hides_and_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mill.txt").write_text(PROSE, encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["needles", "--out", str(out), "--text", str(tmp_path / "mill.txt"), "--lengths", "1500"]
    arguments += ["--depths", "2", "--per-depth", "1", "--needles", "1", "--methods", "hybrid", "window-bm25"]
    assert main(arguments) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "One needle within 512 tokens: 2 questions per length" in printed
    assert "100.0 [34.2, 100.0]" in printed
    assert (out / "report.html").is_file()
    (tmp_path / "bytes.txt").write_bytes(b"\xff")
    assert main(["needles", "--out", str(out), "--text", str(tmp_path / "bytes.txt")]) == 2
    assert "not UTF-8 (byte 1)" in capsys.readouterr().err
