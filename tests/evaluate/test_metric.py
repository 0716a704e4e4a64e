from __future__ import annotations

import json
import math

import pytest

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Metric
from bevdeploy.evaluate.metric import mean_of, ratio

MAP = Metric("map", "mean IoU", 0.25, "share", "up", "128 x 128", 12, headline=True)


def test_a_metric_survives_its_document() -> None:
    gone = Metric("map", "IoU x", None, "share", "up", "p", 0, "never occurs")
    for metric in (MAP, gone):
        assert Metric.from_document(json.loads(json.dumps(metric.document()))) == metric
    assert MAP.key == "map/mean IoU"


@pytest.mark.parametrize(("value", "reason"), [(None, None), (0.5, "there is one"), (math.nan, None), (math.inf, None)])
def test_a_metric_has_a_finite_value_or_a_reason(value: float | None, reason: str | None) -> None:
    with pytest.raises(DataSetError, match="map/x"):
        Metric("map", "x", value, "share", "up", "p", 0, reason)


@pytest.mark.parametrize(("key", "value"), [("task", "mapp"), ("unit", "km"), ("better", "left")])
def test_unknown_words_are_refused(key: str, value: str) -> None:
    with pytest.raises(DataSetError, match=value):
        Metric.from_document({**MAP.document(), key: value})


def test_a_document_with_a_missing_or_wrong_key_is_refused() -> None:
    short = {key: value for key, value in MAP.document().items() if key != "unit"}
    with pytest.raises(DataSetError, match="unit"):
        Metric.from_document(short)
    with pytest.raises(DataSetError, match="many"):
        Metric.from_document({**MAP.document(), "value": "many"})


def test_nothing_divided_by_nothing_is_none() -> None:
    assert ratio(0, 0) is None
    assert ratio(1, 4) == 0.25
    assert mean_of([]) is None
    assert mean_of([1.0, 2.0]) == 1.5
