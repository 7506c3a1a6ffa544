"""Links to the page or dashboard at the time of an episode."""

from urllib.parse import quote

from brandpulse.schema.episodes import Episode


def link_for(template: str | None, episode: Episode | None) -> str | None:
    """*template* with `{brand}` and `{at}` (ms) filled in."""
    if template is None or episode is None:
        return None
    at = int(episode.latest.window_end.timestamp() * 1_000)
    return template.replace("{brand}", quote(episode.brand, safe="")).replace("{at}", str(at))
