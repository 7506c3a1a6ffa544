"""The settings of a training run, as its YAML file gives them."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator
from pydantic_core import ErrorDetails

from brandpulse.config.validation import sentence
from brandpulse.config.yaml_file import load_yaml, yaml_reason
from brandpulse.errors import ConfigError
from model.spec.heads import BY_NAME

RECIPES = Path(__file__).parents[2] / "recipes"

Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]
RecipeType = TypeVar("RecipeType", bound="Settings")


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Settings):
    """Data sets `{name}.train.jsonl.gz` and `{name}.val.jsonl.gz`; those that share texts stand in one source."""

    names: tuple[str, ...] = Field(min_length=1, examples=[["sentiment_semeval"]])
    share: float = Field(default=1.0, gt=0, le=10)
    """How often each text is seen per epoch; of 0.3 another 30 % each time."""
    keep_words: Share = 0.5
    """How often the words of a target stay behind its marker."""
    targets: Literal["marked", "required", "left out"] = "marked"
    """`required` takes only posts with the label of a target, `left out` reads each post as one without targets."""


class CustomFile(Settings):
    """A CSV file with a header, or JSON lines, under any names of columns; its validation part is drawn from it."""

    file: str = Field(examples=["tickets.csv"])
    text: str = "text"
    """The column of the post."""
    target: str | None = None
    """The column of the brand or aspect that the label `target` is about."""
    labels: dict[str, str] = Field(min_length=1, examples=[{"sentiment": "verdict"}])
    """Head -> column. `mood` and `sentiment` hold one label, `emotion` a list or one split by `|`; the labels of `risk`
    (complaint, crisis) and `sarcasm` are named themselves and hold 0 or 1."""
    values: dict[str, dict[str, str | int]] = {}
    """Column -> what it holds -> our label: `{verdict: {bad: negative, good: positive}}`."""
    validation: Share = 0.15
    """Share of the rows, of each label alike, that is kept for validation."""
    share: float = Field(default=1.0, gt=0, le=10)
    keep_words: Share = 0.5


class Schedule(Settings):
    """What every kind of training has."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", examples=["minilm-brand"])
    epochs: PositiveInt = Field(examples=[2])
    batch_size: PositiveInt = Field(examples=[64])
    learning_rate: Rate = Field(examples=["2.0e-4"])
    warm_up: Share = Field(examples=[0.06])
    """Share of all steps in which the learning rate rises; then it falls in a line to nothing."""
    weight_decay: Share = 0.01
    clip: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to at most this norm."""
    max_tokens: int = Field(ge=8, le=512, examples=[96])
    bucket_batches: PositiveInt = 50
    """Posts are sorted by length within so many batches."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """In the encoder; on a CPU drawing its masks costs 13 % of a step."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the products; `auto`: the one that a short trial finds faster when the run begins."""
    average: PositiveInt = 1
    """Snapshots per epoch."""
    patience: int = Field(default=0, ge=0)
    """Stops after so many snapshots without a better validation figure; 0 never does, and validates only at the end."""
    save_every: PositiveInt = 200
    """Steps between two states to resume from."""
    seed: int = Field(ge=0, examples=[13])


class Lora(Settings):
    """Low-rank adapters (Hu et al., 2021) instead of the encoder's own weights; merged at the end."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    modules: tuple[str, ...] = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")


class Teacher(Settings):
    """Distillation: a larger model's answers are learnt along with the labels."""

    weight: float = Field(default=1.0, gt=0)
    """Of the loss towards the teacher's answers, beside 1 for the labels' times `labels`."""
    labels: float = Field(default=0.3, ge=0)


