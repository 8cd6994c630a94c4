"""Why a span was found, and the density it was cut from, as users see them: over the tiny host."""

from __future__ import annotations

import math

import numpy as np
import pytest

from s3_retriever import Document, Host, Profile, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.config import MODES
from s3_retriever.encode import Artifact
from s3_retriever.errors import InvalidInputError, UnknownDocumentError

QUESTION = "Where does the lighthouse keeper store the oil?"
TEXTS = {
    "harbour": "The harbour was quiet. " * 30 + "The lighthouse keeper stores the oil in the cellar. " * 2,
    "bakery": "Bread is baked at four in the morning. The baker sings. " * 12,
    "ugly": "A\u0301 \ud800 keeper 🧑‍🚀🇳🇴\x00 灯台守は油を地下室に保管する。\r\n\u2028 lighthouse\u200b oil "
    * 9,
    "code": "def keep_oil(light_house): return light_house.oil  # the keeper's " * 5,
    "empty": "",
    "blank": " \n\t ",
}
CONFIG = RetrieverConfig(scan=ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))


@pytest.fixture(scope="module")
def retriever(tiny_host: Host, tiny_artifact: Artifact) -> S3Retriever:
    documents = [Document(key, text) for key, text in TEXTS.items()]
    return S3Retriever.from_documents(documents, host=tiny_host, artifact=tiny_artifact, config=CONFIG)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("question", [QUESTION, "灯台守は keeper's 油?", "keep_oil", "🧑‍🚀 \ud800", "!?"])
def test_words_that_met_stand_where_it_is_said(retriever: S3Retriever, mode: str, question: str) -> None:
    spans = retriever.retrieve(question, 300, mode=mode, explain=True)
    for span in spans:
        assert span.explanation is not None
        matches = span.explanation.words
        for one in matches:
            assert question[one.word_start : one.word_start + len(one.word)] == one.word
            assert TEXTS[span.doc_id][one.start : one.end] == one.text
            assert span.start <= one.start < one.end <= span.end
            assert one.word.strip() == one.word != ""
            assert one.text.strip() == one.text != ""
            assert one.s3 == 0 or mode != "bm25"
            assert one.bm25 == 0 or mode != "s3"
        shares = [one.share for one in matches]
        assert shares == sorted(shares, reverse=True)
        assert not matches or sum(shares) == pytest.approx(1)
    assert mode == "bm25" or any(span.explanation.words for span in spans)


def test_equal_words_meet_by_bm25_and_no_others_do(retriever: S3Retriever) -> None:
    (best, *_) = retriever.retrieve(QUESTION, 60, mode="bm25", explain=True)
    met = {(one.word, one.text) for one in best.explanation.words}
    same = ("the", "lighthouse", "keeper", "oil")
    assert met == {("the", "The"), ("store", "stores"), *zip(same, same, strict=True)}
    by_word = {one.word: one.bm25 for one in best.explanation.words}
    assert by_word["keeper"] > by_word["the"]
    (other, *_) = retriever.retrieve("a keep_oil and 油を地", 60, mode="bm25", explain=True)
    assert {(one.word, one.text) for one in other.explanation.words} <= {
        ("keep_oil", "keep_oil"),
        ("keep", "keep"),
        ("oil", "oil"),
        ("a", "A"),
        ("油を", "油を"),
        ("を地", "を地"),
    }


def test_what_words_give_to_bm25_adds_up(retriever: S3Retriever) -> None:
    whole = retriever.profile(QUESTION, "harbour", mode="bm25")
    parts = [retriever.profile(word, "harbour", mode="bm25").density for word in QUESTION.split()]
    np.testing.assert_allclose(np.sum(parts, axis=0), whole.density, rtol=1e-5)


def test_the_attention_meets_what_is_asked_for(host: Host) -> None:
    texts = {
        "bridge": "The old bridge was painted green by Martha Olsen in 1931.",
        "tides": "Spring tides follow the new and the full moon. Neap tides come a week later.",
        "killed": "What a process that was killed left is removed before the next one writes.",
    }
    real = S3Retriever.from_documents([Document(key, text) for key, text in texts.items()], host=host)
    for question, wanted in (
        ("Who painted the bridge?", {("painted", "painted"), ("bridge", "bridge")}),
        ("How is a killed save cleaned up?", {("killed", "killed"), ("cleaned", "removed")}),
    ):
        best = real.retrieve(question, 32, mode="s3", explain=True)[0]
        assert best.explanation is not None
        assert {(one.word, one.text) for one in best.explanation.words[:6]} >= wanted


