"""Reads the posts of a training run, checks them against each other, and encodes them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from brandpulse.errors import ConfigError
from model.data.labelled_posts import leak_key
from model.data.training_examples import Example, merge_by_text, numbered_rows
from model.inputs.target_marking import mark, plain
from model.training.data.batches import Encoded, encode_examples
from model.training.data.custom_file import FIELDS, custom_rows, split, table_rows, text_rows
from model.training.fit.progress_log import log_progress
from model.training.fit.recipe import CustomFile, HeadsRecipe, Source, Unlabelled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHIPPED = Path(__file__).parents[2] / "training_posts"
"""Folder of the data sets that are part of the package, as plain JSON lines."""

Row = TypeVar("Row")

Line = tuple[int, dict[str, Any]]
"""Line number in its file, row."""


@dataclass(frozen=True, slots=True)
class SourceRows:
    """One source as read."""

    name: str
    source: Source | CustomFile | Unlabelled
    train: list[Line]
    validation: dict[str, list[Line]]
    """Name of the set -> its rows."""


@dataclass(slots=True)
class CheckCounts:
    """Row counts of the checks."""

    rows: int = 0
    empty: int = 0
    leaked: int = 0
    """Rows left out because their text is in a validation or test set."""
    shared: int = 0
    """Distinct texts in more than one source; they are used."""
    kept: int = 0


@dataclass(frozen=True, slots=True)
class EncodedSource:
    """The training part of one source, with and without the words of its targets."""

    share: float
    keep_words: float
    bare: list[Encoded]
    worded: list[Encoded]


@dataclass(frozen=True, slots=True)
class CheckedTexts:
    """The checked examples of a run."""

    sources: list[tuple[SourceRows, list[Example], list[Example]]]
    """Each source with its examples, without and with the words of their targets."""
    validation: dict[str, list[Example]]
    """Sets with targets also exist with the targets' words, as `{name}+words`."""
    checked: CheckCounts = field(default_factory=CheckCounts)
    held_out: set[str] = field(default_factory=set)
    """`leak_key` of each text of a validation or test set."""


def read_texts(
    data: Path, recipe: HeadsRecipe, *, tests: Iterable[Path] = (), limit: int | None = None
) -> CheckedTexts:
    """The checked examples of *recipe* from the folder *data*; *tests* and *limit* as in `check_sources`.

    Raises ConfigError for a missing or invalid file, and for an unknown set in `judged_by`.
    """
    texts = check_sources(
        read_sources(data, recipe), tests, limit=limit, validation_limit=recipe.validation_rows, seed=recipe.first_seed
    )
    if unknown := [name for name in recipe.judged_by if name not in texts.validation]:
        raise ConfigError(
            f"judged_by.{unknown[0]}: unknown validation set; known sets are {', '.join(texts.validation)}"
        )
    return texts


def read_sources(data: Path, recipe: HeadsRecipe) -> list[SourceRows]:
    """The sources of *recipe*: from the folder *data*, else the shipped data set of that name.

    Raises ConfigError that names a missing or invalid file.
    """
    try:
        sources = [_read_source(data, source) for source in recipe.sources]
    except (OSError, ValueError) as error:
        raise ConfigError(f"--data {data}: {error}") from error
    sources += [_read_custom_file(data, source, recipe.first_seed) for source in recipe.own]
    sources += [_read_unlabelled(data, source) for source in recipe.unlabelled]
    if recipe.held_out and sources:
        # Their rows belong to no training part, so the first source may carry them.
        sources[0].validation.update(_read_held_out(data, recipe.held_out))
    return sources


def _read_held_out(data: Path, names: Sequence[str]) -> dict[str, list[Line]]:
    try:
        return {name: list(numbered_rows(data / f"{name}.val.jsonl.gz")) for name in names}
    except (OSError, ValueError) as error:
        raise ConfigError(f"held_out: {error}") from error


def _read_source(data: Path, source: Source) -> SourceRows:
    files = {name: set_files(data, name) for name in source.names}
    train = [line for path, _ in files.values() for line in numbered_rows(path)]
    validation = {name: list(numbered_rows(path)) for name, (_, path) in files.items()}
    return SourceRows("+".join(source.names), source, train, validation)


def set_files(data: Path, name: str) -> tuple[Path, Path]:
    """The training and the validation file of a data set: both in *data*, or both shipped.

    A set of which *data* holds only one file is not completed with a shipped one: the two would not fit together.
    """
    own = (data / f"{name}.train.jsonl.gz", data / f"{name}.val.jsonl.gz")
    shipped = (SHIPPED / f"{name}.train.jsonl", SHIPPED / f"{name}.val.jsonl")
    return own if any(path.exists() for path in own) or not shipped[0].exists() else shipped


