"""The dashboards as golden JSON files: what is reviewed, provisioned and published."""

import json
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards.grafana import brand_overview, pipeline_health

FOLDER = Path(__file__).parent / "json"


def built() -> dict[str, dict[str, Any]]:
    """Each dashboard's JSON by its uid, freshly built."""
    boards = (brand_overview.build(), pipeline_health.build())
    found = [json.loads(json.dumps(board, cls=JSONEncoder)) for board in boards]
    for content in found:
        for number, panel in enumerate(content["panels"], start=1):
            # Grafana numbers panels without an id anew at each save; links to a panel would break.
            panel["id"] = number
    return {content["uid"]: content for content in found}


def text_of(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def path_of(uid: str, folder: Path = FOLDER) -> Path:
    return folder / f"{uid}.json"


def write(folder: Path = FOLDER) -> list[Path]:
    """Bring the files up to date. Returns those that changed."""
    changed = []
    folder.mkdir(parents=True, exist_ok=True)
    for uid, content in built().items():
        path, text = path_of(uid, folder), text_of(content)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def stale(folder: Path = FOLDER) -> list[Path]:
    """Files that differ from what the code builds."""
    return [
        path
        for uid, content in built().items()
        if not (path := path_of(uid, folder)).exists() or path.read_text(encoding="utf-8") != text_of(content)
    ]
