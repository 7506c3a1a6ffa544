"""Messages for wrong option values: typer shows pydantic's own wording ("Value error, ...")."""

from typing import Any

import typer
from typer.core import TyperGroup


class PlainErrorGroup(TyperGroup):
    """A command group that words a wrong option value as `brandpulse.config.validation` does."""

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
