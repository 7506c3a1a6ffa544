"""The sample gives the same labels in every precision, so the demo shows the same incident on every machine."""

from brandpulse.sample.generate import write_stream
from brandpulse.sample.unsure_texts import unsure_texts


def test_each_precision_gives_every_post_of_the_sample_the_same_label() -> None:
    assert unsure_texts(write_stream(), least_margin=0.0) == set()
