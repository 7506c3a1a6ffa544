from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from brandpulse.errors import ConfigError
from ingest.sources import kinds
from ingest.sources.connectors.bluesky import HOSTS, BlueskySettings
from ingest.sources.sources_file import EXAMPLE, load_sources


def a_file(folder: Path, text: str) -> Path:
    path = folder / "sources.yaml"
    path.write_text(text)
    return path


def test_the_example_is_read_with_defaults(tmp_path: Path) -> None:
    assert load_sources(a_file(tmp_path, EXAMPLE)) == [BlueskySettings(name="bluesky", kind="bluesky", servers=HOSTS)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sources: 5", "must hold the key `sources` with a list"),
        ("- name: x", "must hold the key `sources` with a list"),
        ("sources: [5]", r"sources\.yaml:1: sources\.0: expected `name` and `kind`, got 5"),
        (
            "sources:\n  - {name: a, kind: reddit}",
            r":2: sources\.0\.kind: expected one of .*bluesky.*'reddit'",
        ),
        ("sources:\n  - {name: A b, kind: bluesky}", r"sources\.yaml:2: name \(source 'A b'\)"),
        ("sources:\n  - {name: a, kind: bluesky, hots: 5}", r"sources\.yaml:2: hots \(source 'a'\): is not known here"),
        ("sources:\n  - {name: a, kind: bluesky}\n  - {name: a, kind: bluesky}", "two sources have the name 'a'"),
    ],
)
def test_a_wrong_file_is_named_with_line_key_and_value(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_sources(a_file(tmp_path, text))
    assert "kind: bluesky" in str(caught.value)


def test_an_entry_point_that_is_no_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = EntryPoint("mine", "json:dumps", kinds.ENTRY_POINTS)
    monkeypatch.setattr(kinds, "entry_points", lambda group: [wrong])
    with pytest.raises(ConfigError, match="'mine' of a package: json:dumps is no SourceKind"):
        kinds.source_kinds.__wrapped__()


def test_an_entry_point_adds_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    own = kinds.BUILT_IN["bluesky"]

    class Own:
        name, value, dist = "mine", "mine:KIND", None

        def load(self) -> kinds.SourceKind:
            return own

    monkeypatch.setattr(kinds, "entry_points", lambda group: [Own()])
    assert kinds.source_kinds.__wrapped__()["mine"] is own
