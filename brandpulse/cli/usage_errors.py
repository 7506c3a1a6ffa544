"""Messages for wrong option values, without pydantic's wording ("Value error, ..."), which typer shows."""

from typing import Any

import typer
from typer.core import TyperGroup


class PlainErrorGroup(TyperGroup):
    """A group that explains a wrong option value of its commands, like `brandpulse.config.validation`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _plain(error)
            raise


def _plain(error: typer.BadParameter) -> str:
    from pydantic import ValidationError

    from brandpulse.config.validation import sentence

    if not isinstance(error.__cause__, ValidationError):
        return error.message
    return f"{sentence(error.__cause__.errors()[0]).rstrip('.')}."
