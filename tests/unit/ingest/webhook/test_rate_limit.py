from ingest.webhook.rate_limit import RateLimit


def test_burst_passes_and_then_the_rate_holds() -> None:
    limit = RateLimit(10, most_posts=20)
    assert limit.take(50, now=0.0) == 0
    assert limit.take(20, now=0.0) == 2.0
    assert limit.take(20, now=1.9) > 0
    assert limit.take(20, now=2.0) == 0
    assert limit.take(1, now=2.0) == 0.1


def test_largest_request_fits_into_a_slow_limit() -> None:
    limit = RateLimit(1, most_posts=1_000)
    assert limit.take(1_000, now=0.0) == 0
    assert limit.take(1_000, now=0.0) == 1_000


def test_refused_request_takes_nothing() -> None:
    limit = RateLimit(10, most_posts=50)
    assert limit.take(50, now=0.0) == 0
    for _ in range(100):
        assert limit.take(10, now=0.5) > 0
    assert limit.take(10, now=1.0) == 0
