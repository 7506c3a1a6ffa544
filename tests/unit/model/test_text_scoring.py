"""Texts are scored in their language, and the answer names it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from brandpulse.text.languages import LanguageIdentifier
from model.inference.scorer import NOT_SCORED, Scores
from model.inputs.target_marking import MarkedText
from model.serve.api_models import Score
from model.text_scoring import TextRequest, batch_scoring, score_json

ENGLISH, GERMAN, RUSSIAN = (
    "they cancelled my flight and do not care",
    "mein Flug wurde schon wieder gestrichen und niemand hilft",
    "снова отменили мой рейс и не возвращают деньги",
)


@dataclass
class OnlyEnglishRisk:
    """Has the head `risk` for English only."""

    name: str = "two"
    version: str = "2"
    heads: tuple[str, ...] = ("sentiment", "target", "risk")
    languages: list[str] = field(default_factory=list)

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        self.languages += [post.language for post in posts]
        risk = [[0.9, 0.1, 0.1] if post.language == "en" else [NOT_SCORED] * 3 for post in posts]
        sentiment = np.tile(np.array([[0.8, 0.1, 0.1]], np.float32), (len(posts), 1))
        target = np.tile(np.array([[0.7, 0.1, 0.1, 0.1]], np.float32), (sum(post.targets for post in posts), 1))
        return Scores({"sentiment": sentiment, "risk": np.array(risk, np.float32)}, target)


def test_each_answer_names_its_language_and_whether_it_is_supported() -> None:
    scorer = OnlyEnglishRisk()
    requests = [TextRequest(ENGLISH, ("flight",)), TextRequest(GERMAN), TextRequest(RUSSIAN)]
    results = batch_scoring(scorer, LanguageIdentifier(["en", "de"]))(requests)
    answers = [
        score_json(request, scores, {}, weights="w@1") for request, scores in zip(requests, results, strict=True)
    ]
    assert scorer.languages == ["en", "de", "other"]
    assert [(answer["language"], answer["supported"]) for answer in answers] == [
        ("en", True),
        ("de", True),
        ("other", False),
    ]
    assert ["complaint" in answer for answer in answers] == ["urgency" in answer for answer in answers]
    assert ["complaint" in answer for answer in answers] == [True, False, False]
    assert all(Score.model_validate(answer).weights == "w@1" for answer in answers)


def test_without_identification_the_answer_has_no_language() -> None:
    [scores] = batch_scoring(OnlyEnglishRisk())([TextRequest(GERMAN)])
    answer = score_json(TextRequest(GERMAN), scores, {})
    assert not {"language", "supported", "weights"} & answer.keys()
