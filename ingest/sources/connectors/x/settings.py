"""The keys of an X source in the sources file."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ingest.sources.connectors.daily_budget import dollars
from ingest.sources.secrets import SecretName
from ingest.sources.source import SourceSettings
from ingest.sources.spending.ledger import Limit
from ingest.sources.web_client import check_web_address

API = "https://api.x.com"


class XSettings(SourceSettings):
    kind: Literal["x"]
    token_env: SecretName
    """Variable with the Bearer token of an app of the X Developer Console."""
    budget_dollars_per_day: Annotated[float, Field(gt=0, le=1_000_000, examples=[5.0])]
    """Most money that this source uses up in a day (UTC)."""
    dollars_per_post: Annotated[float, Field(ge=0.000_1, le=1)] = 0.005
    """What X bills for a post that is read."""
    mode: Literal["stream", "search"] = "stream"
    """`stream`: posts within seconds. `search`: the recent search, asked every `poll_minutes`."""
    poll_minutes: Annotated[float, Field(gt=0, le=1_440)] = 5.0
    refill_hours: Annotated[float, Field(ge=0, le=160)] = 1.0
    """After an absence, posts of so many hours are searched (and paid); what is older is a gap."""
    backfill_minutes: Annotated[int, Field(ge=0, le=5)] = 0
    """Minutes that X sends again after a disconnect. Enterprise access only."""
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$")], ...] = ()
    """Only posts in these languages, by X's own codes. Empty: all."""
    extra_terms: Annotated[str, Field(max_length=200, examples=["-is:reply"])] = ""
    """Operators that each rule gets as well."""
    api: str = API

    @field_validator("api")
    @classmethod
    def _web_address(cls, api: str) -> str:
        return check_web_address(api, API)

    @property
    def limit(self) -> Limit:
        return Limit("dollars", dollars(self.budget_dollars_per_day), "UTC")

    @property
    def price(self) -> int:
        """Of a post, in millionths of a dollar."""
        return dollars(self.dollars_per_post)
