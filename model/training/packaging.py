"""Packs the chosen weights of a training run as a weights folder."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.checkpoints.multi_head import EARLY, HeadsManifest, is_servable, load_heads, pack_heads, write_heads_manifest
from model.checkpoints.whole_post import WholePostManifest, load_whole_post, pack_whole_post, write_manifest
from model.cpu.activation_ranges import activation_ranges, multi_head_ranges
from model.graphs.torch_multihead import EXIT_LAYER, MultiHead
from model.inference.torch_classifier import WHOLE_POST_NAMES
from model.inputs.target_marking import MarkedText
from model.spec.heads import HEADS, POST_HEADS, SENTIMENT
from model.training.calibration import Calibration
from model.training.fit.recipe import HeadsRecipe

Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts about a run for the manifest, besides its recipe."""

    tokenizer: Path
    base: str
    facts: Mapping[str, Any]
    before: HeadsManifest | None = None
    """Manifest of the initial packed weights; heads without validation keep its temperatures and thresholds."""


def pack_run(
    model: MultiHead,
    out: Path,
    *,
    recipe: HeadsRecipe,
    late: Calibration,
    soon: Calibration,
    exit_confidence: Mapping[str, float],
    posts: Sequence[MarkedText],
    facts: RunFacts,
) -> str:
    """Packs *model* into *out* and returns the version; *late* and *soon* calibrate the full depth and the exit.

    A run that trained only `sentiment` on a plain BERT encoder is packed as whole-post weights: the same computation,
    under the names of BertForSequenceClassification.
    """
    sources = [name for source in recipe.sources for name in source.names] + [own.file for own in recipe.own]
    common: dict[str, Any] = {
        "name": recipe.name,
        "version": "",
        "max_tokens": recipe.max_tokens,
        "base_model": facts.base,
        "data": ", ".join(sources),
        "command": shlex.join(["brandpulse", *sys.argv[1:]]),
        "recipe": recipe.model_dump(mode="json") | dict(facts.facts),
        "languages": recipe.languages or (facts.before.languages if facts.before else ()),
    }
    config = json.loads(model.bert.config.to_json_string())
    arrays = {name: tensor.detach().float().cpu().numpy() for name, tensor in model.state_dict().items()}
    servable, layers_in_int8 = is_servable(config), recipe.stored == "int8"
    if recipe.weights.keys() == {"sentiment"} and facts.before is None and servable:
        whole = WholePostManifest(**common, labels=SENTIMENT, temperature=late.temperatures["sentiment"])
        whole = pack_whole_post(
            out,
            whole_post_tensors(arrays),
            config=config,
            tokenizer=facts.tokenizer,
            manifest=whole,
            layers_in_int8=layers_in_int8,
        )
        whole = replace(whole, ranges=activation_ranges(load_whole_post(out), [post.text for post in posts]))
        write_manifest(out, whole)
        return whole.version
    manifest = HeadsManifest(
        **common,
        heads={head.name: head.labels for head in HEADS},
        untrained=_untrained(recipe, facts.before),
        temperatures=(dict(facts.before.temperatures) if facts.before else {})
        | dict(late.temperatures)
        | {EARLY + head: value for head, value in soon.temperatures.items()},
        thresholds=(dict(facts.before.thresholds) if facts.before else {}) | dict(late.thresholds),
        exit_layer=EXIT_LAYER if model.exit is not None else 0,
        exit_confidence=exit_confidence,
    )
    manifest = pack_heads(
        out, arrays, config=config, tokenizer=facts.tokenizer, manifest=manifest, layers_in_int8=layers_in_int8
    )
    if not servable:
        return manifest.version  # int8 is for the engines that cannot run it
    return write_heads_manifest(out, replace(manifest, ranges=multi_head_ranges(load_heads(out), posts))).version


def _untrained(recipe: HeadsRecipe, before: HeadsManifest | None) -> tuple[str, ...]:
    """The heads for whole posts that neither this run nor an earlier one trained; `sentiment` is never one of them."""
    candidates = [head.name for head in POST_HEADS if head.name != "sentiment"] if before is None else before.untrained
    return tuple(head for head in candidates if head not in recipe.weights)


def whole_post_tensors(arrays: Arrays) -> dict[str, npt.NDArray[np.float32]]:
    """The encoder and the head `sentiment` under the names of BertForSequenceClassification: the same computation."""
    kept = {name: array for name, array in arrays.items() if name.startswith("bert.")}
    return kept | {
        theirs + part: arrays[ours + part] for ours, theirs in WHOLE_POST_NAMES.items() for part in ("weight", "bias")
    }
