from __future__ import annotations

import json
from pathlib import Path

import pytest

from bevdeploy.errors import DataSetError
from bevdeploy.evaluate import Metric, Scores, load_scores
from bevdeploy.evaluate.scoreboard import scores_of

ROWS = (
    Metric("planning", "L2 at 1 s", 1.0, "m", "down", "UniAD", 3, headline=True),
    Metric("map", "mean IoU", 0.4, "share", "up", "p", 9, headline=True),
    Metric("map", "IoU x", None, "share", "up", "p", 0, "never occurs"),
)


def test_rows_stand_in_the_order_of_the_tasks() -> None:
    scores = scores_of(ROWS, ["b", "a"], "mini_val", True)
    assert [metric.key for metric in scores.metrics] == ["map/mean IoU", "map/IoU x", "planning/L2 at 1 s"]
    assert [metric.name for metric in scores.headlines] == ["mean IoU", "L2 at 1 s"]
    assert scores["map/mean IoU"].value == 0.4
    assert [row["key"] for row in scores.rows()] == [metric.key for metric in scores.metrics]
    assert scores.frames == 2


def test_the_digest_is_of_the_frames_not_of_their_order() -> None:
    one, two, three = (scores_of(ROWS, tokens).frames_digest for tokens in (["a", "b"], ["b", "a"], ["a", "c"]))
    assert one == two != three


def test_scores_survive_their_document(tmp_path: Path) -> None:
    scores = scores_of(ROWS, ["a"], None, False)
    text = json.dumps(scores.document(), allow_nan=False)
    assert Scores.from_document(json.loads(text)) == scores
    path = tmp_path / "scores.json"
    path.write_text(text)
    assert load_scores(path) == scores


def test_a_metric_given_twice_is_refused() -> None:
    with pytest.raises(DataSetError, match="map/mean IoU given twice"):
        scores_of((*ROWS, ROWS[1]), ["a"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a JSON file"),
        ("[]", "not scores"),
        ('{"format": "bevdeploy.bench/1"}', "not scores"),
        ('{"format": "bevdeploy.scores/1"}', "damaged"),
        (
            '{"format": "bevdeploy.scores/1", "frames": 1, "frames_digest": "", "split": null, "complete": true, '
            '"metrics": [{"task": "map"}]}',
            "not a metric",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(content)
    with pytest.raises(DataSetError, match=said):
        load_scores(path)
    with pytest.raises(DataSetError, match="cannot be read"):
        load_scores(tmp_path / "none.json")
