"""Contract tests of all scorers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoints.multi_head import TARGET_FROM_SENTIMENT, load_heads, pack_heads
from model.cpu.onnxruntime_requests import onnx_is_installed
from model.inference.score_cache import CachingScorer
from model.inference.scorer import Scorer, Scores, scorer_version
from model.inputs.target_marking import ABSENT, MarkedText, mark, plain
from model.loader import load_classifier, load_scorer, torch_is_installed
from model.spec.heads import BY_NAME, HEADS, SENTIMENT, TARGET
from model.spec.options import Precision
from model.spec.weights import WHOLE_POST_WEIGHTS
from tests.integration.model.cpu.test_precision_selection import RANGES
from tests.support.model.brand_weights import a_brand_folder

POSTS = [
    plain("nothing in particular"),
    mark("Acme is great but Globex lost my bag", ["Acme", "Globex"]),
    mark("I love @acme and #acme and Acme", ["Acme"]),
    mark("the battery life is bad, the screen good", ["battery life", "screen", "price"], keep_words=True),
    mark("no brand here at all", ["Acme"]),
    plain(""),
    mark("word " * 300 + "Acme is far behind", ["Acme"]),
    mark("Acme is in front" + " and on" * 100 + " Globex", ["Acme", "Globex"]),
    mark("bad 😡 day", ["😡"]),
]
TARGETS = sum(post.targets for post in POSTS)
_LOADED: dict[str, Scorer] = {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_brand_folder(tmp_path_factory.mktemp("brand"), ranges=RANGES)


@pytest.fixture(params=["openvino", "onnxruntime", "torch", "keyword", "null", "cached"])
def scorer(request: pytest.FixtureRequest, folder: Path) -> Scorer:
    return loaded(request.param, folder)


def loaded(kind: str, folder: Path) -> Scorer:
    if kind == "torch" and not torch_is_installed():
        pytest.skip("torch and transformers are not installed")
    if kind == "cached":
        return CachingScorer(loaded("openvino", folder), max_entries=3)
    if kind == "onnxruntime":
        if not onnx_is_installed():
            pytest.skip("onnx and onnxruntime are not installed")
        return _LOADED.setdefault(kind, load_scorer("openvino", folder, 2, precision="int8-onnxruntime"))
    if kind not in _LOADED:
        _LOADED[kind] = load_scorer(kind, folder, 2, precision="fp32")  # type: ignore[arg-type]
    return _LOADED[kind]


def assert_same(ours: Scores, theirs: Scores, atol: float = 1e-4) -> None:
    assert ours.heads.keys() == theirs.heads.keys()
    for name, table in ours.heads.items():
        np.testing.assert_allclose(table, theirs.heads[name], atol=atol, err_msg=name)
    np.testing.assert_allclose(ours.target, theirs.target, atol=atol)


def test_every_head_has_a_row_per_post_and_target_has_one_per_target(scorer: Scorer) -> None:
    scores = scorer.score(POSTS)
    assert set(scores.heads) | {"target"} == set(scorer.heads)
    assert {"sentiment", "target"} <= set(scorer.heads)
    for name, table in scores.heads.items():
        assert table.shape == (len(POSTS), len(BY_NAME[name].labels)), name
        assert table.dtype == np.float32
        assert ((table >= 0) & (table <= 1)).all()
        if BY_NAME[name].kind == "one":
            np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-5)
    assert scores.target.shape == (TARGETS, len(TARGET))
    np.testing.assert_allclose(scores.target.sum(axis=1), 1.0, atol=1e-5)


def test_no_posts_give_no_rows(scorer: Scorer) -> None:
    scores = scorer.score([])
    assert scores.target.shape == (0, len(TARGET))
    for name, table in scores.heads.items():
        assert table.shape == (0, len(BY_NAME[name].labels))


def test_a_post_scores_the_same_alone_and_in_any_batch(scorer: Scorer) -> None:
    together = scorer.score(POSTS)
    backward = scorer.score(POSTS[::-1])
    alone = [scorer.score([post]) for post in POSTS]
    for name, table in together.heads.items():
        np.testing.assert_allclose(table, backward.heads[name][::-1], atol=1e-4)
        np.testing.assert_allclose(table, np.concatenate([one.heads[name] for one in alone]), atol=1e-4)
    np.testing.assert_allclose(together.target, np.concatenate([one.target for one in alone]), atol=1e-4)
    reversed_back = np.concatenate([one.target for one in alone[::-1]])
    np.testing.assert_allclose(backward.target, reversed_back, atol=1e-4)


def test_a_target_that_the_post_does_not_name_is_irrelevant_by_rule(scorer: Scorer) -> None:
    posts = [mark("no brand here", ["Acme"]), mark("Acme is here", ["Acme", "Globex"])]
    target = scorer.score(posts).target
    np.testing.assert_allclose(target[[0, 2], 3], ABSENT, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    ["", " \t\n", "\x00", "a\x00b", "😡" * 500, "\ud83d lone", "word " * 5_000, "x" * 100_000, "&#0;&#xD800;", "مرحبا"],
    ids=["empty", "space", "nul", "nul in", "emoji", "surrogate", "words", "one word", "entities", "script"],
)
def test_any_string_is_scored_whatever_is_its_target(scorer: Scorer, text: str) -> None:
    posts = [plain(text), mark(text, ["Acme", ""]), mark(text, [text])]
    scores = scorer.score(posts)
    assert scores.target.shape == (3, len(TARGET))
    assert all(np.isfinite(table).all() for table in [*scores.heads.values(), scores.target])


def test_a_call_larger_than_every_batch_is_scored_whole(scorer: Scorer) -> None:
    drawn = np.random.default_rng(1).integers(0, len(POSTS), 1_500).tolist()
    scores, few = scorer.score([POSTS[row] for row in drawn]), scorer.score(POSTS)
    ends = np.cumsum([post.targets for post in POSTS])
    targets = [at for row in drawn for at in range(ends[row] - POSTS[row].targets, ends[row])]
    np.testing.assert_allclose(scores.target, few.target[targets], atol=1e-4)
    for name, table in scores.heads.items():
        np.testing.assert_allclose(table, few.heads[name][drawn], atol=1e-4, err_msg=name)


def test_a_scorer_names_itself_and_its_version(scorer: Scorer) -> None:
    assert scorer.name
    assert scorer.version


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("weights", ["many heads", "one head"])
def test_a_precision_with_other_probabilities_is_another_version(
    weights: str, precision: Precision, folder: Path
) -> None:
    def load(precision: Precision) -> Scorer:
        chosen = folder if weights == "many heads" else WHOLE_POST_WEIGHTS
        return load_scorer("openvino", chosen, 2, precision=precision)

    assert load(precision).version == f"{load('fp32').version}-{precision}"


def test_engines_of_the_same_precision_are_one_version(folder: Path) -> None:
    torch = loaded("torch", folder)
    assert torch.version == scorer_version(loaded("openvino", folder).version, torch.name.split()[-1])


def test_openvino_and_torch_agree_in_every_head(folder: Path) -> None:
    assert_same(loaded("openvino", folder).score(POSTS), loaded("torch", folder).score(POSTS))


def test_engines_agree_without_the_sentiment_in_the_target(folder: Path, tmp_path: Path) -> None:
    apart = a_brand_folder(tmp_path, from_sentiment=False)
    openvino, torch = (load_scorer(kind, apart, 2, precision="fp32").score(POSTS) for kind in ("openvino", "torch"))
    assert_same(openvino, torch)
    with_sentiment = loaded("openvino", folder).score(POSTS)
    np.testing.assert_array_equal(openvino.heads["sentiment"], with_sentiment.heads["sentiment"])
    assert np.abs(openvino.target - with_sentiment.target).max() > 0.1


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_a_target_head_that_learned_nothing_answers_like_the_post(engine: str, folder: Path, tmp_path: Path) -> None:
    checkpoint = load_heads(folder)
    tensors = dict(checkpoint.tensors)
    for side in ("heads", "exit"):
        for part in ("weight", "bias"):
            tensors[f"{side}.out.target.{part}"] = np.zeros_like(tensors[f"{side}.out.target.{part}"])
        tensors[f"{side}.{TARGET_FROM_SENTIMENT}"] = np.eye(len(TARGET), len(SENTIMENT), dtype=np.float32)
    manifest = replace(checkpoint.manifest, temperatures={})
    pack_heads(tmp_path, tensors, config=checkpoint.config, tokenizer=folder / "tokenizer.json", manifest=manifest)
    _LOADED.pop(engine, None)
    scores = loaded(engine, tmp_path).score(POSTS)
    _LOADED.pop(engine, None)
    owners = np.repeat(np.arange(len(POSTS)), [post.targets for post in POSTS])
    named = [number not in post.absent for post in POSTS for number in range(post.targets)]
    sentiment = scores.target[:, :3] / scores.target[:, :3].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sentiment[named], scores.heads["sentiment"][owners[named]], atol=1e-4)


def test_the_answers_of_random_weights_differ_from_post_to_post(folder: Path) -> None:
    scores = loaded("openvino", folder).score(POSTS)
    for head in HEADS:
        table = scores.target if head.reads == "mention" else scores.heads[head.name]
        assert np.ptp(table, axis=0).max() > 0.05, head.name


def test_a_targets_probabilities_come_from_the_mean_of_its_mentions_logits(folder: Path) -> None:
    scorer = loaded("openvino", folder)
    apart = mark("Acme is bad but Globex is good", ["Acme", "Globex"])
    joined = MarkedText(apart.text, (0, 0), 1)
    each = np.log(scorer.score([apart]).target)
    mean = np.exp(each.mean(axis=0))
    np.testing.assert_allclose(scorer.score([joined]).target[0], mean / mean.sum(), atol=1e-4)


def test_a_truncated_target_gets_the_sentiment_of_the_post(folder: Path) -> None:
    scores = loaded("openvino", folder).score([POSTS[7]])
    np.testing.assert_allclose(scores.target[1], [*scores.heads["sentiment"][0], 0.0], atol=1e-6)
    assert scores.target[0, 3] > 0


def test_a_long_post_is_read_around_its_first_mention(folder: Path) -> None:
    scorer = loaded("openvino", folder)
    far, near = (mark(words + "Acme let me down", ["Acme"]) for words in ("word " * 300, "word " * 5))
    lost = MarkedText("word " * 300, (), 1)
    whole = scorer.score([lost])
    assert whole.target[0, 3] == 0
    assert scorer.score([far]).target[0, 3] > 0
    assert scorer.score([near]).target[0, 3] > 0


def test_a_classifier_gives_a_named_target_the_posts_sentiment() -> None:
    scores = load_scorer("keyword").score([mark("Acme is awful", ["Acme"])])
    np.testing.assert_allclose(scores.target[0], [*scores.heads["sentiment"][0], 0.0], atol=1e-6)
    assert scores.heads["sentiment"][0].argmax() == 0


def test_whole_post_weights_load_as_a_scorer() -> None:
    scores = load_scorer("openvino", threads=1).score([mark("I love Acme, great stuff", ["Acme"])])
    assert scores.target[0].argmax() == TARGET.index("positive")


def test_a_multi_head_classifier_is_its_head_sentiment(folder: Path) -> None:
    texts = ["bad day", "good day"]
    found = load_classifier("openvino", folder, 1, precision="fp32").probabilities(texts)
    expected = loaded("openvino", folder).score([plain(text) for text in texts]).heads["sentiment"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
