"""From the logits of a network to `Scores`: the one place where temperatures and the rules for targets are applied."""

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
"""Labels of all heads that read posts, side by side."""
IRRELEVANT = TARGET.index("irrelevant")

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


@dataclass(slots=True)
class LogitTable:
    """What the network has said so far about n posts with p markers for m targets."""

    post: Floats
    """(n, WIDTH) logits."""
    early: npt.NDArray[np.bool_]
    """(n,): whether it was the early heads that spoke."""
    target: Floats
    """(m, 4): sum of the logits of each target's markers, targets in the order of the posts."""
    heard: Numbers
    """(m,): over how many markers. None: all were cut off."""
    absent: npt.NDArray[np.bool_]
    """(m,): whether its post does not name it."""
    posts: Numbers
    """(m,): number of the post of each target."""
    first_target: Numbers
    """(n + 1,): where the targets of each post begin."""
    first_marker: Numbers
    """(n + 1,): where the markers of each post begin."""
    meant: Numbers
    """(p,): number of the target that each marker stands for."""

    @classmethod
    def blank(cls, posts: Sequence[MarkedText]) -> "LogitTable":
        asked = np.array([post.targets for post in posts], dtype=np.int64)
        first_target = np.concatenate([[0], np.cumsum(asked)]).astype(np.int64)
        first_marker = np.concatenate([[0], np.cumsum([len(post.mentions) for post in posts])]).astype(np.int64)
        starts = first_target.tolist()
        absent = np.zeros(starts[-1], dtype=np.bool_)
        absent[[starts[row] + number for row, post in enumerate(posts) for number in post.absent]] = True
        meant = [starts[row] + number for row, post in enumerate(posts) for number in post.mentions]
        return cls(
            post=np.zeros((len(posts), WIDTH), dtype=np.float32),
            early=np.zeros(len(posts), dtype=np.bool_),
            target=np.zeros((starts[-1], len(TARGET)), dtype=np.float32),
            heard=np.zeros(starts[-1], dtype=np.int64),
            absent=absent,
            posts=np.repeat(np.arange(len(posts)), asked),
            first_target=first_target,
            first_marker=first_marker,
            meant=np.array(meant, dtype=np.int64),
        )

    def write(self, rows: Numbers, post: Floats, markers: Numbers, mention: Floats, *, early: bool = False) -> None:
        """Takes down what was said of the posts *rows*, in place of what was said before.

        *post* is (rows, WIDTH); *mention* (markers, 4), for the *markers*, by number, that were read.
        """
        self.post[rows] = post
        self.early[rows] = early
        mine = self._targets_of(rows)
        self.target[mine] = 0.0
        self.heard[mine] = 0
        np.add.at(self.target, self.meant[markers], mention)
        np.add.at(self.heard, self.meant[markers], 1)

    def doubtful(self, rows: Numbers, manifest: HeadsManifest) -> npt.NDArray[np.bool_]:
        """(rows,): whether the early heads are not sure of the sentiment of a post, or of that towards a target."""
        sure = manifest.exit_confidence
        unsure = np.asarray(_confidence(self._of_posts(rows, manifest, POST_HEADS[0])) < sure["sentiment"])
        mine = self._targets_of(rows)
        asked = self.first_target[rows + 1] - self.first_target[rows]
        towards = _confidence(self._towards(mine, manifest)) < sure["target"]
        unsure[np.repeat(np.arange(len(rows)), asked)[towards & ~self.absent[mine] & (self.heard[mine] > 0)]] = True
        return unsure

    def scores(self, manifest: HeadsManifest, degraded: Iterable[int] = ()) -> Scores:
        everything = np.arange(len(self.post))
        heads = {head.name: self._of_posts(everything, manifest, head) for head in POST_HEADS}
        target = self._towards(np.arange(len(self.target)), manifest)
        cut = self.heard == 0
        target[cut] = relevant_for_certain(heads["sentiment"][self.posts[cut]])
        return Scores(heads, with_absent_targets(target, self.absent), frozenset(degraded))

    def _targets_of(self, rows: Numbers) -> Numbers:
        return concatenated_ranges(self.first_target[rows], self.first_target[rows + 1])

    def _of_posts(self, rows: Numbers, manifest: HeadsManifest, head: Head) -> Probabilities:
        at = sum(len(other.labels) for other in POST_HEADS[: POST_HEADS.index(head)])
        logits = self.post[rows, at : at + len(head.labels)]
        scaled = logits / _temperatures(manifest, head.name, self.early[rows])
        return softmax(scaled).astype(np.float32) if head.kind == "one" else sigmoid(scaled)

    def _towards(self, targets: Numbers, manifest: HeadsManifest) -> Probabilities:
        """(targets, 4); a row of a target of which nothing was heard says nothing."""
        mean = self.target[targets] / np.maximum(self.heard[targets], 1)[:, None]
        scaled = mean / _temperatures(manifest, "target", self.early[self.posts[targets]])
        return softmax(scaled).astype(np.float32)


def concatenated_ranges(starts: Numbers, ends: Numbers) -> Numbers:
    """start, start + 1, …, end - 1 of each, one after the other."""
    sizes = ends - starts
    return np.repeat(ends - np.cumsum(sizes), sizes) + np.arange(sizes.sum())


def relevant_for_certain(sentiment: Probabilities) -> Probabilities:
    """*sentiment* (m, 3) of posts as that towards a target: relevant for certain."""
    return np.concatenate([sentiment, np.zeros((len(sentiment), 1), dtype=np.float32)], axis=1)


def with_absent_targets(target: Probabilities, absent: npt.NDArray[np.bool_]) -> Probabilities:
    """*target* (m, 4) with the rule for targets that their post does not name applied to the rows *absent* (m,)."""
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
