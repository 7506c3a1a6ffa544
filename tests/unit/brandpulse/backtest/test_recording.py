"""Reading, matching and scoring of recorded posts."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from brandpulse.backtest.post_scoring import BrandScoring, PostScoring, TextScoring, facet_matcher
from brandpulse.backtest.recorded_panes import RecordedPanes
from brandpulse.backtest.recording import RecordedTexts, Tally
from brandpulse.backtest.score_file import Scores, read_scores, score_key, write_scores
from brandpulse.config.brands_file import Brand
from brandpulse.config.facets import Facet
from brandpulse.errors import ConfigError
from brandpulse.schema.labels import EMOTIONS
from brandpulse.state.keys import facet_series
from brandpulse.text.brand_matcher import BrandMatcher
from brandpulse.text.languages import LanguageIdentifier
from model.inference.scorer import Scores as ModelScores
from model.inputs.target_marking import MarkedText, plain
from model.language_weights import ModelFacts
from stream_workers.scoring.brand_marker import BrandMarker
from stream_workers.scoring.facet_matcher import FacetMatcher
from stream_workers.scoring.post_scores import BrandScore, PostScores, score_results
from tests.support.alerting.reference_scenario import LIMITS, RETENTION
from tests.support.builders import NOON_MS, a_post

MATCHER = BrandMatcher([Brand(name="Acme", terms=["acme"]), Brand(name="Bolt", terms=["bolt"])])


class Model:
    """A post with the word "bad" is negative for its first brand; it is irrelevant to its other brands."""

    def __init__(self) -> None:
        self.asked: list[MarkedText] = []

    def score(self, posts: Sequence[MarkedText]) -> ModelScores:
        self.asked += posts
        bad = ["bad" in post.text for post in posts]
        sentiment = np.array([(0.8, 0.1, 0.1) if yes else (0.1, 0.8, 0.1) for yes in bad], dtype=np.float32)
        targets = [
            (0.1, 0.1, 0.1, 0.7) if number else (*row, 0.0)
            for post, row in zip(posts, sentiment, strict=True)
            for number in range(post.targets)
        ]
        return ModelScores({"sentiment": sentiment}, np.array(targets, dtype=np.float32).reshape(-1, 4))


def texts_of(
    model: Model,
    scores: Scores | None = None,
    *,
    whole_posts: bool = False,
    languages: LanguageIdentifier | None = None,
    routed: Sequence[str] = (),
) -> RecordedTexts:
    scoring: TextScoring = (
        PostScoring(MATCHER, plain, model) if whole_posts else BrandScoring(MATCHER, BrandMarker(MATCHER), model)
    )
    known = {} if scores is None else scores
    return RecordedTexts(
        scoring,
        known,
        author_hash=lambda source, author, post_id: hash((source, author)),
        languages=languages,
        routed=routed,
    )


def negative_of(scores: Sequence[Sequence[float]]) -> list[float]:
    return [round(four[0], 1) for four in scores]


def a_recording(folder: Path, *lines: object, name: str = "posts.jsonl.gz") -> Path:
    path = folder / name
    body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


@pytest.mark.parametrize("name", ["posts.jsonl.gz", "posts.jsonl"])
def test_each_text_is_scored_once_and_each_post_gets_its_score(tmp_path: Path, name: str) -> None:
    path = a_recording(
        tmp_path, *(a_post(str(n), ["acme bad", " acme bad ", "acme"][n % 3], NOON_MS + n) for n in range(9)), name=name
    )
    model, tally = Model(), Tally()
    texts = texts_of(model)
    texts.score(path, tally)
    posts = list(texts.posts(path, tally))
    assert len(model.asked) == 2
    assert [negative_of(post.probabilities) for post in posts] == [[0.8], [0.8], [0.1]] * 3
    assert (tally.lines, tally.scored) == (9, 2)


def test_a_post_is_scored_towards_all_its_brands_in_one_pass(tmp_path: Path) -> None:
    path = a_recording(tmp_path, a_post("1", "bolt and acme are bad"), a_post("2", "acme and bolt are bad"))
    model = Model()
    texts = texts_of(model)
    texts.score(path, Tally())
    posts = list(texts.posts(path, Tally()))
    assert [post.brands for post in posts] == [("Acme", "Bolt")] * 2
    assert [negative_of(post.probabilities) for post in posts] == [[0.8, 0.1]] * 2
    assert [round(four[3], 1) for four in posts[0].probabilities] == [0.0, 0.7]
    assert [post.mentions for post in model.asked] == [(1, 0), (0, 1)]


def test_texts_that_differ_only_in_the_brand_are_scored_once(tmp_path: Path) -> None:
    path = a_recording(
        tmp_path, a_post("1", "acme is bad"), a_post("2", "@ann: BOLT is bad"), a_post("3", "#bolt is bad")
    )
    model, tally = Model(), Tally()
    texts = texts_of(model)
    texts.score(path, tally)
    assert (len(model.asked), tally.scored) == (2, 2)
    assert [(post.brands, negative_of(post.probabilities)) for post in texts.posts(path, Tally())] == [
        (("Acme",), [0.8]),
        (("Bolt",), [0.8]),
        (("Bolt",), [0.8]),
    ]


def test_the_score_of_the_whole_post_counts_for_all_its_brands(tmp_path: Path) -> None:
    path = a_recording(tmp_path, a_post("1", "bolt and acme are bad"))
    model = Model()
    texts = texts_of(model, whole_posts=True)
    texts.score(path, Tally())
    [post] = texts.posts(path, Tally())
    assert negative_of(post.probabilities) == [0.8, 0.8]
    assert [four[3] for four in post.probabilities] == [0.0, 0.0]
    assert model.asked == [MarkedText("bolt and acme are bad")]


def test_weights_of_a_language_have_scores_of_their_own(tmp_path: Path) -> None:
    post = {**a_post("2", "acme ist wirklich schlecht"), "lang": "de"}
    path = a_recording(tmp_path, a_post("1", "acme is bad and they know it"), post, {**post, "id": "3", "lang": "fr"})
    asked: dict[str, list[str]] = {}
    keys: dict[str, set[bytes]] = {}
    routes: list[tuple[str, ...]] = [(), ("de",)]
    for routed in routes:
        model, scores = Model(), Scores()
        texts = texts_of(model, scores, languages=LanguageIdentifier(["en", "de"]), routed=routed)
        texts.score(path, Tally())
        asked[str(routed)] = [one.language for one in model.asked]
        keys[str(routed)] = set(scores)
        assert [one.unread for one in texts.posts(path, Tally())] == [False, False, True]
    assert sorted(asked["()"]) == sorted(asked["('de',)"]) == ["de", "en"]
    assert len(keys["()"] & keys["('de',)"]) == 1, "the English post keeps its key"


def test_a_known_score_is_reused_only_for_the_same_target(tmp_path: Path) -> None:
    path, scores = a_recording(tmp_path, a_post("1", "acme, bolt: bad")), Scores()
    for model, whole_posts, asked in ((Model(), False, 1), (Model(), False, 0), (Model(), True, 1), (Model(), True, 0)):
        texts_of(model, scores, whole_posts=whole_posts).score(path, Tally())
        assert len(model.asked) == asked
    assert len(scores) == 3, "two targets and the whole post"


def test_a_post_without_a_brand_is_not_scored_but_moves_the_clock(tmp_path: Path) -> None:
    path = a_recording(tmp_path, a_post("1", "no brand"))
    model, tally = Model(), Tally()
    texts = texts_of(model)
    texts.score(path, tally)
    [post] = texts.posts(path, tally)
    panes = RecordedPanes(RETENTION, LIMITS)
    panes.count(post)
    assert (model.asked, post.brands, post.event_ms, panes.status.unmatched) == ([], (), NOON_MS, 1)


def test_an_invalid_line_is_counted_and_skipped(tmp_path: Path) -> None:
    path = a_recording(tmp_path, "{", {"id": "1"}, a_post("2", created_at="2026-03-02T12:00:00"), a_post("3"))
    tally = Tally()
    texts = texts_of(Model())
    texts.score(path, Tally())
    assert [post.id for post in texts.posts(path, tally)] == ["3"]
    assert (tally.lines, tally.invalid) == (4, 3)


FACETS = [
    Facet(name="refund", words=["refund"]),
    Facet(name="unhappy", words=["refund"], sentiment=["negative"]),
    Facet(name="cross", complaint=0.5),
]


class Complaining(Model):
    """The same; a post with three exclamation marks is a complaint."""

    heads = ("sentiment", "target", "risk")

    def score(self, posts: Sequence[MarkedText]) -> ModelScores:
        scores = super().score(posts)
        risk = np.array([(float("!!!" in post.text), 0, 0) for post in posts], dtype=np.float32)
        return ModelScores({**scores.heads, "risk": risk}, scores.target)


@pytest.mark.parametrize(
    ("text", "facets"),
    [
        ("acme: refund", (("refund",),)),
        ("acme: bad, I want a refund", (("refund", "unhappy"),)),
        ("acme is bad", ((),)),
        ("acme!!! answer", (("cross",),)),
        ("acme!!! refund", (("refund", "cross"),)),
        ("bolt and acme are bad, refund!!!", (("refund", "unhappy", "cross"), ())),
    ],
)
def test_a_post_is_in_the_same_facets_as_in_a_worker(
    tmp_path: Path, text: str, facets: tuple[tuple[str, ...], ...]
) -> None:
    model = Complaining()
    matcher = BrandMatcher([Brand(name="Acme", terms=["acme"]), Brand(name="Bolt", terms=["bolt"])], FACETS)
    texts = RecordedTexts(
        BrandScoring(matcher, BrandMarker(matcher), model),
        {},
        author_hash=lambda source, author, post_id: 1,
        facets=facet_matcher(FACETS, model),
        keep_heads=True,
    )
    path = a_recording(tmp_path, a_post("1", text))
    texts.score(path, Tally())
    [post] = texts.posts(path, Tally())
    assert post.facets == facets
    [marked] = model.asked
    [scored] = score_results(model.score([marked]), [marked])
    assert isinstance(scored, PostScores)
    counted = FacetMatcher(FACETS, heads=model.heads).match(
        matcher.match_with_facets(text)[1],
        scored.heads,
        tuple(map(BrandScore, post.brands, scored.targets, scored.labels, scored.score_micros, scored.urgency)),
    )
    assert [series for series, _ in counted] == [
        facet_series(brand, name) for brand, names in zip(post.brands, facets, strict=True) for name in names
    ]


class Angry(Model):
    """Gives each post anger with a probability of 0.01."""

    heads = ("sentiment", "target", "emotion")

    def score(self, posts: Sequence[MarkedText]) -> ModelScores:
        emotion = np.zeros((len(posts), len(EMOTIONS)), np.float32)
        emotion[:, EMOTIONS.index("anger")] = 0.01
        scored = super().score(posts)
        return ModelScores({**scored.heads, "emotion": emotion}, scored.target)


def test_a_post_is_in_an_emotion_facet_by_the_weights_of_its_language(tmp_path: Path) -> None:
    model, facets = Angry(), [Facet(name="angry", emotions=["anger"])]
    lower = tuple(0.005 if name == "anger" else 0.9 for name in EMOTIONS)
    texts = RecordedTexts(
        BrandScoring(MATCHER, BrandMarker(MATCHER), model),
        {},
        author_hash=lambda source, author, post_id: 1,
        facets=facet_matcher(facets, model, {"de": ModelFacts("german@1", {"emotion": lower})}),
        languages=LanguageIdentifier(("en", "de")),
        routed=("de",),
        keep_heads=True,
    )
    german = "Acme: mein Paket ist schon wieder nicht angekommen"
    path = a_recording(tmp_path, a_post("1", german), a_post("2", "acme: my parcel did not come again"))
    texts.score(path, Tally())
    assert [post.facets for post in texts.posts(path, Tally())] == [(("angry",),), ((),)]


def test_a_facet_without_its_head_is_rejected() -> None:
    class Plain(Model):
        heads = ("sentiment", "target")

    with pytest.raises(ConfigError, match="facet 'cross'"):
        facet_matcher(FACETS, Plain())


def test_the_arrival_clock_never_goes_back(tmp_path: Path) -> None:
    path = a_recording(
        tmp_path,
        a_post("1", at_ms=NOON_MS, arrived_at="2026-03-02T12:10:00Z"),
        a_post("2", at_ms=NOON_MS + 1_000),
        a_post("3", at_ms=NOON_MS + 900_000),
    )
    texts = texts_of(Model())
    texts.score(path, Tally())
    arrived = [post.arrived_ms - NOON_MS for post in texts.posts(path, Tally())]
    assert arrived == [600_000, 600_000, 900_000]


def test_a_truncated_file_is_rejected_by_name(tmp_path: Path) -> None:
    path = a_recording(tmp_path, *(a_post(str(n)) for n in range(100)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"posts\.jsonl\.gz"):
        texts_of(Model()).score(path, Tally())


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    scores: Scores = {score_key(f"text {n}", (0,), target=0): (0.25, 0.5, 0.125, 0.125) for n in range(50)} | {
        score_key(""): (0.0, 0.0, 1.0, 0.0)
    }
    write_scores(tmp_path / "scores.npz", scores, version="m@1")
    assert read_scores(tmp_path / "scores.npz", version="m@1") == scores
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]


def test_scores_of_another_model_are_not_used(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.npz", {score_key("a"): (1.0, 0.0, 0.0, 0.0)}, version="m@1")
    assert read_scores(tmp_path / "scores.npz", version="m@2") == {}
    assert read_scores(tmp_path / "none.npz", version="m@1") == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (score_key("a", (0, 1), target=0), score_key("a", (0, 1), target=1)),
        (score_key("a", (0, 1), target=0), score_key("a", (1, 0), target=0)),
        (score_key("a", (0,), target=0), score_key("b", (0,), target=0)),
        (score_key("a"), score_key("a", target=0)),
    ],
)
def test_another_text_or_target_has_another_key(one: bytes, other: bytes) -> None:
    assert one != other


def test_scores_of_an_older_version_are_rejected_by_name(tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    digests, probabilities = np.zeros((1, 16), dtype=np.uint8), np.array([[0.8, 0.1, 0.1]], dtype=np.float32)
    np.savez(path, digests=digests, probabilities=probabilities, version=np.array("m@1"))
    with pytest.raises(ConfigError, match=r"scores\.npz .*whole posts.*--scores"):
        read_scores(path, version="m@1")


def test_a_file_without_scores_is_rejected_by_name(tmp_path: Path) -> None:
    (tmp_path / "scores.npz").write_text("no zip")
    with pytest.raises(ConfigError, match=r"scores\.npz"):
        read_scores(tmp_path / "scores.npz", version="m@1")
