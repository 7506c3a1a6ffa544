"""The settings of a training run, read from a YAML file."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar, get_args

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
    """Data sets `{name}.train.jsonl.gz` and `{name}.val.jsonl.gz`. Sets with common texts belong in one source."""

    names: tuple[str, ...] = Field(min_length=1, examples=[["sentiment_semeval"]])
    share: float = Field(default=1.0, gt=0, le=10)
    """How often each text is used per epoch; 0.3: a different 30 % in each epoch."""
    keep_words: Share = 0.5
    """How often the words of a target follow its marker."""
    targets: Literal["marked", "required", "left out"] = "marked"
    """`required`: only posts with a labelled target; `left out`: posts are read without targets."""


class CustomFile(Settings):
    """A CSV file with a header, or JSON lines, with any column names; part of it is used for validation."""

    file: str = Field(examples=["tickets.csv"])
    text: str = "text"
    """Column that contains the post."""
    target: str | None = None
    """Column that contains the brand or aspect of the label `target`."""
    labels: dict[str, str] = Field(min_length=1, examples=[{"sentiment": "verdict"}])
    """Head -> column. `mood` and `sentiment` contain one label, `emotion` a list or labels separated by `|`;
    `complaint`, `crisis` (labels of `risk`) and `sarcasm` contain 0 or 1."""
    values: dict[str, dict[str, str | int]] = {}
    """Column -> value -> label: `{verdict: {bad: negative, good: positive}}`."""
    validation: Share = 0.15
    """Share of the rows of each label that is used for validation."""
    share: float = Field(default=1.0, gt=0, le=10)
    keep_words: Share = 0.5


class Unlabelled(Settings):
    """Posts without labels: `.txt` lines, a CSV file with a header, or JSON lines. Only a teacher's answers train on
    them."""

    file: str = Field(examples=["posts.jsonl.gz"])
    text: str = "text"
    """Column that contains the post."""
    target: str | None = None
    """Column that contains a brand of the post. Default: none, posts are read without targets."""
    share: float = Field(default=1.0, gt=0, le=10)
    """How often each text is used per epoch."""
    keep_words: Share = 0.5


class Schedule(Settings):
    """Settings of every kind of training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", examples=["minilm-brand"])
    epochs: PositiveInt = Field(examples=[2])
    batch_size: PositiveInt = Field(examples=[64])
    learning_rate: Rate = Field(examples=["2.0e-4"])
    heads_rate: float = Field(default=1.0, gt=0)
    """Learning rate of the heads, as a multiple of `learning_rate`."""
    warm_up: Share = Field(examples=[0.06])
    """Share of all steps in which the learning rate rises; then it falls linearly to 0."""
    weight_decay: Share = 0.01
    clip: float = Field(default=1.0, gt=0)
    """Maximum norm of the gradients; larger ones are scaled down."""
    max_tokens: int = Field(ge=8, le=512, examples=[96])
    bucket_batches: PositiveInt = 50
    """Number of batches within which posts are sorted by length."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the encoder; on a CPU it costs 13 % of a step."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of matrix products; `auto`: the faster one in a short measurement at the start of the run."""
    average: PositiveInt = 1
    """Snapshots per epoch."""
    patience: int = Field(default=0, ge=0)
    """Stops after this number of snapshots without a better metric; 0: never, and validates only at the end."""
    save_every: PositiveInt = 200
    """Steps between two saved states."""
    seed: int = Field(ge=0, examples=[13])


class Lora(Settings):
    """Low-rank adapters (Hu et al., 2021) instead of the encoder's own weights; merged at the end."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    modules: tuple[str, ...] = ("query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense")


class Teacher(Settings):
    """Distillation: the student learns the answers of a larger model and the labels.

    A label without an answer beside it (stored answers may lack the text, the head or the mention) has weight 1.
    """

    weight: float = Field(default=1.0, gt=0)
    """Weight of the loss against the teacher's answers."""
    labels: float = Field(default=0.3, ge=0)
    """Weight of the loss against a label beside an answer."""
    temperature: float = Field(default=1.0, ge=0.1, le=20)
    """Divisor of both models' logits: above 1, answers that the teacher finds less probable count more."""
    unanswered: Share = 1.0
    """Share of the posts without a stored answer that each epoch uses."""
    early_heads: Literal["full depth", "teacher"] = "full depth"
    """What the early heads learn: the answers of the student's full depth, or the teacher's where it has one."""