def _read_custom_file(data: Path, source: CustomFile, seed: int) -> SourceRows:
    rows = custom_rows(data / source.file, source)
    labels = [[row.get(FIELDS[head]) for head in source.labels] for _, row in rows]
    texts = [row["text"] for _, row in rows]
    train, validation = split(rows, texts=texts, labels=labels, share=source.validation, seed=seed)
    return SourceRows(source.file, source, train, {Path(source.file).name.split(".")[0]: validation})


def _read_unlabelled(data: Path, source: Unlabelled) -> SourceRows:
    """The posts without copies (of the same target): a shared post would count as often as it was shared."""
    seen: set[tuple[str, str]] = set()
    found: list[Line] = []
    for line, row in text_rows(data / source.file, source.text):
        target = str(row.get(source.target) or "") if source.target is not None else ""
        # Posts of emoji alone have an empty key: they are copies only if they are equal.
        key = leak_key(row["text"]) or row["text"], target.casefold()
        if key not in seen:
            seen.add(key)
            found.append((line, {"text": row["text"], "target": target}))
    return SourceRows(source.file, source, found, {})


def text_keys(files: Iterable[Path]) -> dict[Path, set[str]]:
    """`leak_key` of each text of each file."""
    return {path: {leak_key(str(row.get("text", ""))) for _, row in table_rows(path)} - {""} for path in files}


def check_sources(
    parts: Sequence[SourceRows],
    tests: Iterable[Path] = (),
    *,
    limit: int | None = None,
    validation_limit: int | None = None,
    seed: int = 0,
) -> CheckedTexts:
    """The usable examples of *parts*: without empty texts and texts of a validation or test set.

    *limit* is the maximum number of training rows of all sources, for a quick test, and *validation_limit* that of each
    validation set. Raises ConfigError with line numbers if a validation row is also in one of the *tests*, which would
    make their metrics meaningless.
    """
    test_keys = text_keys(tests)
    held_out: set[str] = set().union(*test_keys.values())
    validation: dict[str, list[Line]] = {}
    for part in parts:
        for name, lines in part.validation.items():
            validation[name] = [(line, row) for line, row in lines if row["text"].strip()]
            keys = [(line, leak_key(row["text"])) for line, row in validation[name]]
            for path, forbidden in test_keys.items():
                _reject_overlap(name, path, [line for line, key in keys if key in forbidden])
            # Posts of emoji alone have an empty key: one of them must not remove all others from training.
            held_out.update(key for _, key in keys if key)
    kept_apart = {*validation, *(path.name.split(".")[0] for path in test_keys)}
    checked, sources = CheckCounts(), []
    in_sources: dict[str, set[str]] = {}
    for part in parts:
        usable, in_sources[part.name] = _trainable_rows(
            part, held_out, checked, with_target="target_semeval" in kept_apart
        )
        sources.append((part, usable))
    source_counts = Counter(key for keys in in_sources.values() for key in keys)
    checked.shared = sum(count > 1 for count in source_counts.values())
    checked.kept = sum(len(rows) for _, rows in sources)
    if limit is not None and limit < checked.kept:
        generator, share = np.random.default_rng(seed), limit / checked.kept
        sources = [(part, _sample(rows, share, generator)) for part, rows in sources]
    if validation_limit is not None:
        draw = np.random.default_rng(seed)
        validation = {
            name: _sample(lines, min(1.0, validation_limit / max(len(lines), 1)), draw)
            for name, lines in validation.items()
        }
    log_progress("checks", rows=checked.rows, kept=checked.kept, empty=checked.empty, leaked=checked.leaked)
    log_progress("shared", texts_in_more_than_one_source=checked.shared)
    try:
        return CheckedTexts(
            [(part, *_examples(part.source, rows)) for part, rows in sources],
            {form: examples for name, lines in validation.items() for form, examples in _validation_forms(name, lines)},
            checked,
            held_out,
        )
    except ValueError as error:
        raise ConfigError(f"invalid label: {error}") from error


def _reject_overlap(name: str, test: Path, lines: Sequence[int]) -> None:
    if lines:
        shown = ", ".join(map(str, lines[:5]))
        raise ConfigError(
            f"{len(lines)} rows of the validation set {name} are also in the test set {test} (lines {shown}"
            f"{', …' if len(lines) > 5 else ''}). Remove them from one of the sets: choices made on test posts make "
            "the test metrics too good."
        )


