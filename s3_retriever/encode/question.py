"""From a question's query projections to rows of features that the index is searched for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.encode.artifact import Artifact
from s3_retriever.encode.sae import Floats, center_and_normalize
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.taps import QueryHead, Tap

if TYPE_CHECKING:
    from s3_retriever.host.model import Host, Projection
    from s3_retriever.host.one_core import OneCoreThreads
    from s3_retriever.host.tokens import Tokens

PROMPT = "Question: "
"""Stands before the question in both of its readings; its own tokens are not used as queries."""

_PASS_TOKENS = 2048  # of one pass of questions


class QueryRows(NamedTuple):
    """Features that one query head looks up in its tap, one row per question token.

    Attributes:
        tap: Number of the tap in the artifact.
        features: int32 (n, F), highest weight first; -1 in unused slots.
        weights: float32 (n, F), what one unit of the feature adds to the score of a key.
    """

    tap: int
    features: npt.NDArray[np.int32]
    weights: Floats


def tap_of(host: Host, head: QueryHead) -> Tap:
    """Return the tap that a query head asks."""
    return host.asked(head)


class EncodedQuestion(NamedTuple):
    """A question after its pass through the host.

    Attributes:
        queries: Query projections at its n tokens, float32 (n, H, d), before rotary embedding.
        tokens: Texts of the tokens.
        ids: Ids of the tokens, int32 (n,).
        places: Where each token begins and ends in the question, int64 (n, 2).
    """

    queries: Floats
    tokens: list[str]
    ids: npt.NDArray[np.int32]
    places: npt.NDArray[np.int64]


def encode_question(host: Host, question: str, heads: Sequence[QueryHead]) -> EncodedQuestion:
    """Run one question through the host; see :func:`encode_questions`."""
    return encode_questions(host, [question], heads)[0]


def encode_questions(
    host: Host,
    questions: Sequence[str],
    heads: Sequence[QueryHead],
    threads: OneCoreThreads | None = None,
) -> list[EncodedQuestion]:
    """Run questions through the host twice in a row and return the queries of the second reading.

    A causal model reads the first words of a question before it has seen the rest. In the second reading
    every word has seen the whole question (Springer et al., arXiv 2402.15449, for embeddings). A question
    that does not fit the host's window twice is read once.

    Questions share passes, at least one for each thread; those of one padded length where the host pads. On
    one core, each has the queries that it has alone.

    Args:
        host: The host.
        questions: In natural language.
        heads: Query heads to read, H.
        threads: Where passes run; in the calling thread if None.

    Returns:
        One entry per question, in order.

    Raises:
        InvalidInputError: A question is longer than the host's window.
    """
    prompts = [_prompt(host, question) for question in questions]
    sizes = [len(one.tokens) for one in prompts]
    lengths = sizes if host.joins_rows else list(map(host.padded_length, sizes))
    passes = _passes(lengths, threads.number if threads else 1, mixed=host.joins_rows)

    def read(numbers: list[int]) -> list[Projection]:
        return host.project([prompts[i].tokens.ids for i in numbers], heads=heads)

    found = map(read, passes) if threads is None else threads.map(read, passes)
    encoded = {
        i: _encoded(prompts[i], projection.queries)
        for numbers, projections in zip(passes, found, strict=True)
        for i, projection in zip(numbers, projections, strict=True)
    }
    return [encoded[i] for i in range(len(questions))]


def _passes(lengths: Sequence[int], threads: int, *, mixed: bool) -> list[list[int]]:
    """Share questions out to passes, largest first, so that threads that take one at a time end together.

    Args:
        lengths: Tokens of each question, with its padding.
        threads: How many passes run at a time.
        mixed: Whether questions of several lengths share a pass.
    """
    groups: dict[int, list[int]] = {}
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        groups.setdefault(0 if mixed else lengths[i], []).append(i)
    passes = []
    for numbers in groups.values():
        n_tokens = sum(lengths[i] for i in numbers)
        count = min(max(threads, math.ceil(n_tokens / _PASS_TOKENS)), len(numbers))
        passes += [numbers[i::count] for i in range(count)]  # of even sizes
    return sorted(passes, key=lambda numbers: -sum(lengths[i] for i in numbers))


class _Prompt(NamedTuple):
    """What the host reads: a text, its tokens, and where the question begins whose tokens count."""

    text: str
    tokens: Tokens
    begin: int


def _encoded(prompt: _Prompt, queries: Floats) -> EncodedQuestion:
    text, tokens, begin = prompt
    own = tokens.ends > begin
    places = np.stack([tokens.starts[own], tokens.ends[own]], axis=1).astype(np.int64)
    texts = [text[a:b] for a, b in places.tolist()]
    return EncodedQuestion(queries[own], texts, tokens.ids[own], np.maximum(places - begin, 0))


def _prompt(host: Host, question: str) -> _Prompt:
    for before in (f"{PROMPT}{question}\n{PROMPT}", PROMPT):
        text = before + question
        tokens = host.encode(text)
        if len(tokens) <= host.max_tokens:
            return _Prompt(text, tokens, len(before))
    msg = f"the question has {len(tokens)} tokens; the host takes {host.max_tokens}: shorten it"
    raise InvalidInputError(msg)


def query_rows(artifact: Artifact, queries: Floats, n_features: int) -> list[QueryRows]:
    """Project queries on the decoder directions of their taps and keep the strongest features.

    The score of a key k is q.k_hat = sum_f z_f (q.d_f). Here z_f are the weights of the key's unit-norm
    reconstruction, and q is the head's query, centred and mapped. Features with negative q.d_f would only
    lower scores that are low already, so they are left out.

    Args:
        artifact: Maps, means and decoders.
        queries: float32 (n, H, d), query projections of the artifact's heads at the question's tokens.
        n_features: F, features kept per row.

    Returns:
        One entry per query head.
    """
    taps = {tap: number for number, tap in enumerate(artifact.taps)}
    rows = []
    for h, query_map in enumerate(artifact.queries):
        tap = taps[query_map.tap]
        mapped = query_map.apply(queries[:, h])
        # NumPy's BLAS threads would spin for a while after the product, on the cores that score next.
        scores = (torch.from_numpy(mapped) @ torch.from_numpy(artifact.codecs[tap].sae.W_dec).T).numpy()
        kept = min(n_features, scores.shape[1])
        some = np.sort(np.argpartition(-scores, kept - 1, axis=1)[:, :kept], axis=1)  # sorting all is slow
        order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(some, order, axis=1).astype(np.int32)
        weights = np.take_along_axis(scores, top, axis=1).astype(np.float32)
        wanted = weights > 0
        rows.append(QueryRows(tap, np.where(wanted, top, np.int32(-1)), np.where(wanted, weights, 0)))
    return rows


class SharedFeatures(NamedTuple):
    """The features of a question's queries, encoded as if they were keys of a tap.

    Attributes:
        tap: Number of the tap in the artifact.
        features: int32 (F,), distinct.
        counts: int64 (F,), the number of queries that have each feature.
    """

    tap: int
    features: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]


def shared_features(artifact: Artifact, queries: Floats) -> list[SharedFeatures]:
    """Encode queries with the SAEs of their taps, as the published scoring does (arXiv 2601.17702).

    Args:
        artifact: SAEs and means.
        queries: float32 (n, H, d), query projections of the artifact's heads at the question's tokens.

    Returns:
        One entry per tap.
    """
    shared = []
    for tap, codec in enumerate(artifact.codecs):
        heads = [h for h, query in enumerate(artifact.queries) if query.tap == codec.tap]
        of_tap = queries[:, heads].reshape(-1, codec.sae.dim)
        codes = codec.sae.encode(center_and_normalize(of_tap, codec.mean))
        features, counts = np.unique(codes.features[codes.weights > 0], return_counts=True)
        shared.append(SharedFeatures(tap, features.astype(np.int32), counts))
    return shared
