"""Random histories against a model built from scratch: 10,000 operations in ``make trust``."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign import Maker, change, overwrite, says, size

OPERATIONS = size("OPERATIONS", 100)
COMPARED = 25  # operations between two comparisons of all answers
KINDS = ("add", "add", "update", "update", "delete", "merge", "save", "reload", "overwrite", "refused")


@pytest.mark.long
def test_any_history_gives_what_an_index_from_scratch_gives(
    make: Maker, quick: Path, counted: Callable[[str], None]
) -> None:
    rng = random.Random(1)  # noqa: S311
    path, retriever, done, compared = quick / "index", make(), Counter[str](), 0
    retriever.save(path)
    saved = retriever.document_ids
    for number in range(1, OPERATIONS + 1):
        kind = rng.choice(KINDS)
        done[kind] += 1
        if kind == "save":
            retriever.save(path)
            saved = retriever.document_ids
        elif kind == "reload":
            retriever = make.load(path)
            assert retriever.document_ids == saved
        elif kind == "overwrite":
            overwrite(retriever, path)
            saved, retriever = retriever.document_ids, make.load(path)
        elif kind == "refused":
            before = retriever.document_ids
            with pytest.raises(KeyError):
                retriever.delete([*before[:1], "nobody"])
            assert retriever.document_ids == before
        else:
            change(retriever, kind, rng)
        if number % COMPARED == 0 or number == OPERATIONS:
            scratch = make([retriever.document(key) for key in retriever.document_ids])
            assert says(retriever) == says(scratch), f"after {number} operations"
            assert retriever.n_tokens == scratch.n_tokens
            compared += 1
    counted(f"{OPERATIONS} operations ({dict(done)}), compared with an index from scratch {compared} times")
