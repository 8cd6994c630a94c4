from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.analysis.results import Elbow, find_elbow
from s3_retriever.errors import InvalidInputError


def test_the_bend_of_two_straight_lines_is_the_elbow() -> None:
    # At 4, a fifth along; a tenth of the height is left.
    assert find_elbow((2, 4, 8, 12), (1.0, 0.28, 0.24, 0.2)) == (4, pytest.approx(1 - 2 / 10 - 0.08 / 0.8))


@pytest.mark.parametrize(
    "errors",
    [(0.9, 0.7, 0.5, 0.3), (0.9, 0.89, 0.8, 0.1), (0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 0.5, 0.5)],
    ids=["straight", "bent upwards", "rising", "level"],
)
def test_other_curves_have_none(errors: tuple[float, ...]) -> None:
    assert find_elbow((1, 2, 3, 4), errors) is None


def test_two_points_have_none() -> None:
    assert find_elbow((1, 2), (0.5, 0.1)) is None


@pytest.mark.long
@given(
    st.lists(st.floats(0.01, 1), min_size=3, max_size=8),
    st.floats(0.1, 10),
    st.floats(-5, 5),
    st.integers(1, 4),
)
def test_units_do_not_matter(errors: list[float], scale: float, shift: float, step: int) -> None:
    errors = sorted(errors, reverse=True)
    budgets = range(1, len(errors) + 1)
    found = find_elbow(budgets, errors)
    other = find_elbow([step * k for k in budgets], [scale * error + shift for error in errors])
    if found is None or found.strength < 1e-6 or errors[0] - errors[-1] < 1e-3:
        return  # rounding decides
    assert isinstance(other, Elbow)
    assert other.strength == pytest.approx(found.strength, abs=1e-6)


@pytest.mark.parametrize(("budgets", "errors"), [((1, 2, 3), (1.0, 0.5)), ((2, 2, 3), (1.0, 0.5, 0.2))])
def test_budgets_must_rise_and_have_an_error_each(
    budgets: tuple[int, ...], errors: tuple[float, ...]
) -> None:
    with pytest.raises(InvalidInputError, match="rising budgets and an error for each"):
        find_elbow(budgets, errors)