def test_an_explanation_leaves_the_answer_as_it_is(retriever: S3Retriever) -> None:
    plain, explained = (retriever.retrieve(QUESTION, 300, explain=explain) for explain in (False, True))
    assert [(span.id, span.score) for span in plain] == [(span.id, span.score) for span in explained]


@pytest.mark.parametrize("mode", MODES)
def test_a_profile_is_what_spans_are_cut_from(retriever: S3Retriever, mode: str) -> None:
    profiles = {key: retriever.profile(QUESTION, key, mode=mode) for key in TEXTS}
    for key, profile in profiles.items():
        ends = profile.ends.tolist()
        assert "".join(TEXTS[key][a:b] for a, b in zip(profile.starts, ends, strict=True)) == (
            TEXTS[key] if len(profile) else ""
        )
        sides = [side for side in (profile.s3, profile.bm25) if side is not None]
        assert len(sides) == (2 if mode == "hybrid" else 1)
        np.testing.assert_array_equal(sum(sides[1:], sides[0]), profile.density)
        for name, (least, greatest) in profile.ranges.items():
            values = getattr(profile, name)
            assert ((least <= values) & (values <= greatest)).all()
    spans = retriever.retrieve(QUESTION, 300, mode=mode, explain=True)
    for span in spans:
        profile = profiles[span.doc_id]
        inside = (profile.ends > span.start) & (profile.starts < span.end)
        peak = int(np.argmax(np.where(inside, profile.density, -np.inf)))
        assert float(profile.density[peak]) == span.score
        rises = {
            name: float(getattr(profile, name)[peak]) - profile.ranges[name][0]
            for name in ("s3", "bm25")
            if name in profile.ranges
        }
        assert span.explanation.s3 == pytest.approx(rises.get("s3", 0) / math.fsum(rises.values()))
    assert spans[0].score == profiles["harbour"].ranges["density"][1]


def test_a_binned_profile_keeps_the_peaks(retriever: S3Retriever) -> None:
    profile = retriever.profile(QUESTION, "harbour")
    assert len(profile) > 7
    binned = profile.binned(7)
    assert len(binned) == 7
    assert binned.density.max() == profile.density.max()
    np.testing.assert_array_equal(binned.s3 + binned.bm25, binned.density)
    assert (binned.starts[0], binned.ends[-1]) == (0, len(TEXTS["harbour"]))
    np.testing.assert_array_equal(binned.ends[:-1], binned.starts[1:])
    assert profile.binned(len(profile)) is profile
    with pytest.raises(InvalidInputError, match="most"):
        profile.binned(0)


def test_peaks_tower_over_their_surroundings() -> None:
    density = np.array([1, 2, 9, 3, 3, 3, 0, 5, 5, 1, 0, 0, 0, 7], np.float32)
    cells = np.arange(len(density), dtype=np.int64)
    profile = Profile("a", cells, cells + 1, density, density, None, {"density": (0, 9), "s3": (0, 9)})
    assert profile.peaks(apart=2) == [2, 13, 7]
    assert profile.peaks(most=1) == [2]
    assert profile.peaks(apart=0, most=99) == sorted(range(14), key=lambda i: -density[i])
    none = np.zeros(0, np.float32)
    assert Profile("a", cells[:0], cells[:0], none, none, none, {}).peaks() == []


def test_a_profile_of_what_is_not_there(retriever: S3Retriever) -> None:
    with pytest.raises(UnknownDocumentError, match="'lost'"):
        retriever.profile(QUESTION, "lost")
    with pytest.raises(InvalidInputError, match="mode"):
        retriever.profile(QUESTION, "harbour", mode="words")
    with pytest.raises(InvalidInputError, match="question"):
        retriever.profile(" ", "harbour")
    assert isinstance(retriever.profile(QUESTION, "empty"), Profile)
