"""Which decoder a worker uses."""

import sys
from types import ModuleType
from typing import Any

import pytest

from brandpulse.config.brands_file import Brand
from brandpulse.schema.identity import AuthorHasher
from brandpulse.text.brand_matcher import BrandMatcher
from stream_workers.decoding.batch_decoder import PythonBatchDecoder, fastest_decoder


def test_outdated_native_module_is_replaced_by_python(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Outdated:
        def __init__(self, patterns: Any) -> None: ...

    module = ModuleType("stream_workers._native")
    module.BatchDecoder = Outdated  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stream_workers._native", module)
    decoder = fastest_decoder(BrandMatcher([Brand(name="A", terms=["a"])]), AuthorHasher("key"))
    assert isinstance(decoder, PythonBatchDecoder)
    assert "native decoder is outdated" in caplog.text
