import json

import jsonschema
import pytest

from brandpulse.schema.json_schema import FOLDER, render
from brandpulse.schema.posts import Post
from tests.support.builders import a_post


def test_schema_files_match_the_models() -> None:
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    assert on_disk == render(), "run: python -m brandpulse.schema.json_schema"


def test_post_schema_accepts_what_the_model_accepts() -> None:
    schema = json.loads((FOLDER / "post.v1.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(a_post(), schema)
    Post.model_validate_json(json.dumps(a_post()))
    jsonschema.validate(a_post() | {"lang": "English (United Kingdom)", "url": None}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(a_post(text=""), schema)