class HeadsRecipe(Schedule):
    """Heads on an encoder, from labelled posts."""

    sources: tuple[Source, ...] = ()
    own: tuple[CustomFile, ...] = ()
    weights: dict[str, float] = Field(min_length=1, examples=[{"sentiment": 1.0}])
    """Of each head's loss; a head that is not named is not trained."""
    exit_weight: float = Field(default=0.5, ge=0)
    """Of the early heads' loss, which learn from the full depth's answers."""
    exit_loss: Share = 0.002
    """Macro recall that early answers may cost."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    class_balance: Share = 0.5
    """Weight of a class = (mean count / count) ** this; 0 is none, 1 is full balance."""
    offsets: dict[str, dict[str, float]] = {}
    """Head -> label -> what is added to its logit at the end."""
    judged_by: dict[str, str] = Field(min_length=1, examples=[{"sentiment_semeval": "sentiment_recall"}])
    """Validation set -> figure; the weights kept have the highest mean of these."""
    layers: tuple[int, ...] | None = None
    """The layers of the encoder that are kept, from 0; all by default."""
    lora: Lora | None = None
    teacher: Teacher | None = None
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2}$")], ...] = Field(default=(), examples=[["en"]])
    """ISO 639-1 codes of the languages of the posts. Workers count posts in others as unread; none: they read all."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.sources and not self.own:
            raise ValueError("sources: give at least one, e.g. `sources: [{names: [sentiment_semeval]}]`, or `own`")
        known = BY_NAME.keys()
        for setting, heads in (("weights", self.weights), ("offsets", self.offsets)):
            if unknown := [head for head in heads if head not in known]:
                raise ValueError(f"{setting}.{unknown[0]}: no such head; there are {', '.join(known)}")
        return self


class MlmRecipe(Schedule):
    """Goes on with the encoder's own training, on posts without labels."""

    masked: Rate = 0.15
    """Share of the tokens to be guessed."""
    validation: Rate = 0.02
    """Share of the posts on which the loss is watched."""


class FewShotRecipe(Schedule):
    """A classifier of one's own labels from few examples, in the manner of SetFit (Tunstall et al., 2022)."""

    pairs: PositiveInt = 20
    """Pairs of one label, and as many of two, that each example enters per epoch."""
    head_decay: float = Field(default=1.0, gt=0)
    """Strength of the penalty on the head's weights (of a logistic regression)."""


def find_recipe(name: str) -> Path:
    """The file of a recipe: one of ours by its name, else *name* is a path. Raises ConfigError naming ours."""
    ours = RECIPES / f"{name}.yaml"
    if ours.exists():
        return ours
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    raise ConfigError(f"--recipe: {name!r} is neither a file nor one of ours ({known}).")


def read_recipe(path: Path, form: type[RecipeType]) -> RecipeType:
    """The recipe in a YAML file. Raises ConfigError naming each setting that is missing, unknown or out of range."""
    import yaml

    try:
        given = load_yaml(path.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {yaml_reason(error)}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: expected settings such as `epochs: 2`, got {given!r}")
    try:
        return form.model_validate(given)
    except ValidationError as error:
        raise ConfigError(f"{path}: " + "; ".join(_describe_error(detail, form) for detail in error.errors())) from None


def _describe_error(detail: ErrorDetails, form: type[Settings]) -> str:
    place = ".".join(str(step) for step in detail["loc"])
    if not place:
        return sentence(detail)
    if detail["type"] == "missing":
        return f"{place} is missing{_example(detail, form)}"
    if detail["type"] == "extra_forbidden":
        return f"{place} is no setting of this recipe; there are {', '.join(_fields(detail, form))}"
    return f"{place}: {sentence(detail)}, got {detail['input']!r}{_example(detail, form)}"


def _owner(detail: ErrorDetails, form: type[Settings]) -> type[Settings]:
    """The model that the setting of *detail* belongs to: a source's, say, rather than the whole recipe's."""
    owners: dict[str, type[Settings]] = {"sources": Source, "own": CustomFile, "lora": Lora, "teacher": Teacher}
    nested = len(detail["loc"]) > 1 and str(detail["loc"][0]) in owners
    return owners[str(detail["loc"][0])] if nested else form


def _fields(detail: ErrorDetails, form: type[Settings]) -> list[str]:
    return list(_owner(detail, form).model_fields)


def _example(detail: ErrorDetails, form: type[Settings]) -> str:
    owner, fields = _owner(detail, form), [str(step) for step in detail["loc"]]
    for name in reversed(fields):
        if name in owner.model_fields:
            field = owner.model_fields[name]
            value = field.examples[0] if field.examples else field.default
            return f", e.g. `{name}: {value}`"
    return ""
