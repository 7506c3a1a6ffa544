"""The brands file: the names, handles and hashtags of each brand, and the facets of posts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from brandpulse.config.facets import FACET_EXAMPLE, MOST_FACETS, Facet
from brandpulse.config.variants import USUAL_VARIANTS, Variants, Word
from brandpulse.config.yaml_file import read_yaml
from brandpulse.errors import ConfigError
from brandpulse.state.keys import FACET_MARK

EXAMPLE = """brands:
  - name: Acme Air
    terms: ["acme air"]
    handles: ["@acmeair"]
"""


class Brand(BaseModel):
    """One brand, and the words that name it. Matching ignores case; terms match whole words only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    terms: list[Word] = []
    handles: list[Word] = []
    """User names, with or without the @."""
    hashtags: list[Word] = []
    """With or without the #."""
    require: list[Word] = []
    """For homonyms: a term counts only if the post also contains one of these words. Handles need no context."""
    exclude: list[Word] = []
    """For homonyms: a term does not count if the post contains one of these words."""
    variants: Variants = USUAL_VARIANTS
    """Which other spellings of the words count. What it does not set is as in the file's `variants`."""
    time_zone: str = "UTC"
    """IANA name of the time zone of the brand's people, such as Europe/Berlin. Hours of the day and of the week are
    local, so that the expected rhythm follows a change to summer time."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                "is not a time zone of the IANA list; use one such as Europe/Berlin, America/New_York, UTC"
            ) from None
        return name

    @property
    def zone(self) -> ZoneInfo:
        """`time_zone` as ZoneInfo."""
        return ZoneInfo(self.time_zone)

    @field_validator("handles")
    @classmethod
    def _bare_handles(cls, handles: list[str]) -> list[str]:
        return [handle.removeprefix("@") for handle in handles]

    @field_validator("hashtags")
    @classmethod
    def _bare_hashtags(cls, hashtags: list[str]) -> list[str]:
        return [hashtag.removeprefix("#") for hashtag in hashtags]

    @field_validator("name", "terms", "handles", "hashtags", "require", "exclude")
    @classmethod
    def _no_blank_words(cls, value: str | list[str]) -> str | list[str]:
        for word in [value] if isinstance(value, str) else value:
            if not word.strip():
                raise ValueError("contains a blank word")
        return value

    @field_validator("name")
    @classmethod
    def _no_mark_in_a_name(cls, name: str) -> str:
        if FACET_MARK in name:
            raise ValueError("contains the control character U+001F, which separates brand and facet in the store")
        return name

    @model_validator(mode="after")
    def _can_be_matched(self) -> "Brand":
        if not (self.terms or self.handles or self.hashtags):
            raise ValueError("needs at least one of terms, handles or hashtags")
        return self


class BrandsFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    brands: Annotated[list[Brand], Field(min_length=1)]
    facets: Annotated[list[Facet], Field(max_length=MOST_FACETS)] = []
    """Of every brand."""
    variants: Variants = USUAL_VARIANTS
    """Which other spellings count, of all brands and facets."""

    @model_validator(mode="after")
    def _brands_share_the_variants(self) -> "BrandsFile":
        if not self.variants.model_fields_set:
            return self
        usual = self.variants.model_dump(exclude_unset=True)
        named: list[Brand | Facet] = [*self.brands, *self.facets]
        for one in named:
            own = one.variants.model_dump(exclude_unset=True)
            # A brand is frozen for its readers; here it is not yet complete.
            one.__dict__["variants"] = Variants(**usual | own)
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> "BrandsFile":
        seen: set[str] = set()
        for brand in self.brands:
            if brand.name.casefold() in seen:
                raise ValueError(f"brand {brand.name!r} is written twice")
            seen.add(brand.name.casefold())
        names = [facet.name for facet in self.facets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"facet {name!r} is written twice")
        return self


def load_brands(path: Path) -> list[Brand]:
    """The brands of the YAML file at *path*. Raises as `load_brands_file` does."""
    return load_brands_file(path).brands


def load_brands_file(path: Path) -> BrandsFile:
    """Brands and facets of the YAML file at *path*. Raises ConfigError that names the file, the line and the value."""
    read = read_yaml(path, what="brands file", variable="BRANDPULSE_BRANDS_FILE", example=EXAMPLE)

    def name(place: Sequence[str | int]) -> str:
        return _entry(place, read.content)

    try:
        return BrandsFile.model_validate(read.content)
    except ValidationError as error:
        right = EXAMPLE + (FACET_EXAMPLE if any("facets" in problem["loc"] for problem in error.errors()) else "")
        raise ConfigError(
            f"the brands file is wrong:\n{read.explain(error, name=name)}\nFor example:\n{right}"
        ) from None


def _entry(place: Sequence[str | int], content: Any) -> str:
    if len(place) < 2 or not isinstance(place[1], int):
        return ""
    raw = content[place[0]][place[1]]
    named = raw.get("name") if isinstance(raw, dict) else raw
    return f" ({'facet' if place[0] == 'facets' else 'brand'} {named!r})"
