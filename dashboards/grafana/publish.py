"""Publishes dashboards to a running Grafana over its HTTP API. Idempotent: unchanged dashboards are not written."""

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
"""For a missing folder Grafana 10.0 returns 403, not 404, to a service account. If access is really denied, the
following write fails."""
Outcome = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Published:
    """The result for one dashboard."""

    title: str
    url: str
    outcome: Outcome


class Publisher:
    """Writes the folder and the dashboards to one Grafana.

    Raises ConfigError for a rejected token or a wrong address, TransientError when Grafana is down, BrandpulseError
    with Grafana's message for any other error.
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
        """Publish all *dashboards* (uid -> content) in the folder titled *folder*."""
        with self._translated_errors():
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
            response = self._grafana.dashboard.update_dashboard(
                {
                    "dashboard": content | {"id": None},
                    "folderUid": FOLDER_UID,
                    "overwrite": True,
                    "message": "brandpulse dashboards publish",
                }
            )
            url = str(response["url"])
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
        """Scheme and host only: Grafana's dashboard URLs already include its path prefix."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        secret = "BRANDPULSE_GRAFANA_TOKEN" if self._user is None else "BRANDPULSE_GRAFANA_USER and _TOKEN"
        try:
            yield
        except GrafanaUnauthorizedError as error:
            raise ConfigError(
                f"Grafana at {self._url} rejected {secret}. Create a service account with the role Editor in Grafana "
                "and set BRANDPULSE_GRAFANA_TOKEN to its token"
            ) from error
        except GrafanaServerError as error:
            raise TransientError(f"Grafana at {self._url} returned a server error: {error.message}") from error
        except GrafanaClientError as error:
            if error.status_code == 403:
                raise ConfigError(
                    f"{secret} cannot write to Grafana at {self._url}: {error.message}. It needs the role Editor"
                ) from error
            if error.status_code in {404, 405}:
                raise self._no_grafana() from error
            raise BrandpulseError(f"Grafana at {self._url} rejected the dashboards: {error.message}") from error
        except ValueError as error:  # requests' JSONDecodeError: another server answered, not Grafana
            raise self._no_grafana() from error
        except OSError as error:  # includes all connection errors of requests
            raise TransientError(f"Grafana is unreachable at BRANDPULSE_GRAFANA_URL={self._url}: {error}") from error

    def _no_grafana(self) -> ConfigError:
        return ConfigError(
            f"the server at BRANDPULSE_GRAFANA_URL={self._url} is not Grafana. Set it to Grafana's root URL, "
            "for example http://127.0.0.1:3000 or https://ops.example.com/grafana"
        )


def _same(present: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Whether Grafana already has *content* in the brandpulse folder, ignoring its id and version."""
    stored = {name: value for name, value in present["dashboard"].items() if name not in {"id", "version"}}
    built = {name: value for name, value in content.items() if name not in {"id", "version"}}
    return stored == built and present["meta"].get("folderUid") == FOLDER_UID
