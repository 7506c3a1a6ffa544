"""Access to Redis: which users can log in, how errors name the setting, and what each service's user may do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from brandpulse.config.settings import Settings, load_settings
from brandpulse.devstack.embedded_servers import EmbeddedStore
from brandpulse.errors import BrandpulseError, ConfigError, TransientError
from brandpulse.ops.doctor.redis_checks import check_store
from brandpulse.redis.address import RedisAddress, parse_address, without_password
from brandpulse.redis.client import check_connection, connect
from brandpulse.state.pane_reader import PaneReader
from tests.support.certificates import ONE_DAY, Authority
from tests.support.secured_servers import SERVICES, SecuredRedis, acl_file, password_of

needs_tls = pytest.mark.needs_redis_tls


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SecuredRedis]:
    folder = tmp_path_factory.mktemp("secured-redis")
    server = SecuredRedis(folder, authority, users=acl_file(folder, "main", "posts"))
    yield server
    server.stop()


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    def load(env: dict[str, str]) -> Settings:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return load_settings(Settings)

    return load


@needs_tls
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PASSWORD": "wr0ng-s3cr3t"}, "BRANDPULSE_REDIS_PASSWORD"),
        ({"USERNAME": "unknown"}, "BRANDPULSE_REDIS_USERNAME"),
        ({"USERNAME": "", "PASSWORD": ""}, "BRANDPULSE_REDIS_PASSWORD"),
        ({"CA_FILE": "other"}, "BRANDPULSE_REDIS_CA_FILE"),
        ({"CA_FILE": ""}, "BRANDPULSE_REDIS_CA_FILE"),
    ],
)
def test_refused_login_names_the_setting_but_not_the_secret(
    server: SecuredRedis, other_authority: Authority, settings_of: Any, changes: dict[str, str], expected: str
) -> None:
    found = {name: str(other_authority.file) if value == "other" else value for name, value in changes.items()}
    settings = settings_of(server.env("worker") | {f"BRANDPULSE_REDIS_{name}": value for name, value in found.items()})
    with pytest.raises(ConfigError) as caught:
        check_connection(connect(settings.redis_address(), retries=0))
    [finding] = check_store(settings)
    for text in (str(caught.value), finding.remedy):
        assert expected in text
        assert "s3cr3t" not in text


@needs_tls
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [({"valid_until": -ONE_DAY}, "certificate has expired"), ({"host": "elsewhere.example"}, "for another host")],
)
def test_expired_or_foreign_certificate_is_named_as_such(
    tmp_path: Path, authority: Authority, settings_of: Any, wrong: dict[str, Any], expected: str
) -> None:
    pair = authority.issue("other-redis", **wrong)
    server = SecuredRedis(tmp_path, authority, users=acl_file(tmp_path, "main", "posts"), server=pair)
    try:
        with pytest.raises(ConfigError, match=expected):
            check_connection(connect(settings_of(server.env("worker")).redis_address(), retries=0))
    finally:
        server.stop()


@needs_tls
def test_required_client_certificate_is_sent(tmp_path: Path, authority: Authority, settings_of: Any) -> None:
    users = acl_file(tmp_path, "main", "posts")
    server = SecuredRedis(tmp_path, authority, users=users, wants_certificate=True)
    client_pair = authority.issue("our-client")
    try:
        with pytest.raises(ConfigError, match="BRANDPULSE_REDIS_CERT_FILE"):
            check_connection(connect(settings_of(server.env("worker")).redis_address(), retries=0))
        files = {"BRANDPULSE_REDIS_CERT_FILE": str(client_pair.cert), "BRANDPULSE_REDIS_KEY_FILE": str(client_pair.key)}
        client = connect(settings_of(server.env("worker") | files).redis_address())
        check_connection(client)
        assert client.smembers("{main}:brands") == set()
    finally:
        server.stop()


OTHERS = ("{other:posts:0}:state", "elsewhere")
WRITES = {
    "worker": {
        "{main:posts:0}:state": True,
        "{main}:brands": True,
        "{main}:live": False,
        "{main:alerting}:episodes": False,
        "{main:erasure}:posts": False,
    },
    "alerter": {"{main:posts:0}:state": False, "{main}:brands": False, "{main:alerting}:episodes": True},
    "page": {
        "{main:posts:0}:state": False,
        "{main:alerting}:episodes": False,
        "{main:alerting}:silences": True,
        "{main:alerting}:acknowledgements": True,
    },
    "ingest": {
        "{main:posts:sent}:about": True,
        "{main:posts:0}:state": False,
        "{main}:partitions": False,
        "{main:posts:0}:h:1:Acme": False,
        "{main:alerting}:silences": False,
    },
    "operator": {"{main:posts:0}:state": True, "{main:alerting}:silences": True},
}
READS = {
    "worker": {"{main:posts:0}:state": True, "{main:alerting}:evaluated_until": True, "{main:alerting}:outbox": False},
    "alerter": {"{main:posts:0}:state": True, "{main:alerting}:episodes": True, "{main}:brands": True},
    "page": {"{main:posts:0}:state": True, "{main:alerting}:episodes": True, "{main}:brands": True},
    "ingest": {
        "{main:posts:0}:state": True,
        "{main:posts:0}:logs": True,
        "{main:posts:0}:ids:3": True,
        "{main}:partitions": True,
        # Deletions of the platforms remove stored texts.
        "{main:posts:0}:neg:Acme": True,
        "{main:posts:0}:m:1:Acme": False,
    },
    "operator": {"{main:posts:0}:state": True},
}
FORBIDDEN_COMMANDS = (
    ("FLUSHALL",),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("CONFIG", "SET", "maxmemory", "0"),
    ("ACL", "LIST"),
    ("SCRIPT", "FLUSH"),
    ("SHUTDOWN",),
)


class OnEach:
    """The same rules hold on Redis and on Valkey."""

    @pytest.fixture(params=[pytest.param("redis with TLS", marks=needs_tls), "valkey"])
    def client_of(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        if request.param == "valkey":
            folder = tmp_path_factory.mktemp("valkey-acl")
            store = EmbeddedStore(folder)
            with redis.Redis.from_url(store.url) as admin:
                for line in acl_file(folder, "main", "posts").read_text().splitlines():
                    _, name, *rules = line.split()
                    if name != "default":
                        admin.execute_command("ACL", "SETUSER", name, *rules)
            yield lambda service: connect(
                RedisAddress(store.url, {"username": f"brandpulse-{service}", "password": password_of(service)})
            )
            store.stop()
        else:
            server = request.getfixturevalue("server")
            yield lambda service: connect(server.address(service))


class TestRights(OnEach):
    def test_each_user_reads_and_writes_only_keys_of_its_service(self, client_of: Any) -> None:
        for service in SERVICES:
            client = client_of(service)
            for key, may in (WRITES[service] | dict.fromkeys(OTHERS, False)).items():
                assert allowed(client, "HSET", key, "f", "1") == may, f"{service} writes {key}"
            for key, may in (READS[service] | dict.fromkeys(OTHERS, False)).items():
                assert allowed(client, "TYPE", key) == may, f"{service} reads {key}"
            for command in FORBIDDEN_COMMANDS:
                if service == "operator" and command[0] == "SCAN":
                    continue
                assert not allowed(client, *command), f"{service}: {command}"

    def test_forbidden_key_names_the_user_setting_and_the_acl_file(self, client_of: Any) -> None:
        with pytest.raises(TransientError, match=r"deploy/redis-users\.acl") as caught:
            PaneReader(client_of("worker"), "other").partitions()
        assert "BRANDPULSE_REDIS_USERNAME" in str(caught.value)


def allowed(client: redis.Redis, *command: str) -> bool:
    """Whether *command* is allowed, even if it fails for another reason than a missing right."""
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError:
        return False
    except redis.ResponseError:
        return True
    return True


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", ("", False, (("h", 6379),), None, None, "", 0)),
        ("redis://h:1/2", ("", False, (("h", 1),), None, None, "", 2)),
        ("rediss://u:p%40q@h:1/0", ("", True, (("h", 1),), "u", "p@q", "", 0)),
        ("redis://:p@h:1", ("", False, (("h", 1),), None, "p", "", 0)),
        ("redis+cluster://a:1,b:2", ("cluster", False, (("a", 1), ("b", 2)), None, None, "", 0)),
        ("rediss+sentinel://u:p@a,b:2/main/3", ("sentinel", True, (("a", 26379), ("b", 2)), "u", "p", "main", 3)),
        ("redis://[::1]:7/0", ("", False, (("::1", 7),), None, None, "", 0)),
    ],
)
def test_address_is_one_server_a_cluster_or_sentinels(url: str, expected: tuple[object, ...]) -> None:
    place = parse_address(url)
    assert (place.kind, place.tls, place.hosts, place.user, place.password, place.service, place.db) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:1",
        "http://h",
        "redis://h:x",
        "redis://:s3cr3t@h:x",
        "redis+cluster://h/3",
        "redis+sentinel://h",
        "redis://h?db=1",
    ],
)
def test_invalid_address_shows_examples_but_not_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="BRANDPULSE_REDIS_URL") as caught:
        parse_address(url)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"USERNAME": "u"}, ["USERNAME", "PASSWORD"]),
        ({"CERT_FILE": __file__}, ["CERT_FILE", "KEY_FILE"]),
        ({"URL": "redis://h", "CA_FILE": __file__}, ["CA_FILE", "rediss://"]),
        ({"URL": "nonsense"}, ["URL", "redis+cluster"]),
    ],
)
def test_contradicting_settings_stop_the_start(settings_of: Any, wrong: dict[str, str], names: list[str]) -> None:
    with pytest.raises(BrandpulseError) as caught:
        settings_of({f"BRANDPULSE_REDIS_{name}": value for name, value in wrong.items()})
    for name in names:
        assert name in str(caught.value)


def test_shown_address_holds_no_password() -> None:
    address = RedisAddress("redis://u:s3cr3t@h:1/0", {"password": "s3cr3t"})
    assert "s3cr3t" not in f"{address!r} {without_password(address)}"
