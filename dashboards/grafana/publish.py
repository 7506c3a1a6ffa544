"""Dashboards into a running Grafana, over its HTTP API. Safe to repeat: what stands there already is left alone."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from grafana_api.grafana_api import GrafanaClientError, GrafanaServerError, GrafanaUnauthorizedError
from grafana_api.grafana_face import GrafanaFace

from brandpulse.errors import BrandpulseError, ConfigError, TransientError

FOLDER_UID = "brandpulse"
ABSENT = frozenset({403, 404})
"""A service account is told 403, not 404, of a folder that does not exist (seen on Grafana 10.0): whether it may
really not, the write that follows shows."""
Outcome = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Published:
    """Where one dashboard stands now."""

    title: str
    url: str
    outcome: Outcome


class Publisher:
    """Writes the folder and the dashboards of one Grafana.

    Raises ConfigError for a refused token or a wrong address, TransientError when Grafana is down, BrandpulseError
    with Grafana's own words for all else.
    """

    def __init__(self, url: str, token: str, *, user: str | None = None, timeout_seconds: float = 10.0) -> None:
        parts = urlsplit(url)
        path = parts.path.strip("/")
        self._url = url.rstrip("/")
        self._user = user
        self._grafana = GrafanaFace(
            auth=token if user is None else (user, token),
            host=parts.hostname or "",
            port=parts.port,
            protocol=parts.scheme,
            url_path_prefix=f"{path}/" if path else "",
            timeout=timeout_seconds,
        )

    def publish(self, dashboards: Mapping[str, dict[str, Any]], *, folder: str) -> list[Published]:
        """Folder *folder* with all *dashboards* in it, by uid."""
        with self._plain_errors():
            self._ensure_folder(folder)
            return [self._publish_one(uid, content) for uid, content in dashboards.items()]

    def _ensure_folder(self, title: str) -> None:
        try:
            present = self._grafana.folder.get_folder(FOLDER_UID)
        except GrafanaClientError as error:
            if error.status_code not in ABSENT:
                raise
            self._grafana.folder.create_folder(title, FOLDER_UID)
            return
        if present["title"] != title:
            self._grafana.folder.update_folder(FOLDER_UID, title, overwrite=True)

    def _publish_one(self, uid: str, content: dict[str, Any]) -> Published:
        present = self._present(uid)
        outcome: Outcome = "created" if present is None else "updated"
        if present is not None and _same(present, content):
            url = str(present["meta"]["url"])
            outcome = "unchanged"
        else:
            answer = self._grafana.dashboard.update_dashboard(
                {
                    "dashboard": content | {"id": None},
                    "folderUid": FOLDER_UID,
                    "overwrite": True,
                    "message": "brandpulse dashboards publish",
                }
            )
            url = str(answer["url"])
        return Published(title=content["title"], url=self._host() + url, outcome=outcome)

    def _present(self, uid: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._grafana.dashboard.get_dashboard(uid)
        except GrafanaClientError as error:
            if error.status_code in ABSENT:
                return None
            raise
        return found

    def _host(self) -> str:
        """Grafana's own addresses of dashboards already hold the path it is served under."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    @contextlib.contextmanager
    def _plain_errors(self) -> Iterator[None]:
        secret = "BRANDPULSE_GRAFANA_TOKEN" if self._user is None else "BRANDPULSE_GRAFANA_USER and _TOKEN"
        try:
            yield
        except GrafanaUnauthorizedError as error:
            raise ConfigError(
                f"Grafana at {self._url} does not accept {secret}. Make a service account with the role Editor there, "
                "and set BRANDPULSE_GRAFANA_TOKEN to its token"
            ) from error
        except GrafanaServerError as error:
            raise TransientError(f"Grafana at {self._url} fails: {error.message}") from error
        except GrafanaClientError as error:
            if error.status_code == 403:
                raise ConfigError(
                    f"{secret} may not write to Grafana at {self._url}: {error.message}. It needs the role Editor"
                ) from error
            if error.status_code in {404, 405}:
                raise self._no_grafana() from error
            raise BrandpulseError(f"Grafana at {self._url} refuses the dashboards: {error.message}") from error
        except ValueError as error:  # requests' JSONDecodeError: something answered, but no Grafana
            raise self._no_grafana() from error
        except OSError as error:  # all of requests' connection errors
            raise TransientError(f"no Grafana answers at BRANDPULSE_GRAFANA_URL={self._url}: {error}") from error

    def _no_grafana(self) -> ConfigError:
        return ConfigError(
            f"what answers at BRANDPULSE_GRAFANA_URL={self._url} is no Grafana. Name its root, "
            "for example http://127.0.0.1:3000 or https://ops.example.com/grafana"
        )


def _same(present: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Whether Grafana holds *content* already, in our folder. It adds an id and counts versions."""
    own = {name: value for name, value in present["dashboard"].items() if name not in {"id", "version"}}
    wanted = {name: value for name, value in content.items() if name not in {"id", "version"}}
    return own == wanted and present["meta"].get("folderUid") == FOLDER_UID
