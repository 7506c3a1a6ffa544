"""Scores that the model may still be computing: the model thread starts a call, the storing thread waits for it.

The storing thread also converts the scores, so that the model thread can start the next call.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

from model.inference.scorer import Scores
from model.inputs.target_marking import MarkedText
from stream_workers.scoring.post_scores import ScoreResult, score_results


class PendingScores(ABC):
    """The scores of the posts of one call to the model."""

    def __init__(self, posts: int, started: float | None = None) -> None:
        self.posts = posts
        self.started = time.perf_counter() if started is None else started
        """`time.perf_counter()` when the call started."""

    @abstractmethod
    def wait(self) -> None:
        """Returns when the model has finished the call."""

    @abstractmethod
    def _convert(self) -> list[ScoreResult]:
        """The results of a finished call."""

    @cached_property
    def results(self) -> list[ScoreResult]:
        """One for each post, in order. Waits for the model if necessary."""
        self.wait()
        return self._convert()


class KnownScores(PendingScores):
    """Results that need no model."""

    def __init__(self, results: Callable[[], list[ScoreResult]], *, posts: int, started: float | None = None) -> None:
        super().__init__(posts, started)
        self._known_results = results

    def wait(self) -> None:
        """Returns at once."""

    def _convert(self) -> list[ScoreResult]:
        return self._known_results()


class ModelScores(PendingScores):
    """A call to the model. If it fails, its posts are scored again in halves."""

    def __init__(
        self,
        posts: Sequence[MarkedText],
        scores: Callable[[], Scores],
        *,
        started: float,
        on_scores: Callable[[Scores], None],
        retry: Callable[[Sequence[MarkedText], Exception], PendingScores],
    ) -> None:
        """*scores* waits for the call; *retry* starts new calls for the posts after an exception."""
        super().__init__(len(posts), started)
        self._marked = posts
        self._scores = scores
        self._on_scores = on_scores
        self._retry = retry

    @cached_property
    def _finished(self) -> Scores | PendingScores:
        try:
            scores = self._scores()
        except MemoryError:
            raise
        except Exception as error:
            retried = self._retry(self._marked, error)
            retried.wait()
            return retried
        self._on_scores(scores)
        return scores

    def wait(self) -> None:
        _ = self._finished

    def _convert(self) -> list[ScoreResult]:
        finished = self._finished
        return finished.results if isinstance(finished, PendingScores) else score_results(finished, self._marked)


class SplitScores(PendingScores):
    """Two calls for the halves of a failed one."""

    def __init__(self, first: PendingScores, second: PendingScores) -> None:
        super().__init__(first.posts + second.posts, first.started)
        self._halves = first, second

    def wait(self) -> None:
        for half in self._halves:
            half.wait()

    def _convert(self) -> list[ScoreResult]:
        first, second = self._halves
        return [*first.results, *second.results]
