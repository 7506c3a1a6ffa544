"""Contract tests of all classifiers."""

import numpy as np
import pytest

from model.inference.scorer import Classifier, scorer_version
from model.spec.heads import SENTIMENT
from tests.support.model.check_posts import CHECK_POSTS

TEXTS = [text for text, _ in CHECK_POSTS]


def test_each_row_is_a_distribution_over_the_three_labels(classifier: Classifier) -> None:
    scores = classifier.probabilities(TEXTS)
    assert scores.shape == (len(TEXTS), len(SENTIMENT))
    assert scores.dtype == np.float32
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)


def test_no_texts_give_no_rows(classifier: Classifier) -> None:
    scores = classifier.probabilities([])
    assert scores.shape == (0, 3)
    assert scores.dtype == np.float32


def test_rows_keep_the_order_of_the_texts(classifier: Classifier) -> None:
    forward = classifier.probabilities(TEXTS)
    backward = classifier.probabilities(TEXTS[::-1])
    np.testing.assert_allclose(forward, backward[::-1], atol=0.01)


def test_a_text_scores_the_same_alone_and_in_a_batch(classifier: Classifier) -> None:
    together = classifier.probabilities(TEXTS[:5])
    alone = np.concatenate([classifier.probabilities([text]) for text in TEXTS[:5]])
    np.testing.assert_allclose(together, alone, atol=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "\x00",
        "a\x00b",
        "😡" * 500,
        "\ud83d lone",
        "\udfff",
        "word " * 5_000,
        "x" * 100_000,
        "&#0;&#xD800;",
        "مرحبا 你好",
    ],
    ids=[
        "empty",
        "space",
        "nul",
        "nul inside",
        "emoji",
        "high",
        "low",
        "many words",
        "one word",
        "entities",
        "scripts",
    ],
)
def test_any_string_is_scored(classifier: Classifier, text: str) -> None:
    scores = classifier.probabilities([text, "fine"])
    assert scores.shape == (2, 3)
    assert np.isfinite(scores).all()


def test_a_call_larger_than_every_batch_is_scored_whole(classifier: Classifier) -> None:
    scores = classifier.probabilities(["good day"] * 1_100 + ["bad day"])
    assert scores.shape == (1_101, 3)
    np.testing.assert_allclose(scores[:1_100], np.tile(scores[0], (1_100, 1)), atol=0.01)


def test_an_engine_names_itself_and_its_version(classifier: Classifier) -> None:
    assert classifier.name
    assert classifier.version


def test_openvino_and_torch_agree(openvino: Classifier, torch_engine: Classifier) -> None:
    ours, theirs = openvino.probabilities(TEXTS), torch_engine.probabilities(TEXTS)
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    clear = np.sort(theirs, axis=1)[:, -1] - np.sort(theirs, axis=1)[:, -2] > 0.04
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1))[clear].all()
    assert torch_engine.version == scorer_version(openvino.version, torch_engine.name.split()[-1])


def test_the_shipped_model_gives_plain_posts_their_labels(openvino: Classifier) -> None:
    predicted = [SENTIMENT[column] for column in openvino.probabilities(TEXTS).argmax(axis=1)]
    wrong = [(text, label) for (text, gold), label in zip(CHECK_POSTS, predicted, strict=True) if label != gold]
    assert len(wrong) <= 6, wrong
