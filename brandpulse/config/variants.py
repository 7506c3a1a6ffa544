"""Which spellings of a brand's words count, besides the one in the brands file."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

Word = Annotated[str, Field(min_length=1, max_length=200)]

HASHTAG_ENDINGS = (
    *("fail", "fails", "failed", "failure", "sucks", "down", "outage", "scam", "scandal", "boycott"),
    *("help", "support"),
)


class Variants(BaseModel):
    """Each switch accepts one kind of difference between a word of the brands file and a post. All are on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    joined: bool = True
    """`acmeair`, `acme-air` for `acme air`; `bolt&nut`, `bolt and nut` for `bolt & nut`; `jp morgan` for `j.p. morgan`.
    """
    hashtags: bool = True
    """`#AcmeAir` and `#acme_air` for the term `acme air`, `#ATT` for `at&t`."""
    hashtag_endings: Annotated[list[Word], Field(max_length=50)] = list(HASHTAG_ENDINGS)
    """Words that may follow a term within a hashtag: `#AcmeAirFail`. A term that is an ordinary word takes none."""
    accents: bool = True
    """`Zurich Re` for `Zürich Re`, and the reverse; `Zuerich Re` for `Zürich Re`."""
    apostrophes: bool = True
    """`mcgills` for `mcgill's`, and the reverse."""
    lookalikes: bool = True
    """Cyrillic and Greek letters in a Latin word: `Аcme` with a Cyrillic А."""
    vowel_marks: bool = True
    """Arabic and Hebrew vowel marks, the Arabic tatweel, and forms of alef, ya and ta marbuta."""
    prefixes: bool = True
    """Arabic and Hebrew prefixes: `ونورتل`, `הבזק` for `نورتل`, `בזק`."""

    @field_validator("hashtag_endings")
    @classmethod
    def _words_of_a_hashtag(cls, endings: list[str]) -> list[str]:
        if odd := next((ending for ending in endings if not ending.replace("_", "a").isalnum()), None):
            raise ValueError(f"{odd!r} cannot end a hashtag: write letters, digits and _ only")
        return endings


USUAL_VARIANTS = Variants()
