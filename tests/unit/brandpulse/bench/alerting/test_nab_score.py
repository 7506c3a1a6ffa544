"""The NAB score of detections by their position, checked by hand."""

import math

import pytest

from brandpulse.bench.alerting.nab_score import Labelled, best_score, leave_one_out, score_at


def detected(rows: int, windows: list[tuple[int, int]], *at: tuple[int, float]) -> Labelled:
    scores = [0.0] * rows
    for row, score in at:
        scores[row] = score
    return Labelled(scores, windows)


@pytest.mark.parametrize(
    ("at", "score"),
    [
        ([], 0.0),
        ([(100, 1.0)], 100.0),
        ([(100, 1.0), (101, 1.0)], 100.0),
        # In a window the last row is s(-1/10) / s(-1) = .2449 / .9866.
        ([(109, 1.0)], 100 * (1 + 0.24492 / 0.98661) / 2),
        # Before any window a false row costs .11, long after one, too; probation costs nothing.
        ([(50, 1.0), (100, 1.0)], 100 - 100 * 0.11 / 2),
        ([(100, 1.0), (190, 1.0)], 100 - 100 * 0.11 / 2),
        ([(5, 1.0), (100, 1.0)], 100.0),
        # Right after a window it costs little: s(1/9) = -.2710.
        ([(100, 1.0), (110, 1.0)], 100 - 100 * 0.11 * 0.27094 / 2),
    ],
)
def test_a_detection_is_worth_more_early_in_its_window(at: list[tuple[int, float]], score: float) -> None:
    assert score_at(0.5, [detected(200, [(100, 109)], *at)]).score == pytest.approx(score, abs=0.01)


def test_the_best_threshold_drops_false_rows_and_keeps_windows() -> None:
    series = [detected(200, [(100, 109)], (100, 0.9), (50, 0.3), (51, 0.3)), detected(200, [(90, 99)], (92, 0.7))]
    best = best_score(series)
    assert (best.threshold, best.found, best.false_rows) == (0.7, 2, 0)
    assert best == score_at(0.7, series)


def test_without_useful_detections_the_best_threshold_is_infinite() -> None:
    best = best_score([detected(200, [(100, 109)], *((row, 1.0) for row in range(40, 90)))])
    assert (best.threshold, best.score) == (math.inf, 0.0)


def test_a_series_left_out_is_scored_at_the_threshold_of_the_others() -> None:
    sure, unsure = detected(200, [(100, 109)], (100, 0.9)), detected(200, [(100, 109)], (100, 0.5))
    assert best_score([sure, unsure]).score == pytest.approx(100)
    # The unsure one is lost at .9; the sure one is found at .5.
    assert leave_one_out([sure, unsure]).found == 1
