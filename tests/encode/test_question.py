"""From a question to the rows an index is asked for."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from s3_retriever.encode import Artifact
from s3_retriever.encode.question import PROMPT, encode_question, query_rows, tap_of
from s3_retriever.errors import InvalidInputError
from s3_retriever.host import Host, QueryHead, Tap

HEADS = (QueryHead(2, 3), QueryHead(0, 1))


@pytest.mark.parametrize("question", ["Where is it?", "the fox?", "\tWhy\n", "?", " Where is it?"])
def test_only_the_questions_own_tokens_ask(tiny_host: Host, question: str) -> None:
    queries, texts, _, _ = encode_question(tiny_host, question, HEADS)
    # The space that ends the prompt is part of " the", which is the question's own token all the same.
    assert "".join(texts).strip() == question.strip()
    assert queries.shape == (len(texts), len(HEADS), tiny_host.head_dim)
    whole = tiny_host.queries(tiny_host.encode(f"{PROMPT}{question}\n{PROMPT}{question}").ids, HEADS)
    assert 0 < len(queries) < len(whole) / 2
    np.testing.assert_array_equal(queries, whole[len(whole) - len(queries) :])


def test_the_first_word_knows_what_is_asked(tiny_host: Host) -> None:
    """A causal model reads it before the rest, unless it reads the question twice."""
    (first, *_), (other, *_) = (
        encode_question(tiny_host, f"Where is the {what}?", HEADS) for what in ("fox", "dog")
    )
    assert not np.allclose(first[0], other[0], atol=1e-4)


def test_tokens_of_one_characters_bytes_each_show_the_character(tiny_host: Host) -> None:
    _, texts, _, _ = encode_question(tiny_host, "a 🧑灯?", HEADS)
    assert [character for character, _ in groupby("".join(texts).strip())] == list("a 🧑灯?")


def test_a_question_beyond_the_window_is_refused_with_both_sizes(tiny_host: Host) -> None:
    with pytest.raises(InvalidInputError, match=r"the question has \d+ tokens; the host takes 256"):
        encode_question(tiny_host, "why " * 300, HEADS)


def test_a_question_too_long_to_be_read_twice_is_read_once(tiny_host: Host) -> None:
    question = "why " * 40
    queries, texts, _, _ = encode_question(tiny_host, question, HEADS)
    assert "".join(texts).split() == question.split()
    once = tiny_host.queries(tiny_host.encode(PROMPT + question).ids, HEADS)
    np.testing.assert_array_equal(queries, once[len(once) - len(queries) :])


def test_query_heads_share_key_heads_in_equal_groups(tiny_host: Host) -> None:
    asked = [tap_of(tiny_host, QueryHead(3, head)) for head in range(4)]
    assert asked == [Tap(3, 0), Tap(3, 0), Tap(3, 1), Tap(3, 1)]


@pytest.mark.parametrize("n_features", [1, 5, 64, 1000])
def test_rows_score_a_key_by_its_strongest_wanted_features(tiny_artifact: Artifact, n_features: int) -> None:
    random = np.random.default_rng(0)
    dim = tiny_artifact.codecs[0].sae.dim
    queries = random.normal(size=(6, 3, dim)).astype(np.float32)
    queries[0] = 0  # without its mean, which is zero, it asks nothing
    rows = query_rows(tiny_artifact, queries, n_features)
    assert [row.tap for row in rows] == [0, 0, 1]
    for h, (row, codec) in enumerate(zip(rows, tiny_artifact.queries, strict=True)):
        sae = tiny_artifact.codecs[row.tap].sae
        codes = sae.encode_unit(random.normal(size=(40, dim)))
        z = np.zeros((40, sae.n_features))
        np.put_along_axis(z, codes.features.astype(int), codes.weights, axis=1)
        assert row.features.dtype == np.int32
        assert row.weights.dtype == np.float32
        for i, query in enumerate(queries[:, h]):
            wish = ((query - codec.mean) @ codec.map) @ sae.W_dec.T
            least = np.sort(wish)[-min(n_features, len(wish))]
            expected = z @ np.where((wish > 0) & (wish >= least), wish, 0)
            used = row.features[i] >= 0
            np.testing.assert_allclose(z[:, row.features[i]] @ row.weights[i], expected, atol=1e-4)
            assert used.sum() == ((wish > 0) & (wish >= least)).sum()
            assert (row.weights[i][~used] == 0).all()
            assert (np.diff(row.weights[i]) <= 0).all()


def test_rows_subtract_the_mean_query_and_apply_the_map(tiny_artifact: Artifact) -> None:
    random = np.random.default_rng(1)
    dim = tiny_artifact.codecs[0].sae.dim
    first = tiny_artifact.queries[0]
    mean, map_ = (random.normal(size=shape).astype(np.float32) for shape in ((dim,), (dim, dim)))
    moved = replace(tiny_artifact, queries=(replace(first, mean=mean, map=map_),))
    plain = replace(tiny_artifact, queries=(replace(first, map=np.eye(dim, dtype=np.float32)),))
    query = random.normal(size=(2, 1, dim)).astype(np.float32)
    (row,), (expected,) = query_rows(moved, query, 9), query_rows(plain, (query - mean) @ map_, 9)
    np.testing.assert_array_equal(row.features, expected.features)
    np.testing.assert_allclose(row.weights, expected.weights, rtol=1e-4)
