"""Saves, changes and overwrites that are killed before any of their steps: 1,000 kills in ``make trust``."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from campaign import QUESTION, Maker, change, document, holds, killed_at, litter, overwrite, size

from s3_retriever import Index, IndexFormatError, S3Retriever
from s3_retriever.saved import read_saved

KILLS = size("KILLS", 30)
KINDS = ("save", "add", "update", "delete", "merge", "overwrite")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.long
def test_whatever_is_killed_leaves_the_old_index_or_the_new(
    make: Maker, quick: Path, counted: Callable[[str], None]
) -> None:
    rng = random.Random(0)  # noqa: S311
    path, first = quick / "index", quick / "first"
    make([document("d0", 1)]).save(path)
    kills, outcomes, steps = Counter[str](), Counter[str](), dict.fromkeys(KINDS, 60)
    rounds = 0
    while kills.total() < KILLS:
        kind = KINDS[rounds % len(KINDS)]
        rounds += 1
        step = rng.randrange(steps[kind])
        if kind in ("save", "overwrite"):
            changed = make([document(f"d{n}", rng.randint(0, 99)) for n in rng.sample(range(8), 3)])
        else:
            changed = S3Retriever(host=make.host, artifact=make.artifact, index=Index.load(path / "index"))
            change(changed, kind, rng)
        old, new = holds(Index.load(path / "index")), holds(changed.index)
        target = first if kind == "save" else path
        save = partial(overwrite, changed, target) if kind == "overwrite" else partial(changed.save, target)
        if killed_at(step, save):
            kills[kind] += 1
        else:
            steps[kind] = max(step, 10)  # it has no more steps than that
        if kind == "save":
            outcomes[first_save(target, new)] += 1
            changed.save(target)
            assert holds(read_saved(target)[0]) == new
            assert not litter(target)
            shutil.rmtree(target)
            continue
        found = holds(read_saved(path)[0])
        assert found in (old, new), f"after a kill of {kind} before step {step}"
        outcomes["new" if found == new else "old"] += 1
        if rounds % 5 == 0:  # what several kills left is gone with the next save
            whole = make.load(path)
            overwrite(whole, path) if rounds % 2 else whole.save(path)
            assert not litter(path)
            assert bool(whole.retrieve(QUESTION)) == bool(len(whole))
    assert outcomes["old"]
    assert outcomes["new"]
    counted(f"{kills.total()} kills ({dict(kills)}), found afterwards: {dict(outcomes)}")


def first_save(path: Path, new: object) -> str:
    """What a first save that was killed left: nothing yet, or all."""
    try:
        found, _, _ = read_saved(path)
    except IndexFormatError:
        assert not (path / "index" / "manifest.json").exists()
        return "none"
    assert holds(found) == new
    return "new"
