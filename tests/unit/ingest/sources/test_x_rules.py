"""What X searches for a brand, and how far it has read."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from brandpulse.config.brands_file import Brand
from ingest.sources.connectors.x.place import Place
from ingest.sources.connectors.x.rules import QUERY_CHARS, RULE_CHARS, search_queries, stream_rules, unsearchable
from ingest.sources.connectors.x.settings import XSettings
from ingest.sources.events import NewPost

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def settings(**changes: object) -> XSettings:
    keys = {"name": "x", "kind": "x", "token_env": "X_TOKEN", "budget_dollars_per_day": 5}
    return XSettings.model_validate(keys | changes)


def brand(name: str = "Acme Air", **words: list[str]) -> Brand:
    return Brand.model_validate({"name": name, **words})


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ({"terms": ["acme air"]}, '("acme air" OR #acmeair) -is:retweet'),
        ({"handles": ["@acmeair"]}, "@acmeair -is:retweet"),
        ({"hashtags": ["#flyacme"]}, "#flyacme -is:retweet"),
        ({"terms": ["@acme", "#fly"]}, "(@acme OR #fly) -is:retweet"),
        ({"terms": ["Café"]}, '("Café" OR "Cafe" OR #Café OR #Cafe) -is:retweet'),
        ({"terms": ['say "acme"']}, '("say acme" OR #sayacme) -is:retweet'),
        ({"terms": ["747"]}, '"747" -is:retweet'),
        (
            {"terms": ["target"], "handles": ["@target"], "require": ["store"], "exclude": ["goal", "arrow"]},
            None,
        ),
    ],
)
def test_a_rule_has_the_words_of_its_brand(words: dict[str, list[str]], value: str | None) -> None:
    acme = Brand.model_validate({"name": "Acme Air", **words})
    found = [rule.value for rule in stream_rules([acme], settings())]
    with_context = '(("target" OR #target) "store" -"goal" -"arrow") -is:retweet'
    assert found == ([value] if value else ["@target -is:retweet", with_context])


def test_languages_and_extra_terms_are_in_each_rule() -> None:
    one, two = settings(languages=("de",)), settings(languages=("de", "en"), extra_terms="-is:reply")
    acme = brand(handles=["acme"])
    assert stream_rules([acme], one)[0].value == "@acme -is:retweet lang:de"
    assert stream_rules([acme], two)[0].value == "@acme -is:retweet (lang:de OR lang:en) -is:reply"


def test_many_words_are_split_into_rules_within_the_limit() -> None:
    terms = [f"a rather long term number {number}" for number in range(100)]
    rules = stream_rules([brand(terms=terms, require=["x" * 30] * 50, exclude=["y" * 30])], settings())
    assert len(rules) > 3
    assert all(len(rule.value) <= RULE_CHARS for rule in rules)
    assert all(sum(f'"{term}"' in rule.value for rule in rules) == 1 for term in terms)


def test_few_queries_hold_many_brands() -> None:
    brands = [brand(f"B{number}", terms=[f"brand {number}"]) for number in range(40)]
    queries = search_queries(brands, settings())
    assert len(queries) < 6
    assert all(len(query) <= QUERY_CHARS for query in queries)
    assert all(any(f'"brand {number}"' in query for query in queries) for number in range(40))


def test_a_brand_that_x_cannot_search_is_named() -> None:
    brands = [brand("Far", handles=["acme.bsky.social"]), brand("Near", handles=["acme"])]
    assert unsearchable(brands) == ["Far"]
    assert [rule.brand for rule in stream_rules(brands, settings())] == ["Near"]


@pytest.mark.parametrize(
    ("key", "value"), [("budget_dollars_per_day", 0), ("languages", ("german",)), ("api", "api.x.com"), ("mode", "x")]
)
def test_a_wrong_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        settings(**{key: value})


def number_of(moment: datetime) -> str:
    return str((int(moment.timestamp() * 1000) - 1_288_834_974_657) << 22)


def test_a_search_begins_after_a_known_post_or_at_a_time() -> None:
    begin, end = NOON, NOON + timedelta(minutes=5)
    near, far = number_of(NOON - timedelta(seconds=40)), number_of(NOON - timedelta(hours=3))
    times = {"start_time": "2026-11-30T11:59:30Z", "end_time": "2026-11-30T12:05:00Z"}
    assert Place(NOON, near).window(begin=begin, end=end, now=end) == {
        "since_id": near,
        "end_time": "2026-11-30T12:05:00Z",
    }
    # Posts after one from three hours ago were read, and would be paid again.
    assert Place(NOON, far).window(begin=begin, end=end, now=end) == times
    assert Place(NOON).window(begin=begin, end=end, now=end) == times


def test_a_position_survives_as_a_cursor() -> None:
    place = Place(NOON, "17", "budget")
    assert Place.of(place.cursor()) == place
    assert Place.of({"until": "yesterday"}) == Place()


def test_a_post_that_just_arrived_is_searched_again() -> None:
    place = Place()
    place.arrived([NewPost("20", "acme", NOON, "7", url="https://x.com/i/status/20")])
    place.read_until(NOON)
    assert place.since_id == ""
    place.searched([NewPost("20", "acme", NOON, "7", url="https://x.com/i/status/21")])
    assert place.since_id == "21"
