"""From a question's query projections to rows of features: what the index is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.errors import InvalidInputError
from s3_retriever.features.artifact import Artifact
from s3_retriever.features.sae import Floats
from s3_retriever.host.taps import QueryHead, Tap

if TYPE_CHECKING:
    from s3_retriever.host.model import Host

PROMPT = "Question: "
"""Stands before a question when it goes through the host, each of the two times; its tokens ask nothing."""


class HeadRows(NamedTuple):
    """What one query head asks of its tap, one row per question token.

    Attributes:
        tap: Number of the tap in the artifact.
        features: int32 (n, F), most wanted first; -1 where fewer are wanted.
        weights: float32 (n, F): the score a unit of the feature's weight adds.
    """

    tap: int
    features: npt.NDArray[np.int32]
    weights: Floats


def tap_of(host: Host, head: QueryHead) -> Tap:
    """Return the tap that a query head asks: query heads share key heads in equal groups."""
    return Tap(head.layer, head.head // (host.n_query_heads // host.n_key_heads))


class Asked(NamedTuple):
    """A question after its pass through the host.

    Attributes:
        queries: float32 (n, H, d), of each of its n tokens, before rotary embedding.
        tokens: The tokens' texts.
        ids: int32 (n,), their ids.
    """

    queries: Floats
    tokens: list[str]
    ids: npt.NDArray[np.int32]


def ask(host: Host, question: str, heads: Sequence[QueryHead]) -> Asked:
    """Run a question through the host, twice over; the queries are those of its second reading.

    A causal model reads the first words of a question before it knows what is asked; the second time, every
    word has seen the whole question (Springer et al., arXiv 2402.15449, for embeddings).

    Args:
        host: The host.
        question: In natural language.
        heads: Query heads to read, H.

    Raises:
        InvalidInputError: The question is longer than the host's window.
    """
    for before in (f"{PROMPT}{question}\n{PROMPT}", PROMPT):  # once, where twice is too long for the host
        text = before + question
        tokens = host.encode(text)
        if len(tokens) <= host.max_tokens:
            break
    else:
        msg = f"the question has {len(tokens)} tokens; the host takes {host.max_tokens}: shorten it"
        raise InvalidInputError(msg)
    own = tokens.ends > len(before)
    queries = host.queries(tokens.ids, heads)[own]
    texts = [text[a:b] for a, b in zip(tokens.starts[own], tokens.ends[own], strict=True)]
    return Asked(queries, texts, tokens.ids[own])


def head_rows(artifact: Artifact, queries: Floats, n_features: int) -> list[HeadRows]:
    """Project queries on the decoder directions of their taps and keep the strongest features.

    The score of a key k is q.k_hat = sum_f z_f (q.d_f), with the weights z_f of the key's unit-norm
    reconstruction; q is the head's centred query after its learned map. Features with negative q.d_f
    would only lower scores that are low already, so they are left out.

    Args:
        artifact: Maps, means and decoders.
        queries: float32 (n, H, d), query projections of the artifact's heads at the question's tokens.
        n_features: F, features kept per row.

    Returns:
        One entry per query head.
    """
    taps = {tap: number for number, tap in enumerate(artifact.taps)}
    rows = []
    for h, codec in enumerate(artifact.queries):
        tap = taps[codec.tap]
        asked = (queries[:, h] - codec.mean) @ codec.map
        # Not NumPy: its BLAS threads spin for some time after a product, on the cores that score next.
        scores = (torch.from_numpy(asked) @ torch.from_numpy(artifact.codecs[tap].sae.W_dec).T).numpy()
        kept = min(n_features, scores.shape[1])
        some = np.sort(np.argpartition(-scores, kept - 1, axis=1)[:, :kept], axis=1)  # sorting all is slow
        order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(some, order, axis=1).astype(np.int32)
        weights = np.take_along_axis(scores, top, axis=1).astype(np.float32)
        wanted = weights > 0
        rows.append(HeadRows(tap, np.where(wanted, top, np.int32(-1)), np.where(wanted, weights, 0)))
    return rows
