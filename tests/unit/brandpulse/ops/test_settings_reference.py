"""docs/reference/settings.md: generated from the settings classes."""

import pytest

from brandpulse.config.advanced import is_advanced
from brandpulse.ops.settings_reference import CLASSES, PAGE, render


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `python -m brandpulse.ops.settings_reference`"


@pytest.mark.parametrize("heading", CLASSES)
def test_every_setting_has_a_meaning(heading: str) -> None:
    kind = CLASSES[heading]
    rows = [line for line in render().splitlines() if line.startswith("| `BRANDPULSE_")]
    assert not [row for row in rows if row.endswith("|  |")]
    assert len(rows) == sum(len(one.model_fields) for one in CLASSES.values())
    assert kind.model_fields


def test_operators_have_few_settings() -> None:
    fields = [field for kind in CLASSES.values() for field in kind.model_fields.values()]
    assert sum(not is_advanced(field) for field in fields) <= 50
