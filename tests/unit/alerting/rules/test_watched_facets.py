from pathlib import Path
from unittest.mock import Mock

import pytest

from alerting.rules import models as rules
from alerting.rules.models import RuleSet
from alerting.rules.watched_facets import counted_in, watched_facets
from brandpulse.config.brands_file import load_brands_file
from brandpulse.state.watched_facets import Watch


def test_every_facet_is_told_with_the_rules_that_watch_it() -> None:
    rules = RuleSet.model_validate(
        {
            "rules": [
                {"name": "a", "kind": "facet_share", "facet": "refund"},
                {"name": "b", "kind": "facet_share", "facet": "refund", "brands": ["Acme Air"]},
                {"name": "c", "kind": "negative_share"},
            ]
        }
    )
    assert watched_facets(rules, {"refund", "strike"}) == {
        "refund": [Watch("a"), Watch("b", ("Acme Air",))],
        "strike": [],
    }


def test_a_facet_of_a_rule_is_told_where_the_brands_file_cannot_be_read(tmp_path: Path) -> None:
    rules = RuleSet.model_validate({"rules": [{"name": "a", "kind": "facet_share", "facet": "refund"}]})
    counted = counted_in(tmp_path / "brands.yaml")
    assert watched_facets(rules, counted()) == {"refund": [Watch("a")]}
    brand = "brands:\n- {name: Acme, terms: [acme]}\n"
    (tmp_path / "brands.yaml").write_text(brand + "facets:\n- {name: strike, words: [strike]}\n")
    assert set(counted()) == {"strike"}


def test_a_brands_file_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Mock(side_effect=load_brands_file)
    monkeypatch.setattr(rules, "load_brands_file", reads)
    file = tmp_path / "brands.yaml"
    content = "brands:\n- {name: Acme, terms: [acme]}\nfacets:\n- {name: strike, words: [strike]}\n"
    file.write_text(content)
    counted = counted_in(file)
    assert [set(counted()) for _ in range(3)] == [{"strike"}] * 3
    assert reads.call_count == 1
    file.write_text(content + "- {name: fee, words: [fee, fees]}\n")
    assert set(counted()) == {"strike", "fee"}
    file.write_text("brands: [half a")
    assert set(counted()) == {"strike", "fee"}
