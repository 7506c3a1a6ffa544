"""Turns the logits of a network into `Scores`: applies temperatures and the rules for targets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.checkpoints.multi_head import EARLY, HeadsManifest
from model.inference.probabilities import sigmoid, softmax
from model.inference.scorer import Probabilities, Scores
from model.inputs.target_marking import ABSENT, MarkedText
from model.spec.heads import POST_HEADS, TARGET, Head

WIDTH = sum(len(head.labels) for head in POST_HEADS)
"""Number of labels of all heads that read posts."""
IRRELEVANT = TARGET.index("irrelevant")

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(slots=True)
class LogitTable:
    """The logits so far of n posts with p markers for m targets."""

    post: Floats
    """(n, WIDTH) logits."""
    early: npt.NDArray[np.bool_]
    """(n,): whether the logits are those of the early heads."""
    target: Floats
    """(m, 4): sum of the logits over each target's markers, targets in the order of the posts."""
    marker_counts: Numbers
    """(m,): number of markers in that sum; 0: all were truncated."""
    absent: npt.NDArray[np.bool_]
    """(m,): whether the post does not name the target."""
    target_posts: Numbers
    """(m,): index of the post of each target."""
    first_target: Numbers
    """(n + 1,): index of the first target of each post."""
    first_marker: Numbers
    """(n + 1,): index of the first marker of each post."""
    marker_targets: Numbers
    """(p,): index of the target of each marker."""

    @classmethod
    def for_posts(cls, posts: Sequence[MarkedText]) -> "LogitTable":
        asked = np.array([post.targets for post in posts], dtype=np.int64)
        first_target = np.concatenate([[0], np.cumsum(asked)]).astype(np.int64)
        first_marker = np.concatenate([[0], np.cumsum([len(post.mentions) for post in posts])]).astype(np.int64)
        starts = first_target.tolist()
        absent = np.zeros(starts[-1], dtype=np.bool_)
        absent[[starts[row] + number for row, post in enumerate(posts) for number in post.absent]] = True
        marker_targets = [starts[row] + number for row, post in enumerate(posts) for number in post.mentions]
        return cls(
            post=np.zeros((len(posts), WIDTH), dtype=np.float32),
            early=np.zeros(len(posts), dtype=np.bool_),
            target=np.zeros((starts[-1], len(TARGET)), dtype=np.float32),
            marker_counts=np.zeros(starts[-1], dtype=np.int64),
            absent=absent,
            target_posts=np.repeat(np.arange(len(posts)), asked),
            first_target=first_target,
            first_marker=first_marker,
            marker_targets=np.array(marker_targets, dtype=np.int64),
        )

    def write(self, rows: Numbers, post: Floats, markers: Numbers, mention: Floats, *, early: bool = False) -> None:
        """Stores the logits of the posts *rows* and replaces earlier ones.

        *post* is (rows, WIDTH), *mention* is (markers, 4) for the indexes *markers* that were read.
        """
        self.post[rows] = post
        self.early[rows] = early
        mine = self._targets_of(rows)
        self.target[mine] = 0.0
        self.marker_counts[mine] = 0
        np.add.at(self.target, self.marker_targets[markers], mention)
        np.add.at(self.marker_counts, self.marker_targets[markers], 1)

    def doubtful(self, rows: Numbers, manifest: HeadsManifest) -> npt.NDArray[np.bool_]:
        """(rows,): whether the early heads are below the confidence for the post's sentiment or for any target."""
        sure = manifest.exit_confidence
        unsure = np.asarray(_confidence(self._post_probabilities(rows, manifest, POST_HEADS[0])) < sure["sentiment"])
        mine = self._targets_of(rows)
        asked = self.first_target[rows + 1] - self.first_target[rows]
        towards = _confidence(self._target_probabilities(mine, manifest)) < sure["target"]
        unsure[
            np.repeat(np.arange(len(rows)), asked)[towards & ~self.absent[mine] & (self.marker_counts[mine] > 0)]
        ] = True
        return unsure

    def scores(self, manifest: HeadsManifest, degraded: Iterable[int] = ()) -> Scores:
        everything = np.arange(len(self.post))
        answered = [head for head in POST_HEADS if head.name not in manifest.untrained]
        heads = {head.name: self._post_probabilities(everything, manifest, head) for head in answered}
        target = self._target_probabilities(np.arange(len(self.target)), manifest)
        cut = self.marker_counts == 0
        target[cut] = relevant_for_certain(heads["sentiment"][self.target_posts[cut]])
        return Scores(heads, with_absent_targets(target, self.absent), frozenset(degraded))

    def _targets_of(self, rows: Numbers) -> Numbers:
        return concatenated_ranges(self.first_target[rows], self.first_target[rows + 1])

    def _post_probabilities(self, rows: Numbers, manifest: HeadsManifest, head: Head) -> Probabilities:
        at = sum(len(other.labels) for other in POST_HEADS[: POST_HEADS.index(head)])
        logits = self.post[rows, at : at + len(head.labels)]
        scaled = logits / _temperatures(manifest, head.name, self.early[rows])
        return softmax(scaled).astype(np.float32) if head.kind == "one" else sigmoid(scaled)

    def _target_probabilities(self, targets: Numbers, manifest: HeadsManifest) -> Probabilities:
        """(targets, 4); the row of a target without markers is meaningless."""
        mean = self.target[targets] / np.maximum(self.marker_counts[targets], 1)[:, None]
        scaled = mean / _temperatures(manifest, "target", self.early[self.target_posts[targets]])
        return softmax(scaled).astype(np.float32)


def concatenated_ranges(starts: Numbers, ends: Numbers) -> Numbers:
    """start, start + 1, …, end - 1 of each range, concatenated."""
    sizes = ends - starts
    return np.repeat(ends - np.cumsum(sizes), sizes) + np.arange(sizes.sum())


def relevant_for_certain(sentiment: Probabilities) -> Probabilities:
    """*sentiment* (m, 3) of posts as sentiment towards a target, with P(irrelevant) 0."""
    return np.concatenate([sentiment, np.zeros((len(sentiment), 1), dtype=np.float32)], axis=1)


def with_absent_targets(target: Probabilities, absent: npt.NDArray[np.bool_]) -> Probabilities:
    """*target* (m, 4) with P(irrelevant) set to `ABSENT` in the rows *absent* (m,), whose posts do not name them."""
    target = target.copy()
    target[absent, IRRELEVANT] = 0.0
    target[absent] *= (1.0 - ABSENT) / np.maximum(target[absent].sum(axis=1, keepdims=True), 1e-12)
    target[absent, IRRELEVANT] = ABSENT
    return target


def _temperatures(manifest: HeadsManifest, head: str, early: npt.NDArray[np.bool_]) -> Floats:
    """(n, 1)"""
    late, first = manifest.temperature(head), manifest.temperature(EARLY + head)
    return np.where(early, first, late).astype(np.float32)[:, None]


def _confidence(probabilities: Probabilities) -> Floats:
    return np.asarray(probabilities.max(axis=1, initial=0.0))