class HeadsRecipe(Schedule):
    """Heads on an encoder, from labelled posts."""

    sources: tuple[Source, ...] = ()
    own: tuple[CustomFile, ...] = ()
    weights: dict[str, float] = Field(min_length=1, examples=[{"sentiment": 1.0}])
    """Weight of each head's loss; other heads are not trained."""
    exit_weight: float = Field(default=0.5, ge=0)
    """Weight of the early heads' loss; they learn the answers of the full depth. 0: no early heads."""
    exit_loss: Share = 0.002
    """Maximum loss of macro recall through early answers."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    class_balance: Share = 0.5
    """Weight of a class = (mean count / count) ** class_balance; 0: no balance, 1: full balance."""
    offsets: dict[str, dict[str, float]] = {}
    """Head -> label -> value added to its logit after the training."""
    fitted_offsets: tuple[str, ...] = Field(default=(), examples=[["target"]])
    """Heads that also get the offsets with the best mean macro recall on those sets of `judged_by` whose metric is the
    head's recall (`target_recall`). Rare labels are then predicted more often."""
    judged_by: dict[str, str] = Field(min_length=1, examples=[{"sentiment_semeval": "sentiment_recall"}])
    """Validation set -> metric; the weights with the highest mean are chosen."""
    layers: tuple[int, ...] | None = None
    """Layers of the encoder to keep, from 0. Default: all."""
    frozen_layers: int | None = Field(default=None, ge=0)
    """The word table and this number of lowest layers are not trained: a large encoder trains a sixth faster with 3 of
    12 layers frozen. Default: everything is trained."""
    pooling: Literal["first", "mean"] = "first"
    """What heads for whole posts read: the state of the first token, or the mean of all (torch only, for teachers)."""
    held_out: tuple[str, ...] = Field(default=(), examples=[["target_topics_choose"]])
    """Validation sets `{name}.val.jsonl.gz` without a training part, for example of unseen topics. Those that
    `judged_by` does not name only report: temperatures, thresholds and the early exit are not fitted on them."""
    validation_rows: PositiveInt | None = None
    """Maximum number of posts of each validation set that are scored. Default: all. The texts of all of them are
    dropped from the training."""
    stored: Literal["float16", "int8"] = "float16"
    """Form of the encoder's matrices in the weights file; `int8` halves the file and costs the float engines accuracy
    below the noise of an evaluation."""
    lora: Lora | None = None
    teacher: Teacher | None = None
    unlabelled: tuple[Unlabelled, ...] = ()
    start_seed: int | None = Field(default=None, ge=0)
    """Seed of new heads and of the choice of posts, by default `seed`. Runs that differ only in `seed` can be
    averaged."""
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2}$")], ...] = Field(default=(), examples=[["en"]])
    """ISO 639-1 codes of the languages of the posts. Workers count posts in other languages as unread; empty: none."""

    @property
    def first_seed(self) -> int:
        """`start_seed`, or its default."""
        return self.seed if self.start_seed is None else self.start_seed

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.sources and not self.own:
            raise ValueError("sources: set at least one, e.g. `sources: [{names: [sentiment_semeval]}]`, or `own`")
        if self.unlabelled and self.teacher is None:
            raise ValueError("unlabelled: posts without labels need a teacher, e.g. `teacher: {weight: 1.0}`")
        known = BY_NAME.keys()
        for setting, heads in (("weights", self.weights), ("offsets", self.offsets)):
            if unknown := [head for head in heads if head not in known]:
                raise ValueError(f"{setting}.{unknown[0]}: unknown head; known heads are {', '.join(known)}")
        for head in self.fitted_offsets:
            if f"{head}_recall" not in self.judged_by.values():
                raise ValueError(f"fitted_offsets: {head!r} needs a set in judged_by with the metric {head}_recall")
        return self


class MlmRecipe(Schedule):
    """Continues the encoder's masked-word training on unlabelled posts."""

    masked: Rate = 0.15
    """Share of the tokens that are masked."""
    validation: Rate = 0.02
    """Share of the posts for validation."""


class FewShotRecipe(Schedule):
    """A classifier for custom labels from few examples, as in SetFit (Tunstall et al., 2022)."""

    pairs: PositiveInt = 20
    """Pairs per example and epoch with the same label, and as many with another label."""
    head_decay: float = Field(default=1.0, gt=0)
    """L2 penalty on the weights of the head (a logistic regression)."""


def find_recipe(name: str) -> Path:
    """The file of a shipped recipe, else the path *name*. Raises ConfigError that lists the shipped recipes."""
    return find_shipped(name, RECIPES, kind="recipe")


def find_shipped(name: str, folder: Path, *, kind: str) -> Path:
    """The file *name*.yaml of *folder*, else the path *name*; *kind* is the option and the noun for the error."""
    shipped = folder / f"{name}.yaml"
    if shipped.exists():
        return shipped
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    raise ConfigError(f"--{kind}: {name!r} is neither a file nor a shipped {kind} ({known}).")


def read_recipe(path: Path, form: type[RecipeType]) -> RecipeType:
    """The recipe in a YAML file. Raises ConfigError that names each missing, unknown or invalid setting."""
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
        return f"{place} is not a setting of this file; the settings are {', '.join(_fields(detail, form))}"
    return f"{place}: {sentence(detail)}, got {detail['input']!r}{_example(detail, form)}"


def _owner(detail: ErrorDetails, form: type[Settings]) -> type[Settings]:
    """The settings class that *detail* belongs to, e.g. `Source` instead of the whole recipe."""
    place = detail["loc"]
    field = form.model_fields.get(str(place[0])) if len(place) > 1 else None
    return (field and _settings_in(field.annotation)) or form


def _settings_in(annotation: object) -> type[Settings] | None:
    """The first settings class in *annotation*, e.g. `Source` in `tuple[Source, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _settings_in(inner))), None)


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
