"""Settings are checked where they are made, in one wording, whatever type they are given."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever import Compare, InvalidInputError, RetrieverConfig, ScanConfig, SpanConfig, Tap
from s3_retriever.analysis.analyze import AnalyzeConfig
from s3_retriever.checks import check, choice, each, number, optional, whole
from s3_retriever.evaluation.benchmark.run import BenchConfig
from s3_retriever.evaluation.evaluate import EvaluateConfig
from s3_retriever.evaluation.needles.run import NeedleConfig
from s3_retriever.evaluation.rivals.infiniretri import InfiniRetriConfig
from s3_retriever.host import Sampling
from s3_retriever.search.density import Scale
from s3_retriever.training.calibrate import CalibrateConfig
from s3_retriever.training.fit import SAEOptions
from s3_retriever.training.sae_training import TrainConfig
from s3_retriever.training.survey import SurveyConfig

ALL = [
    (AnalyzeConfig, {}),
    (BenchConfig, {"artifacts": ("fast",)}),
    (CalibrateConfig, {}),
    (EvaluateConfig, {}),
    (InfiniRetriConfig, {}),
    (NeedleConfig, {}),
    (RetrieverConfig, {}),
    (SAEOptions, {}),
    (Sampling, {}),
    (Scale, {"sigma": 1.0}),
    (ScanConfig, {}),
    (SpanConfig, {}),
    (SurveyConfig, {}),
    (TrainConfig, {}),
]

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.integers()),
    st.just(object()),
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: RetrieverConfig(bm25="nonsense"),
            "bm25 must be one of 'rank_bm25', 'bm25s', not 'nonsense'",
        ),
        (lambda: RetrieverConfig(bm25=None), "bm25 must be one of"),
        (lambda: RetrieverConfig(spans={"context": 1}), "spans must be a SpanConfig"),
        (lambda: RetrieverConfig(scan=SpanConfig()), "scan must be a ScanConfig"),
        (lambda: SpanConfig(context="a"), "context must be a whole number, 0 or more, not 'a'"),
        (lambda: SpanConfig(context=1.5), "context must be a whole number, 0 or more, not 1.5"),
        (lambda: SpanConfig(bias_tokens=True), "bias_tokens must be a whole number, 0 or more, not True"),
        (lambda: SpanConfig(slack=-1), "slack must be a whole number, 0 or more, not -1"),
        (lambda: ScanConfig(chunk_tokens=None), "chunk_tokens must be a whole number, 1 or more, not None"),
        (
            lambda: ScanConfig(chunk_tokens=8, overlap_tokens=8),
            "overlap_tokens must be a whole number from 0 to 7",
        ),
        (lambda: ScanConfig(batch_tokens=100), "batch_tokens must be a whole number, 512 or more, not 100"),
        (lambda: Sampling(temperature="hot"), "temperature must be a number at least 0, not 'hot'"),
        (lambda: Sampling(seed=1.0), "seed must be a whole number from"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "given", "name"), [(kind, given, one.name) for kind, given in ALL for one in fields(kind)]
)
def test_every_setting_of_every_kind_is_checked(kind: type, given: dict[str, Any], name: str) -> None:
    kind(**given)
    for value in (object(), [object()], {"a": object()}):
        with pytest.raises(InvalidInputError, match=rf"^{name} must be "):
            kind(**given | {name: value})


@pytest.mark.long
@given(ANYTHING)
def test_a_span_setting_is_a_natural_number_or_one_clear_error(value: Any) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if fits:
        assert SpanConfig(context=value).context == value
    else:
        with pytest.raises(InvalidInputError, match=r"^context must be a whole number, 0 or more, not "):
            SpanConfig(context=value)


@pytest.mark.long
@given(ANYTHING, st.integers(-5, 5), st.integers(0, 5))
def test_rules_allow_exactly_what_they_say(value: Any, least: int, width: int) -> None:
    most = least + width
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    is_number = (is_whole or isinstance(value, float)) and math.isfinite(value)
    assert (whole(least, most)(value) == "") == (is_whole and least <= value <= most)
    assert (number(least, most)(value) == "") == (is_number and least <= value <= most)
    assert (number(above=least, below=most)(value) == "") == (is_number and least < value < most)
    assert (optional(whole(least))(value) == "") == (value is None or (is_whole and value >= least))
    assert (each(whole(least))([value]) == "") == (is_whole and value >= least)


def test_numbers_of_numpy_and_torch_become_pythons() -> None:
    spans = SpanConfig(context=np.int64(3), bias_tokens=torch.tensor(2))
    assert spans == SpanConfig(context=3, bias_tokens=2)
    assert json.dumps(asdict(spans))
    assert type(Sampling(temperature=np.float32(0.5)).temperature) is float
    assert EvaluateConfig(budgets=(np.int32(256), 512)).budgets == (256, 512)
    assert Tap(np.int64(2), np.int64(1)) == Tap(2, 1)
    assert Compare("year", "in", {np.int16(2022)}).value == (2022,)


@pytest.mark.parametrize("value", [np.float32(1), np.bool_(True), np.array([1]), np.array("1")])
def test_they_are_checked_like_pythons(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^context must be a whole number, 0 or more, not "):
        SpanConfig(context=value)


def test_true_is_not_one() -> None:
    with pytest.raises(InvalidInputError, match=r"part must be one of 1, 2, not True"):
        check("part", True, choice((1, 2)))
