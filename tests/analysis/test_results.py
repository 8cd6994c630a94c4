"""What follows from measurements, on made-up ones whose answer is known."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from s3_retriever.analysis.report import conclusions, draw, to_markdown
from s3_retriever.analysis.results import Analysis, Measure, Perplexity, Side

BUDGETS = (2, 4, 8, 16)
CURVES: dict[Side, tuple[float, ...]] = {"keys": (0.5, 0.1, 0.08, 0.06), "values": (0.8, 0.6, 0.4, 0.1)}


def rise(k: int | None) -> float:
    return 0 if k is None else 0.16 / k


ANALYSIS = Analysis(
    host={"name": "made-up", "n_layers": 12, "n_key_heads": 2},
    settings={
        "n_features": 64,
        "steps": 10,
        "batch_size": 8,
        "tokens": 1000,
        "held_out_tokens": 100,
        "row_tokens": 50,
        "dtype": "float32",
    },
    layers=(3, 9),
    budgets=BUDGETS,
    tolerance=0.031,
    measures=tuple(
        Measure(layer, side, k, (error - shift, error + shift), error / 2)
        for layer, shift in ((3, 0.0), (9, 0.05))
        for side, curve in CURVES.items()
        for k, error in zip(BUDGETS, curve, strict=True)
    ),
    perplexities=tuple(
        Perplexity(keys, values, 20 * (1 + 0.25 * rise(keys) + rise(values)))
        for keys, values in itertools.product((None, *BUDGETS), repeat=2)
    ),
    seconds=12.0,
)


def test_curves_are_means_of_heads_and_layers() -> None:
    assert ANALYSIS.curve("values", "fvu") == pytest.approx(CURVES["values"])
    assert ANALYSIS.curve("keys", "output_error", 9) == pytest.approx([e / 2 for e in CURVES["keys"]])


def test_the_dual_budget_is_the_smallest_pair_within_the_tolerance() -> None:
    # 4 + 8 features rise by 0.01 + 0.02, 8 + 4 by 0.005 + 0.04; fewer than twelve rise by more than 0.03.
    dual = ANALYSIS.dual_budget()
    assert dual is not None
    assert (dual.k_keys, dual.k_values) == (4, 8)
    assert replace(ANALYSIS, tolerance=0.001).dual_budget() is None
    everything = replace(ANALYSIS, tolerance=9.0).dual_budget()
    assert everything is not None
    assert (everything.k_keys, everything.k_values) == (2, 2)


def test_the_report_says_what_follows() -> None:
    report = to_markdown(ANALYSIS)
    assert "| 3 | keys | 0.500 | 0.100 | 0.080 | 0.060 | 4 (0.77) |" in report
    assert "| mean | values / keys | 1.60 | 6.00 | 5.00 | 1.67 |  |" in report
    assert "| keys k = 4 | 20.20 (+1.0%) | 21.80 (+9.0%) |" in report
    said = "\n".join(conclusions(ANALYSIS))
    assert "Fraction of variance unexplained: elbow of keys 4 (0.77), of values 4 (0.14)." in said
    assert "for what keys have at k = 4 (0.100), values need k = 16." in said
    assert "at 4 by variance unexplained, at 4 by the attention's output, at 4 by perplexity" in said
    assert "within 3.1%: k = 4 for keys, 8 for values (+3.00%)." in said
    assert "No pair of these budgets keeps perplexity within 0.1%." in conclusions(
        replace(ANALYSIS, tolerance=0.001)
    )


def test_the_json_has_everything() -> None:
    values = json.loads(json.dumps(ANALYSIS.to_json()))
    assert values["dual_budget"] == {"k_keys": 4, "k_values": 8, "value": pytest.approx(20.6)}
    assert len(values["measures"]) == 16
    assert values["measures"][-1]["fvu"] == pytest.approx(0.1)
    assert len(values["perplexities"]) == 25
    (elbow,) = (
        one
        for one in values["elbows"]
        if (one["side"], one["quantity"], one["layer"]) == ("keys", "fvu", None)
    )
    assert elbow["k"] == 4


@pytest.mark.long
def test_plots_are_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(ANALYSIS, tmp_path)
    for name in ("errors.png", "perplexity.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