def _trainable_rows(
    part: SourceRows, held_out: set[str], checked: CheckCounts, *, with_target: bool
) -> tuple[list[dict[str, Any]], set[str]]:
    """The usable training rows of *part* and the keys of their texts; updates *checked*."""
    usable: list[dict[str, Any]] = []
    seen: set[str] = set()
    for _, row in part.train:
        checked.rows += 1
        key = leak_key(row["text"])
        if not row["text"].strip():
            checked.empty += 1
        # The flag also marks near copies, which the key does not find.
        elif key in held_out or (with_target and row.get("in_target_val")):
            checked.leaked += 1
        else:
            usable.append(row)
            seen.add(key)
    return usable, seen


def _sample(rows: list[Row], share: float, generator: np.random.Generator) -> list[Row]:
    chosen = generator.permutation(len(rows))[: max(1, round(share * len(rows)))]
    return [rows[at] for at in sorted(chosen.tolist())]


def _examples(
    source: Source | CustomFile | Unlabelled, rows: Sequence[dict[str, Any]]
) -> tuple[list[Example], list[Example]]:
    """The examples of a source, without and with the words of their targets, in the same order."""
    targets = source.targets if isinstance(source, Source) else "marked"
    if targets == "left out":
        bare = [example for example in merge_by_text({**row, "target": None} for row in rows) if example.gold]
        return bare, bare
    if isinstance(source, Unlabelled):
        return _unlabelled_examples(rows, keep_words=False), _unlabelled_examples(rows, keep_words=True)
    both = merge_by_text(rows), merge_by_text(rows, keep_words=True)
    if targets == "required":
        return ([one for one in both[0] if one.mentions], [one for one in both[1] if one.mentions])
    return both


def _unlabelled_examples(rows: Sequence[dict[str, Any]], *, keep_words: bool) -> list[Example]:
    targets: dict[str, list[str]] = {}
    for row in rows:
        targets.setdefault(row["text"], []).extend([row["target"]] if row["target"] else [])
    return [
        Example(mark(text, found, keep_words=keep_words) if found else plain(text), {}, (-1,) * len(found))
        for text, found in targets.items()
    ]


def _validation_forms(name: str, lines: Sequence[Line]) -> list[tuple[str, list[Example]]]:
    rows = [row for _, row in lines]
    bare = [(name, merge_by_text(rows))]
    return (
        [*bare, (f"{name}+words", merge_by_text(rows, keep_words=True))]
        if any(row.get("target") for row in rows)
        else bare
    )


def encode_texts(
    texts: CheckedTexts, tokenizer: "Tokenizer", max_tokens: int, answer_of: Callable[[str], int] | None = None
) -> tuple[list[EncodedSource], dict[str, list[Encoded]]]:
    """The training sources and the validation sets of *texts* as tokens.

    *answer_of* is the place of a teacher's stored answers for a text, -1 without; posts without labels and answers are
    left out.
    """
    sources = []
    for part, examples, worded in texts.sources:
        bare = encode_examples(examples, tokenizer, max_tokens, answer_of)
        # Most posts name no target: both forms are equal and share their memory.
        changed = [at for at, (one, other) in enumerate(zip(examples, worded, strict=True)) if one != other]
        both = list(bare)
        for at, row in zip(
            changed, encode_examples([worded[at] for at in changed], tokenizer, max_tokens, answer_of), strict=True
        ):
            both[at] = row
        if answer_of is not None:
            answered = [one.answer >= 0 or other.answer >= 0 for one, other in zip(bare, both, strict=True)]
            log_progress("answered rows", source=part.name, rows=len(bare), answered=sum(answered))
            if isinstance(part.source, Unlabelled):
                bare, both = list(compress(bare, answered)), list(compress(both, answered))
        sources.append(EncodedSource(part.source.share, part.source.keep_words, bare, both))
    return sources, encode_validation(texts.validation, tokenizer, max_tokens)


def encode_validation(
    validation: dict[str, list[Example]], tokenizer: "Tokenizer", max_tokens: int
) -> dict[str, list[Encoded]]:
    return {name: encode_examples(examples, tokenizer, max_tokens) for name, examples in validation.items()}


def epoch_rows(sources: Sequence[EncodedSource], generator: np.random.Generator) -> list[Encoded]:
    """The examples of one epoch: each source is repeated according to its share."""
    chosen: list[Encoded] = []
    for source in sources:
        whole, part = divmod(source.share, 1.0)
        every = np.tile(np.arange(len(source.bare)), int(whole))
        some = generator.permutation(len(source.bare))[: round(part * len(source.bare))]
        drawn = np.concatenate([every, some])
        keep = generator.random(len(drawn)) < source.keep_words
        pairs = zip(drawn.tolist(), keep.tolist(), strict=True)
        chosen += [(source.worded if words else source.bare)[at] for at, words in pairs]
    return chosen
