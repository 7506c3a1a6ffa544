"""Real servers with access control: Apache Kafka with TLS, SCRAM users and its ACLs; Redis with TLS and an ACL file."""

import shutil
from pathlib import Path

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from brandpulse.redis.address import RedisAddress
from brandpulse.runtime.child_process import Child, free_port
from tests.support.certificates import ONE_DAY, Authority, Pair
from tests.support.kafka_broker import ApacheKafka
from tests.support.repository import ROOT

SERVICES = ("worker", "alerter", "page", "ingest", "operator")
ACL_FILE = ROOT / "deploy" / "redis-users.acl"


def password_of(service: str) -> str:
    """Unusual on purpose, so that no log line contains it by chance."""
    return f"{service}-s3cr3t-7Qz9"


class SecuredKafka:
    """One node. `admin` is a plaintext listener without access control; the other listeners require a login."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._authority = authority
        server = _pem(folder, "server", authority.issue("kafka"))
        expired = _pem(folder, "expired-server", authority.issue("expired-kafka", valid_until=-ONE_DAY))
        elsewhere = _pem(folder, "elsewhere", authority.issue("elsewhere", host="elsewhere.example"))
        listeners = ("PLAINTEXT", "CONTROLLER", "SCRAM", "PLAIN", "MUTUAL", "EXPIRED", "ELSEWHERE")
        ports = {name: free_port() for name in listeners}
        sasl = "org.apache.kafka.common.security"
        users = " ".join(f'user_brandpulse-{name}="{password_of(name)}"' for name in SERVICES)
        self._node = ApacheKafka(
            folder,
            {
                "port": ports["PLAINTEXT"],
                "controller.quorum.voters": f"1@127.0.0.1:{ports['CONTROLLER']}",
                "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
                "advertised.listeners": ",".join(
                    f"{name}://127.0.0.1:{port}" for name, port in ports.items() if name != "CONTROLLER"
                ),
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,"
                "PLAIN:SASL_SSL,MUTUAL:SSL,EXPIRED:SASL_SSL,ELSEWHERE:SASL_SSL",
                "inter.broker.listener.name": "PLAINTEXT",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.scram.scram-sha-512.sasl.jaas.config": f"{sasl}.scram.ScramLoginModule required;",
                "listener.name.expired.scram-sha-512.sasl.jaas.config": f"{sasl}.scram.ScramLoginModule required;",
                "listener.name.plain.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.plain.plain.sasl.jaas.config": f"{sasl}.plain.PlainLoginModule required {users};",
                "listener.name.mutual.ssl.client.auth": "required",
                "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=(.*?)$/$1/,DEFAULT",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": server,
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": authority.file,
                "listener.name.elsewhere.scram-sha-512.sasl.jaas.config": f"{sasl}.scram.ScramLoginModule required;",
                "listener.name.elsewhere.ssl.keystore.type": "PEM",
                "listener.name.elsewhere.ssl.keystore.location": elsewhere,
                "listener.name.expired.ssl.keystore.type": "PEM",
                "listener.name.expired.ssl.keystore.location": expired,
            },
        )
        self.admin = self._node.bootstrap_servers
        self.listeners = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self._create_users()

    def _create_users(self) -> None:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4_096)
        wanted = [
            UserScramCredentialUpsertion(f"brandpulse-{name}", info, password_of(name).encode()) for name in SERVICES
        ]
        admin = AdminClient({"bootstrap.servers": self.admin})
        for future in admin.alter_user_scram_credentials(wanted).values():
            future.result()

    def env(self, service: str, listener: str = "SCRAM") -> dict[str, str]:
        """The settings of a service that connects to *listener* as its own user."""
        common = {
            "BRANDPULSE_KAFKA_BOOTSTRAP_SERVERS": self.listeners[listener],
            "BRANDPULSE_KAFKA_CA_FILE": str(self._authority.file),
        }
        if listener == "MUTUAL":
            pair = self._authority.issue(f"brandpulse-{service}")
            return common | {
                "BRANDPULSE_KAFKA_SECURITY_PROTOCOL": "SSL",
                "BRANDPULSE_KAFKA_CERT_FILE": str(pair.cert),
                "BRANDPULSE_KAFKA_KEY_FILE": str(pair.key),
            }
        return common | {
            "BRANDPULSE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "BRANDPULSE_KAFKA_SASL_MECHANISM": "PLAIN" if listener == "PLAIN" else "SCRAM-SHA-512",
            "BRANDPULSE_KAFKA_USERNAME": f"brandpulse-{service}",
            "BRANDPULSE_KAFKA_PASSWORD": password_of(service),
        }

    def stop(self) -> None:
        self._node.stop()


def acl_file(folder: Path, namespace: str, posts_topic: str) -> Path:
    """The shipped ACL file with this namespace, topic and these passwords in it."""
    text = ACL_FILE.read_text().replace("{main:posts:", f"{{{namespace}:{posts_topic}:")
    text = text.replace("{main", f"{{{namespace}")
    for name in SERVICES:
        text = text.replace(f">{name.upper()}_PASSWORD", f">{password_of(name)}")
    # The tests look at what the services left behind.
    path = folder / "users.acl"
    path.write_text(f"{text}user test on >{password_of('test')} ~* +@all\n")
    return path


class SecuredRedis:
    """Debian's redis-server, since the wheel's Valkey is built without TLS. Every client needs a user."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        *,
        users: Path,
        server: Pair | None = None,
        wants_certificate: bool = False,
    ) -> None:
        self._authority = authority
        binary = shutil.which("redis-server")
        assert binary is not None
        pair = server or authority.issue("redis")
        self.port = free_port()
        data = folder / "redis"
        data.mkdir(parents=True)
        settings = {
            "bind": "127.0.0.1",
            "port": 0,
            "tls-port": self.port,
            "tls-cert-file": pair.cert,
            "tls-key-file": pair.key,
            "tls-ca-cert-file": authority.file,
            "tls-auth-clients": "yes" if wants_certificate else "no",
            "aclfile": users,
            "dir": data,
            "appendonly": "yes",
            "save": '""',
        }
        config = folder / "redis.conf"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self.url = f"rediss://127.0.0.1:{self.port}/0"
        self.child = Child("redis", [binary, str(config)], log=folder / "redis.log")
        self.child.wait_ready(lambda: "Ready to accept connections" in self.child.log_tail())

    def address(self, service: str) -> RedisAddress:
        options = {
            "username": service if service == "test" else f"brandpulse-{service}",
            "password": password_of(service),
            "ssl_ca_certs": str(self._authority.file),
        }
        return RedisAddress(self.url, options)

    def env(self, service: str) -> dict[str, str]:
        return {
            "BRANDPULSE_REDIS_URL": self.url,
            "BRANDPULSE_REDIS_USERNAME": f"brandpulse-{service}",
            "BRANDPULSE_REDIS_PASSWORD": password_of(service),
            "BRANDPULSE_REDIS_CA_FILE": str(self._authority.file),
        }

    def stop(self) -> None:
        self.child.stop(grace_seconds=5)


def _pem(folder: Path, name: str, pair: Pair) -> Path:
    """Key and certificate in one file, as Kafka wants its keystore."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.keystore.pem"
    path.write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    return path
