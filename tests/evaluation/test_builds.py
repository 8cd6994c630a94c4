"""Two builds beside each other, both of them this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest import approx

import s3_retriever
from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.benchmark.builds import main, measure, summary

CHECKOUT = Path(s3_retriever.__file__).parents[1]


def test_medians_are_compared() -> None:
    found = summary([4.0, 2.0, 9.0], [1.0, 3.0, 2.0])
    assert (found["old_median"], found["new_median"], found["new_over_old"]) == (4.0, 2.0, 0.5)
    assert (found["old_spread"], found["new_spread"]) == ([2.0, 9.0], [1.0, 3.0])


def test_a_build_that_fails_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "s3_retriever").mkdir()
    (tmp_path / "s3_retriever" / "__init__.py").write_text("raise RuntimeError('no build')", encoding="utf-8")
    with pytest.raises(S3RetrieverError, match=r"build of the build in .* failed: .*no build"):
        measure(str(data), tmp_path, tmp_path / "out", [100], 1, 100)


@pytest.mark.host
@pytest.mark.slow
def test_a_build_beside_itself_gives_the_same_spans(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--sizes", "500", "--rounds", "1", "--scan-tokens", "300"]
    main([str(data), "--base", str(CHECKOUT), "--out", str(out), *arguments])
    found = json.loads((out / "speed.json").read_text(encoding="utf-8"))["figures"]
    assert found["500 same_spans"] == 1.0
    assert found["500 bytes_per_token"]["new_over_old"] == 1.0
    assert found["files"]["new_over_old"] == 1.0
    for name in (
        "500 question_ms",
        "500 load_and_first_s",
        "500 process_s",
        "tokens_per_s",
        "tokens_per_s_busy",
    ):
        assert found[name]["old"][0] > 0
        assert found[name]["new_over_old"] == approx(found[name]["new"][0] / found[name]["old"][0])
    assert (out / "speed.svg").read_text(encoding="utf-8").startswith("<?xml")
