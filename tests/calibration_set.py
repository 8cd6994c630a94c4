"""A short corpus with questions for the tiny host, and corpora made by hand."""

from __future__ import annotations

import numpy as np

from s3_retriever import Document, ScanConfig
from s3_retriever.encode import center_and_normalize
from s3_retriever.host import QueryHead, Tap
from s3_retriever.index.layout import CELL
from s3_retriever.training.corpus import DenseCorpus, Example
from s3_retriever.training.pairs import Pair

SCAN = ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512)

TEXTS = {
    "harbour": "The harbour was quiet. " * 25 + "The keeper stores oil in the cellar. " + "Ships sail. " * 20,
    "bakery": "Bread is baked at four in the morning. The baker sings. " * 8,
    "empty": "",
    "emoji": "🧑‍🚀 keeper \ud83d oil 灯台守は油を地下室に保管する。\r\n" * 6,
    "cats": "".join(f"Line {i}: only cats and the number {i * i}.\n" for i in range(25)),
}
DOCUMENTS = [Document(key, text) for key, text in TEXTS.items()]


def pair(question: str, doc_id: str, *quotes: str) -> Pair:
    text = TEXTS[doc_id]
    return Pair(question, doc_id, tuple((text.index(q), text.index(q) + len(q)) for q in quotes))


PAIRS = [
    pair("Where does the keeper store the oil?", "harbour", "The keeper stores oil in the cellar."),
    pair("When is bread baked?", "bakery", "Bread is baked at four in the morning."),
    pair("Which lines name 144 and 529?", "cats", "Line 12: only cats and the number 144.", "number 529"),
]


def made_corpus(
    lengths: list[int], *, informative: tuple[bool, ...] = (True, False, False), n: int = 24, seed: int = 0
) -> DenseCorpus:
    """A corpus of three heads over two taps (the first two heads ask the first tap), d = 16.

    An informative head's queries point where half of the keys of the evidence's cell lie; all else is noise.

    Args:
        lengths: Tokens of each document.
        informative: Of each head.
        n: Examples, each with one cell of evidence.
        seed: Fixes the numbers.
    """
    random = np.random.default_rng(seed)
    dim, head_taps = 16, (0, 0, 1)
    cells = [-(-length // CELL) for length in lengths]
    pointers = np.append(0, np.cumsum(cells)).astype(np.int64)
    tokens = np.full(pointers[-1], CELL, np.int32)
    for length, last in zip(lengths, pointers[1:], strict=True):
        if length % CELL:
            tokens[last - 1] = length % CELL
    keys = center_and_normalize(random.normal(size=(2, len(tokens), CELL, dim)), 0)
    examples = []
    for cell in random.permutation(len(tokens))[:n]:
        directions = center_and_normalize(random.normal(size=(2, dim)), 0)
        for tap in range(2):
            noise = 0.1 * random.normal(size=(CELL // 2, dim))
            keys[tap, cell, : CELL // 2] = center_and_normalize(directions[tap] + noise, 0)
        queries = 0.5 * random.normal(size=(4, 3, dim)).astype(np.float32)
        for head, tells in enumerate(informative):
            if tells:
                queries[:, head] = 2 * directions[head_taps[head]] + 0.1 * queries[:, head]
        examples.append(
            Example(
                queries=queries,
                token_weights=np.linspace(0.7, 1.3, len(queries), dtype=np.float32),
                cells=np.array([cell]),
                weights=np.ones(1, np.float32),
                document=int(np.searchsorted(pointers, cell, side="right")) - 1,
            )
        )
    keys *= (np.arange(CELL) < tokens[:, None])[..., None]
    return DenseCorpus(
        heads=(QueryHead(1, 0), QueryHead(1, 1), QueryHead(2, 3)),
        taps=(Tap(1, 0), Tap(2, 1)),
        head_taps=head_taps,
        key_means=np.zeros((2, dim), np.float32),
        query_means=np.zeros((3, dim), np.float32),
        keys=keys.astype(np.float16),
        tokens=tokens,
        document_cells=pointers,
        examples=tuple(examples),
    )
