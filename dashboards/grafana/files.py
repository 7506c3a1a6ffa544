"""The dashboards as committed JSON files, for review, provisioning and publishing."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.grafana import brand_overview, pipeline_health

FOLDER = Path(__file__).parent / "json"


def built() -> dict[str, dict[str, Any]]:
    """Builds each dashboard's JSON, by uid."""
    boards = (brand_overview.build(), pipeline_health.build())
    contents = [json.loads(json.dumps(board, cls=JSONEncoder)) for board in boards]
    for content in contents:
        for number, panel in enumerate(content["panels"], start=1):
            # Without ids Grafana renumbers the panels at each save, which breaks links to a panel.
            panel["id"] = number
    return {content["uid"]: content for content in contents}


def text_of(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def path_of(uid: str, folder: Path = FOLDER) -> Path:
    return folder / f"{uid}.json"


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the files that are out of date. Returns their paths."""
    changed = []
    folder.mkdir(parents=True, exist_ok=True)
    for uid, content in built().items():
        path, text = path_of(uid, folder), text_of(content)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def stale(folder: Path = FOLDER) -> list[Path]:
    """Files that differ from the built dashboards."""
    return [
        path
        for uid, content in built().items()
        if not (path := path_of(uid, folder)).exists() or path.read_text(encoding="utf-8") != text_of(content)
    ]
