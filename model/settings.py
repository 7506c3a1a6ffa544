"""Settings of the model, whichever service loads it. Prefix `BRANDPULSE_MODEL_`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from brandpulse.config.advanced import ADVANCED


class ModelSettings(BaseSettings):
    """Read when a model is loaded, in `model/loader.py`."""

    model_config = SettingsConfigDict(
        env_prefix="BRANDPULSE_MODEL_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    labels: str = Field(
        default="", examples=["LABEL_0=negative,LABEL_1=neutral,LABEL_2=positive"], json_schema_extra=ADVANCED
    )
    """Meaning of the labels of a Hugging Face checkpoint whose names do not show it."""
    languages: str = Field(default="", examples=["de=/models/german,fr=/models/french"])
    """Weights for posts in other languages, as CODE=FOLDER (ISO 639-1), comma-separated. Posts in languages
    without weights are counted as unread. A version with multilingual weights also uses those, in a second model that
    takes memory of its own: `off` leaves them out, `shipped` uses them beside default weights of your own too."""
