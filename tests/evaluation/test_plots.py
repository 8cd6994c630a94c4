from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.errors import InvalidInputError
from s3_retriever.evaluation.report.plots import draw, ticks


@given(low=st.floats(0, 1e6), width=st.floats(0, 1e6))
def test_ticks_cover_the_range_and_are_few(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert found[0] <= low + 1e-6 * (1 + low)
    assert found[-1] >= (low + width) * (1 - 1e-6)
    assert 2 <= len(found) <= 8


def test_ticks_are_round() -> None:
    assert ticks(0, 0.9) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0, 130_000) == [0, 50_000, 100_000, 150_000]


def test_points_lie_in_the_box_in_order() -> None:
    series = {"a": [(1024, 0.9), (256, 0.5), (512, 0.8)], "b": [(512, 0.1)], "none": []}
    plot = draw("t", "tokens", "recall", series, {"a": 0, "b": 1, "none": 2}, log_x=True)
    left, top, right, bottom = plot.box
    assert [curve.name for curve in plot.curves] == ["a", "b"]
    (x1, y1), (x2, y2), (x3, y3) = plot.curves[0].points
    assert (x1, x3) == (left, right)
    assert x2 == pytest.approx((left + right) / 2)  # a factor of two on either side
    assert bottom >= y1 > y2 > y3 >= top
    assert [text for _, text in plot.x_ticks] == ["256", "512", "1024"]
    assert plot.curves[0].path.startswith(f"{x1:.1f},{y1:.1f} ")


def test_large_numbers_are_short() -> None:
    plot = draw("t", "x", "y", {"a": [(1.5e6, 25_000)]}, {"a": 0})
    assert "1.5M" in [text for _, text in plot.x_ticks]
    assert "20K" in [text for _, text in plot.y_ticks] or "25K" in [text for _, text in plot.y_ticks]


def test_nothing_cannot_be_plotted() -> None:
    with pytest.raises(InvalidInputError, match="nothing to plot of 't'"):
        draw("t", "x", "y", {"a": []}, {"a": 0})
