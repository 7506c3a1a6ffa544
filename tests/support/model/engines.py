from collections.abc import Iterator

import pytest

from model.inference.scorer import Classifier
from model.loader import load_classifier, torch_is_installed
from model.spec.options import Engine


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps measured precisions out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


_LOADED: dict[str, Classifier] = {}


def engine_or_skip(engine: Engine) -> Classifier:
    """The engine with the shipped weights, loaded once per test run."""
    if engine == "torch" and not torch_is_installed():
        pytest.skip("torch and transformers are not installed")
    if engine not in _LOADED:
        # fp32: int8 has its own tests.
        _LOADED[engine] = load_classifier(engine, threads=2, precision="fp32")
    return _LOADED[engine]


@pytest.fixture(params=["openvino", "torch", "keyword", "null"])
def classifier(request: pytest.FixtureRequest) -> Classifier:
    return engine_or_skip(request.param)


@pytest.fixture
def openvino() -> Classifier:
    return engine_or_skip("openvino")


@pytest.fixture
def torch_engine() -> Classifier:
    return engine_or_skip("torch")
