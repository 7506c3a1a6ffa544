"""The measurement of the text stages."""

import pytest

from brandpulse.bench import environment
from brandpulse.bench.stages import HTML_EVERY, Stage, StageReport, text_stages, with_html
from stream_workers.decoding.post_decoder import decode_post


def test_each_stage_takes_time_over_its_posts() -> None:
    plain = environment.records_of_posts(200, seed=1)
    stages = text_stages(plain, with_html(plain))
    assert [stage.name for stage in stages] == ["text form", "match", "language", "copies"]
    for stage in stages:
        stage.run()


def test_html_of_the_measurement_is_read_as_text() -> None:
    plain = environment.records_of_posts(HTML_EVERY + 1, seed=1)
    texts = [decode_post(value).text for value in plain]
    assert [decode_post(value).text for value in with_html(plain)] == [
        f"{text}\n& so on" if number % HTML_EVERY == 0 else text for number, text in enumerate(texts)
    ]


def test_ratio_counts_stages_of_the_worker_once() -> None:
    report = StageReport(1, 10.0, {"form": 1.0, "match": 1.0, "copies": 4.0}, frozenset({"form", "match"}))
    assert report.before == 8.0
    assert report.ratio("form", "match") == pytest.approx(1.25)
    assert report.ratio("copies") == pytest.approx(1.5)


def test_time_without_a_stage_is_subtracted() -> None:
    def work() -> None:
        sum(range(2_000_000))

    assert Stage("s", "worker, always", work).seconds() > 0.01
    assert abs(Stage("s", "worker, always", work, work).seconds()) < Stage("s", "worker, always", work).seconds()
