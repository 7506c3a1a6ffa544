import pytest
import typer
from typer.testing import CliRunner

from brandpulse.cli import root
from brandpulse.cli.usage_errors import PlainErrorGroup
from model.spec.options import Task

app = typer.Typer(cls=PlainErrorGroup)


@app.callback()
def group() -> None: ...


@app.command()
def evaluate(*, task: Task = "sentiment", threads: int = typer.Option(1, min=1)) -> None: ...


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--task", "mood", "'mood' is not one of 'sentiment'"),
        ("--threads", "0", "must be at least 1."),
        ("--threads", "two", "must be a whole number."),
    ],
)
def test_a_wrong_option_value_is_explained_in_plain_words(option: str, value: str, reason: str) -> None:
    result = CliRunner().invoke(app, ["evaluate", option, value])

    assert result.exit_code == 2
    assert reason in result.output
    assert "Value error" not in result.output
    assert "Input should" not in result.output


def test_each_group_of_the_command_line_explains_wrong_values() -> None:
    result = CliRunner().invoke(root.app, ["bench", "growth", "--posts", "5"])

    assert result.exit_code == 2
    assert "must be at least 10000." in result.output
