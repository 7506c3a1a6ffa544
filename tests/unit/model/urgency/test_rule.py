"""The urgency of posts."""

from collections.abc import Sequence

import numpy as np
import pytest

from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText, mark, plain
from model.spec.heads import TARGET
from model.urgency.hazard_terms import HAZARDS, hazards
from model.urgency.rule import LEVELS, Thresholds, levels_of, signals, urgency, urgency_of_posts

THRESHOLDS = Thresholds(medium=0.2, high=0.3)


def said(
    *, complaint: float = 0.0, crisis: float = 0.0, targets: Sequence[str] = ("negative",), whole: str = "negative"
) -> Scores:
    """The scores of a confident model for one post."""
    sentiment = [float(label == whole) for label in TARGET[:3]]
    return Scores(
        {
            "sentiment": np.array([sentiment], dtype=np.float32),
            "risk": np.array([[complaint, crisis, 0.0]], dtype=np.float32),
        },
        np.array([[float(label == name) for label in TARGET] for name in targets], dtype=np.float32).reshape(-1, 4),
    )


def level_of(scores: Scores, post: MarkedText) -> list[str]:
    return [LEVELS[at] for at in urgency(scores, [post], thresholds=THRESHOLDS)]


@pytest.mark.parametrize(
    ("text", "scores", "expected"),
    [
        ("Acme sent the wrong colour", said(complaint=0.8), "medium"),
        ("the Acme kettle caught fire", said(complaint=0.6), "high"),
        ("calm: there was smoke from the Acme kettle", said(complaint=0.4, targets=["neutral"]), "high"),
        ("smoke in the picture that Acme shows", said(complaint=0.25, targets=["neutral"]), "medium"),
        ("Acme put the smoke out, thank you", said(complaint=0.6, targets=["positive"]), "low"),
        ("fire at Zenith, Acme is next door", said(complaint=0.9, crisis=0.9, targets=["irrelevant"]), "low"),
        ("Acme has ruined my whole summer", said(complaint=1.0), "medium"),
        ("Acme's depot stands in the flood", said(crisis=0.7, targets=["neutral"]), "low"),
        ("Acme's depot stands in the flood, nobody can get out", said(crisis=0.7, targets=["neutral"]), "high"),
        ("Acme opens at nine", said(), "low"),
        ("Acme: police at the door, an ambulance too", said(), "low"),
    ],
)
def test_a_level_follows_from_complaint_crisis_and_named_hazards(text: str, scores: Scores, expected: str) -> None:
    assert level_of(scores, mark(text, ["Acme"])) == [expected]


def test_lazy_hazard_search_changes_no_level() -> None:
    draw = np.random.default_rng(1)
    texts = ["Acme and Zenith", "Acme is on fire", "Zenith: police at the door of Acme", "hello"]
    posts = [mark(texts[row % 4], ["Acme", "Zenith"][: 1 + row % 2]) for row in range(400)]
    scores = Scores(
        {"risk": draw.beta(0.5, 1.5, (len(posts), 3)).astype(np.float32)},
        draw.dirichlet(np.ones(4), sum(post.targets for post in posts)).astype(np.float32),
    )
    found = urgency(scores, posts, thresholds=THRESHOLDS)
    assert found.tolist() == levels_of(*signals(scores, posts), THRESHOLDS).tolist()
    assert set(found.tolist()) == {0, 1, 2}


def test_a_post_can_be_urgent_for_only_one_of_its_brands() -> None:
    post = mark("Acme is on fire, Zenith lets everybody in", ["Acme", "Zenith"])

    assert level_of(said(complaint=0.5, crisis=0.8, targets=["negative", "positive"]), post) == ["high", "low"]


def test_each_target_uses_its_own_post() -> None:
    calm, alarmed = mark("hello Acme and Zenith", ["Acme", "Zenith"]), mark("Acme burnt my hand", ["Acme"])
    both = Scores(
        {"risk": np.array([[0.0, 0.0, 0.0], [0.9, 0.0, 0.0]], dtype=np.float32)},
        np.array([[1, 0, 0, 0]] * 3, dtype=np.float32),
    )

    assert urgency(both, [calm, alarmed], thresholds=THRESHOLDS).tolist() == [0, 0, 2]


def test_a_brand_name_is_not_a_hazard() -> None:
    assert level_of(said(complaint=0.5), mark("Hospital Coffee was cold", ["Hospital Coffee"])) == ["medium"]


def test_a_post_without_targets_has_a_level() -> None:
    posts = [plain("my phone exploded"), plain("my phone exploded, in a good way")]
    heads = {
        "sentiment": np.array([[1, 0, 0], [0, 0, 1]], dtype=np.float32),
        "risk": np.array([[0.7, 0.1, 0.0]] * 2, dtype=np.float32),
    }
    scores = Scores(heads, np.zeros((0, 4), dtype=np.float32))

    assert urgency_of_posts(scores, posts, thresholds=THRESHOLDS).tolist() == [2, 0]
    assert urgency(scores, posts).tolist() == []


def test_no_posts_have_no_levels() -> None:
    nothing = Scores({"risk": np.zeros((0, 3), dtype=np.float32)}, np.zeros((0, 4), dtype=np.float32))

    assert urgency(nothing, []).tolist() == []


def test_an_engine_without_the_head_risk_is_an_error() -> None:
    scores = Scores({"sentiment": np.ones((1, 3), dtype=np.float32)}, np.ones((1, 4), dtype=np.float32))

    with pytest.raises(ValueError, match=r"head 'risk'.*sentiment"):
        urgency(scores, [mark("hello Acme", ["Acme"])])


def test_scores_of_other_posts_are_an_error() -> None:
    with pytest.raises(ValueError, match="target: 2 rows of scores for 1 targets"):
        urgency(said(targets=["negative", "negative"]), [mark("hello Acme", ["Acme"])])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("The cable was SPARKING and burnt my hand", ["safety"]),
        ("someone hacked my account", ["security"]),
        ("your tills are down in the whole town", ["outage"]),
        ("we are stranded at the airport", ["stranded"]),
        ("my solicitor will write to you", ["legal_press"]),
        ("the police came because of the gas leak", ["safety", "legal_press"]),
        ("this burger is fire, I'm dead", []),
        ("I pursued a discourse about courtesy", []),
        ("", []),
    ],
)
def test_hazards_are_found_as_whole_words(text: str, kinds: list[str]) -> None:
    assert [kind for kind, found in zip(HAZARDS, hazards([text])[0], strict=True) if found] == kinds


def test_no_texts_name_no_hazards() -> None:
    assert hazards([]).shape == (0, len(HAZARDS))
