"""From decisions to deliveries: who is told of what, and when."""

from collections.abc import Sequence
from urllib.parse import quote

from alerting.episode import Decision
from alerting.routing import Route, route, routes_of_rule
from alerting.rules import RuleSet
from alerting.stretch import Decided, Stretch


class Teller:
    """Takes the decisions of a minute into a stretch, with the deliveries that they ask for."""

    def __init__(self, routes: Sequence[Route], *, link: str | None = None) -> None:
        self._routes = routes
        self._link = link

    def take(self, stretch: Stretch, decided: Sequence[Decided], *, rules: RuleSet, now_ms: int) -> None:
        """*decided*: all that one event-time minute brought, in order."""
        for one in decided:
            before = stretch.open.get(one.place)
            decision, deliveries = route(
                one.decision,
                told_before=before.memory.told if before is not None else (),
                routes=routes_of_rule(rules.named(one.rule), self._routes),
                now_ms=now_ms,
                link=link_for(self._link, one.decision),
            )
            stretch.apply(Decided(one.brand, one.rule, decision), deliveries)


def link_for(template: str | None, decision: Decision) -> str | None:
    """*template* with `{brand}` and `{at}` (ms) filled in."""
    episode = decision.closed or (decision.after.episode if decision.after is not None else None)
    if template is None or episode is None:
        return None
    at = int(episode.latest.window_end.timestamp() * 1_000)
    return template.replace("{brand}", quote(episode.brand, safe="")).replace("{at}", str(at))
