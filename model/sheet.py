"""From the logits of a network to `Scores`: the one place where temperatures and the rules for targets are applied."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.encoding import MarkedTokens
from model.engine import Probabilities, Scores
from model.heads import HEADS, TARGET, Head
from model.heads_checkpoint import EARLY, HeadsManifest
from model.marking import ABSENT, MarkedText
from model.metrics import softmax

POST_HEADS = tuple(head for head in HEADS if head.reads == "post")
WIDTH = sum(len(head.labels) for head in POST_HEADS)
"""Labels of all heads that read posts, side by side."""
IRRELEVANT = TARGET.index("irrelevant")

Logits = npt.NDArray[np.float32]


@dataclass(slots=True)
class Sheet:
    """What the network has said so far about n posts, with p markers for m targets."""

    post: Logits
    """(n, WIDTH)"""
    mention: Logits
    """(p, 4), markers in the order of the posts."""
    early: npt.NDArray[np.bool_]
    """(n,): whether it was the early heads that spoke."""
    starts: npt.NDArray[np.int64]
    """(n + 1,): number of the first marker of each post."""
    targets: npt.NDArray[np.int64]
    """(p,): number of the target of each marker, among those of all posts."""
    posts: npt.NDArray[np.int64]
    """(m,): number of the post of each target."""
    absent: npt.NDArray[np.bool_]
    """(m,): whether its post does not name it."""

    @classmethod
    def blank(cls, posts: Sequence[MarkedText], tokens: Sequence[MarkedTokens]) -> "Sheet":
        counts = np.array([len(post.places) for post in tokens], dtype=np.int64)
        asked = np.array([post.targets for post in posts], dtype=np.int64)
        firsts = np.concatenate([[0], np.cumsum(asked)]).astype(np.int64)
        absent = np.zeros(firsts[-1], dtype=np.bool_)
        absent[[int(firsts[row]) + number for row, post in enumerate(posts) for number in post.absent]] = True
        return cls(
            post=np.zeros((len(posts), WIDTH), dtype=np.float32),
            mention=np.zeros((counts.sum(), len(TARGET)), dtype=np.float32),
            early=np.zeros(len(posts), dtype=np.bool_),
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            targets=np.array(
                [int(firsts[row]) + number for row, post in enumerate(tokens) for number in post.mentions],
                dtype=np.int64,
            ),
            posts=np.repeat(np.arange(len(posts)), asked),
            absent=absent,
        )

    def write(self, rows: Sequence[int], post: Logits, mention: Logits, *, early: bool = False) -> None:
        """Takes down a batch: *post* (batch, WIDTH) and *mention* (batch, markers or more, 4) of the posts *rows*."""
        self.post[rows] = post
        self.early[rows] = early
        for place, row in enumerate(rows):
            first, end = self.starts[row], self.starts[row + 1]
            self.mention[first:end] = mention[place, : end - first]

    def doubtful(self, manifest: HeadsManifest) -> list[int]:
        """Posts of whose sentiment, or of whose sentiment towards a target, the early heads are not sure."""
        unsure = _likeliest(self._of_posts(manifest, POST_HEADS[0])) < manifest.exit_confidence["sentiment"]
        targets = _likeliest(self._towards_targets(manifest)[0]) < manifest.exit_confidence["target"]
        unsure[self.posts[targets & ~self.absent]] = True
        return [int(row) for row in np.flatnonzero(unsure & self.early)]

    def scores(self, manifest: HeadsManifest, hurried: Iterable[int] = ()) -> Scores:
        heads = {head.name: self._of_posts(manifest, head) for head in POST_HEADS}
        target, seen = self._towards_targets(manifest)
        whole = heads["sentiment"][self.posts]  # (m, 3)
        target[~seen] = np.concatenate([whole, np.zeros((len(whole), 1), dtype=np.float32)], axis=1)[~seen]
        return Scores(heads, as_absent(target, self.absent), frozenset(hurried))

    def _of_posts(self, manifest: HeadsManifest, head: Head) -> Probabilities:
        at = sum(len(other.labels) for other in POST_HEADS[: POST_HEADS.index(head)])
        scaled = self.post[:, at : at + len(head.labels)] / _temperatures(manifest, head.name, self.early)
        return softmax(scaled).astype(np.float32) if head.kind == "one" else sigmoid(scaled)

    def _towards_targets(self, manifest: HeadsManifest) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
        """(m, 4), and whether any marker of the target is left: without one the row says nothing."""
        total = np.zeros((len(self.posts), len(TARGET)), dtype=np.float32)
        np.add.at(total, self.targets, self.mention)
        markers = np.bincount(self.targets, minlength=len(self.posts))[:, None]
        scaled = total / np.maximum(markers, 1) / _temperatures(manifest, "target", self.early[self.posts])
        return softmax(scaled).astype(np.float32), markers[:, 0] > 0


def as_absent(target: Probabilities, absent: npt.NDArray[np.bool_]) -> Probabilities:
    """*target* (m, 4) with the rule for targets that their post does not name applied to the rows *absent* (m,)."""
    target = target.copy()
    target[absent, IRRELEVANT] = 0.0
    target[absent] *= (1.0 - ABSENT) / np.maximum(target[absent].sum(axis=1, keepdims=True), 1e-12)
    target[absent, IRRELEVANT] = ABSENT
    return target


def sigmoid(logits: Logits) -> Probabilities:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), dtype=np.float32)


def joined(parts: Sequence[Scores]) -> Scores:
    """Several calls' answers as one; *parts* holds at least one."""
    if len(parts) == 1:
        return parts[0]
    hurried: list[int] = []
    posts = 0
    for part in parts:
        hurried += [posts + row for row in part.hurried]
        posts += len(part.heads["sentiment"])
    heads = {name: np.concatenate([part.heads[name] for part in parts]) for name in parts[0].heads}
    return Scores(heads, np.concatenate([part.target for part in parts]), frozenset(hurried))


def _temperatures(manifest: HeadsManifest, head: str, early: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """(n, 1)"""
    late, first = manifest.temperature(head), manifest.temperature(EARLY + head)
    return np.where(early, first, late).astype(np.float32)[:, None]


def _likeliest(probabilities: Probabilities) -> npt.NDArray[np.float32]:
    return np.asarray(probabilities.max(axis=1, initial=0.0))
