"""Random documents with random features, and a plain reference for what the index must say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from s3_retriever.documents import Document
from s3_retriever.index import CELL, Index, Layout, Segment, SegmentBuilder, Snapshot
from s3_retriever.index.snapshot import LiveSegment

LAYOUT = Layout(taps=("2.1", "8.0"), n_features=(20, 300), k=(3, 2))


@dataclass(frozen=True)
class Scanned:
    """A document as the scan hands it over."""

    document: Document
    starts: np.ndarray
    features: list[np.ndarray]
    weights: list[np.ndarray]
    ids: np.ndarray
    n_tokens: int = field(default=0)

    def stored(self, tap: int) -> np.ndarray:
        """Dense weights as they are kept, (n, n_features), 0 for none."""
        weakest = 0.42 / LAYOUT.k[tap] ** 0.5
        dense = np.zeros((self.n_tokens, LAYOUT.n_features[tap]), np.float32)
        for row in range(self.n_tokens):
            for feature, weight in zip(self.features[tap][row], self.weights[tap][row].tolist(), strict=True):
                if weight >= weakest:
                    level = min(int((weight - weakest) / 0.05), 15)
                    dense[row, feature] = weakest + (level + 0.5) * 0.05
        return dense

    def by_cell(self, values: np.ndarray) -> np.ndarray:
        """Sums over cells of values (..., n)."""
        return (
            np.stack([values[..., i : i + CELL].sum(-1) for i in range(0, self.n_tokens, CELL)], axis=-1)
            if self.n_tokens
            else np.zeros((*values.shape[:-1], 0))
        )


def scan(doc_id: str, n_tokens: int, seed: int, text: str | None = None) -> Scanned:
    """A document of random features; about half of the slots are empty."""
    rng = np.random.default_rng([seed, n_tokens])
    features, weights = [], []
    for n_features, k in zip(LAYOUT.n_features, LAYOUT.k, strict=True):
        first = rng.integers(0, n_features, (n_tokens, 1))
        features.append(((first + np.arange(k) * 7) % n_features).astype(np.uint16))  # distinct in a row
        values = rng.uniform(-0.4, 1.2, (n_tokens, k)).astype(np.float32)
        weights.append(np.maximum(values, 0))
    text = "a " * n_tokens if text is None else text
    document = Document(doc_id, text, f"title of {doc_id}", {"n": n_tokens})
    return Scanned(
        document, np.arange(n_tokens) * 2, features, weights, rng.integers(0, 40, n_tokens), n_tokens
    )


def build(scanned: Sequence[Scanned], piece: int = 50) -> Segment:
    """A segment, fed in pieces."""
    builder = SegmentBuilder(LAYOUT)
    for item in scanned:
        builder.begin(item.document)
        for i in range(0, item.n_tokens, piece):
            rows = slice(i, i + piece)
            features, weights = ([of_tap[rows] for of_tap in side] for side in (item.features, item.weights))
            builder.add(item.starts[rows], item.ids[rows], features, weights)
        builder.end()
    return builder.build()


def append(index: Index, segment: Segment) -> None:
    """Put a segment behind the others and merge none, so that there are as many as a test needs."""
    if len(segment):
        index.snapshot = Snapshot(index.layout, [*index.snapshot.parts, LiveSegment(segment)])


def question(tap: int, seed: int, rows: int = 9, slots: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Query rows with distinct features per row and a few unused slots."""
    rng = np.random.default_rng(seed)
    n_features = LAYOUT.n_features[tap]
    features = np.stack([rng.choice(n_features, slots, replace=False) for _ in range(rows)]).astype(np.int32)
    features[rng.random(features.shape) < 0.1] = -1
    return features, rng.normal(0.5, 1, features.shape).astype(np.float32)


def by_row(masses: np.ndarray, rows: int) -> np.ndarray:
    """What ``cell_masses`` returns, as (R, C)."""
    groups, cells, lanes = masses.shape
    return masses.transpose(0, 2, 1).reshape(groups * lanes, cells)[:rows]
