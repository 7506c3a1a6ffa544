"""JSON Schema files of posts, episodes and notifications: `python -m brandpulse.schema.json_schema` writes them."""

import json
from pathlib import Path

from pydantic import BaseModel

from brandpulse.schema.episodes import Episode, Notification
from brandpulse.schema.posts import Post, ScoredPost

FOLDER = Path(__file__).parents[2] / "schemas"
MODELS: dict[str, type[BaseModel]] = {
    "post.v1": Post,
    "scored_post.v2": ScoredPost,
    "episode.v1": Episode,
    "notification.v1": Notification,
}


def render() -> dict[str, str]:
    """File name -> content."""
    return {
        f"{name}.schema.json": json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + "\n"
        for name, model in MODELS.items()
    }


if __name__ == "__main__":
    for name, content in render().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
