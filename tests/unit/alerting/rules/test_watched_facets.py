from pathlib import Path

from alerting.rules.live_brands import LiveBrands
from alerting.rules.models import RuleSet
from alerting.rules.watched_facets import watched_facets
from brandpulse.state.watched_facets import Watch


def test_every_facet_is_listed_with_the_rules_that_watch_it() -> None:
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


def test_without_a_brands_file_facets_of_rules_are_listed(tmp_path: Path) -> None:
    rules = RuleSet.model_validate({"rules": [{"name": "a", "kind": "facet_share", "facet": "refund"}]})
    brands = LiveBrands(tmp_path / "brands.yaml")
    assert watched_facets(rules, brands.facets()) == {"refund": [Watch("a")]}
    brand = "brands:\n- {name: Acme, terms: [acme]}\n"
    (tmp_path / "brands.yaml").write_text(brand + "facets:\n- {name: strike, words: [strike]}\n")
    assert set(brands.facets()) == {"strike"}
