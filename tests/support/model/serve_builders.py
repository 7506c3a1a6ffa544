"""Working scorers, and a service with real HTTP around them."""

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
import uvicorn

from model.inference.adapters import ClassifierScorer
from model.inference.keyword_classifier import KeywordClassifier
from model.inference.scorer import Probabilities, Scorer, Scores
from model.inputs.target_marking import MarkedText
from model.serve.app import application
from model.serve.request_guard import GuardRules
from model.serve.service import Service
from model.spec.heads import HEADS
from tests.support.patience import patience

POISON = "poison"


@dataclass
class WatchedScorer:
    """The keyword engine; records each call, blocks while *gate* is closed, and raises on `poison`."""

    inner: Scorer = field(default_factory=lambda: ClassifierScorer(KeywordClassifier()))
    calls: list[list[str]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def version(self) -> str:
        return self.inner.version

    @property
    def heads(self) -> tuple[str, ...]:
        return self.inner.heads

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        self.calls.append([post.text for post in posts])
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.gate.wait(patience(20))
        if any(POISON in post.text for post in posts):
            raise ValueError("the tokenizer choked")
        return self.inner.score(posts)


class AllHeadsScorer:
    """All heads; the probability of the first label is the first number in the text, as in `0.7 text`, else 0.5."""

    name = "all heads"
    version = "all-heads-1"
    heads = tuple(head.name for head in HEADS)

    def score(self, posts: Sequence[MarkedText]) -> Scores:
        numbers = [re.search(r"0\.\d", post.text) for post in posts]
        shares = np.array([float(found.group()) if found else 0.5 for found in numbers], dtype=np.float32)
        tables: dict[str, Probabilities] = {}
        for head in HEADS:
            if head.reads == "mention":
                continue
            rest = (1 - shares) / max(1, len(head.labels) - 1)
            table = np.repeat((rest if head.kind == "one" else 1 - shares)[:, None], len(head.labels), axis=1)
            table[:, 0] = shares
            tables[head.name] = np.asarray(table, dtype=np.float32)
        targets = sum(post.targets for post in posts)
        return Scores(tables, np.tile(np.array([[0.1, 0.2, 0.6, 0.1]], dtype=np.float32), (targets, 1)))


@contextlib.contextmanager
def serving(service: Service, rules: GuardRules | None = None) -> Iterator[httpx.Client]:
    """A client of *service* over a real socket."""
    config = uvicorn.Config(application(service, rules or GuardRules()), port=0, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="serving")
    thread.start()
    try:
        until = time.monotonic() + patience(10)
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=patience(20), trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(patience(20))


@contextlib.contextmanager
def serving_keywords(**changes: object) -> Iterator[httpx.Client]:
    with serving(Service(scorer=WatchedScorer(), **changes)) as client:  # type: ignore[arg-type]
        yield client
