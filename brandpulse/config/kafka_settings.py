"""How every Kafka client of ours is let in (addresses, TLS, user), and which setting a refusal is about."""

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings

from brandpulse.errors import BrandpulseError, ConfigError, TransientError

PROBE_SECONDS = 6.0
_TELLING = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)
FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
}
ACLS = "`brandpulse kafka acls` prints what each service needs (docs/reference/access-rights.md)"


class KafkaServers(str):
    """`host:port,...`, with what a client needs to be let in. Printed, it is the addresses alone: safe to log."""

    client: Mapping[str, Any]
    """Settings of librdkafka; holds secrets."""

    def __new__(cls, addresses: str, client: Mapping[str, Any] | None = None) -> Self:
        servers = super().__new__(cls, addresses)
        servers.client = dict(client or {})
        return servers


def access_of(bootstrap_servers: str) -> Mapping[str, Any]:
    """What a client at *bootstrap_servers* sets to be let in; nothing for a plain string."""
    return bootstrap_servers.client if isinstance(bootstrap_servers, KafkaServers) else {}


class KafkaAccess(BaseSettings):
    """The part of `Settings` about reaching Kafka. Without a user and TLS, the defaults are for loopback only."""

    kafka_bootstrap_servers: str | None = Field(default=None, min_length=3, examples=["127.0.0.1:9092"])
    """Unset: whatever `up` started under `home`; what follows is then left aside."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", examples=["SASL_SSL"]
    )
    """As Kafka calls it: SSL is TLS, SASL is a user with a password."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", examples=["SCRAM-SHA-512"]
    )
    """PLAIN over TLS only: it sends the password itself."""
    kafka_username: str | None = Field(default=None, min_length=1, examples=["brandpulse-worker"])
    kafka_password: SecretStr | None = Field(default=None, min_length=1, examples=["the user's password"])
    kafka_ca_file: FilePath | None = Field(default=None, examples=["/etc/brandpulse/kafka-ca.pem"])
    """The CA that signed the brokers' certificates, PEM. Unset: those the system trusts."""
    kafka_cert_file: FilePath | None = Field(default=None, examples=["/etc/brandpulse/kafka-client.pem"])
    """Our own certificate, PEM, where brokers ask for one."""
    kafka_key_file: FilePath | None = Field(default=None, examples=["/etc/brandpulse/kafka-client.key"])
    kafka_key_password: SecretStr | None = Field(default=None, min_length=1, examples=["the key's password"])

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        protocol, prefix = self.kafka_security_protocol, "BRANDPULSE_KAFKA"
        user = self.kafka_username is not None and self.kafka_password is not None
        if protocol.startswith("SASL") and not user:
            raise ValueError(
                f"{prefix}_SECURITY_PROTOCOL={protocol} wants a user: set {prefix}_USERNAME and {prefix}_PASSWORD"
            )
        if not protocol.startswith("SASL") and (self.kafka_username or self.kafka_password):
            raise ValueError(
                f"{prefix}_USERNAME and {prefix}_PASSWORD are not sent with {prefix}_SECURITY_PROTOCOL={protocol}. "
                f"Right: {prefix}_SECURITY_PROTOCOL=SASL_SSL"
            )
        if protocol == "SASL_PLAINTEXT" and self.kafka_sasl_mechanism == "PLAIN":
            raise ValueError(
                f"{prefix}_SASL_MECHANISM=PLAIN would send the password in the clear with "
                f"{prefix}_SECURITY_PROTOCOL=SASL_PLAINTEXT. Right: SASL_SSL, or {prefix}_SASL_MECHANISM=SCRAM-SHA-512"
            )
        if not protocol.endswith("SSL") and (self.kafka_ca_file or self.kafka_cert_file):
            raise ValueError(
                f"{prefix}_CA_FILE and {prefix}_CERT_FILE are of no use with {prefix}_SECURITY_PROTOCOL={protocol}. "
                f"Right: {prefix}_SECURITY_PROTOCOL={'SASL_SSL' if user else 'SSL'}"
            )
        if (self.kafka_cert_file is None) != (self.kafka_key_file is None):
            raise ValueError(f"{prefix}_CERT_FILE and {prefix}_KEY_FILE go together: set both or neither")
        return self

    def kafka_client(self) -> dict[str, Any]:
        """librdkafka's settings. Holds secrets: do not log it."""
        if self.kafka_security_protocol == "PLAINTEXT":
            return {}
        files: dict[str, Path | None] = {
            "ssl.ca.location": self.kafka_ca_file,
            "ssl.certificate.location": self.kafka_cert_file,
            "ssl.key.location": self.kafka_key_file,
        }
        client: dict[str, Any] = {
            "security.protocol": self.kafka_security_protocol,
            **{name: str(path) for name, path in files.items() if path is not None},
        }
        if self.kafka_key_password is not None:
            client["ssl.key.password"] = self.kafka_key_password.get_secret_value()
        if self.kafka_username is not None and self.kafka_password is not None:
            client |= {
                "sasl.mechanism": self.kafka_sasl_mechanism,
                "sasl.username": self.kafka_username,
                "sasl.password": self.kafka_password.get_secret_value(),
            }
        return client


def explain(error: KafkaError) -> str:
    """What Kafka said, and whom to ask if it forbade something."""
    if error.code() in FORBIDDEN:
        return f"{error.str()}: this user lacks an ACL on a {FORBIDDEN[error.code()]}. {ACLS}"
    return str(error.str())


def kafka_fault(bootstrap_servers: str, error: KafkaException) -> BrandpulseError:
    """*error* in our words: ConfigError with the setting that mends it, TransientError where waiting may.

    librdkafka answers a call that was never let in with "transport failure" alone, so the broker is asked once more,
    for at most six seconds, what it has against us.
    """
    first = error.args[0]
    if first.code() in FORBIDDEN:
        user = access_of(bootstrap_servers).get("sasl.username", "this user")
        return ConfigError(
            f"Kafka forbids it to {user} (BRANDPULSE_KAFKA_USERNAME): {first.str()}; an ACL on a "
            f"{FORBIDDEN[first.code()]} is missing. {ACLS}"
        )
    said = _objections(bootstrap_servers)
    for objection in (first, *said):
        if (remedy := _remedy(bootstrap_servers, objection)) is not None:
            return ConfigError(f"Kafka at {bootstrap_servers} does not let us in: {objection.str()[:300]}. {remedy}")
    if any("PLAINTEXT broker" in objection.str() for objection in said) or _listens(bootstrap_servers):
        return TransientError(
            f"something listens at {bootstrap_servers} and does not answer us. If it is Kafka, neither starting nor "
            "overloaded, check BRANDPULSE_KAFKA_SECURITY_PROTOCOL against its listener: PLAINTEXT, SSL, SASL_PLAINTEXT "
            "or SASL_SSL"
        )
    return TransientError(f"no Kafka broker answers at {bootstrap_servers}: {first.str()}")


def _remedy(bootstrap_servers: str, error: KafkaError) -> str | None:
    """What mends what no waiting does; None for the rest."""
    text = error.str()
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        if "supported mechanisms" in text:
            return "Check BRANDPULSE_KAFKA_SASL_MECHANISM and BRANDPULSE_KAFKA_SECURITY_PROTOCOL against its listener"
        return "Check BRANDPULSE_KAFKA_USERNAME and BRANDPULSE_KAFKA_PASSWORD"
    if error.code() == KafkaError._SSL and "certificate verify failed" in text:
        return untrusted(_verdict(bootstrap_servers), ca_file="BRANDPULSE_KAFKA_CA_FILE")
    if error.code() == KafkaError._TRANSPORT and " alert " in text:
        return (
            "It wants to know us by a certificate: set BRANDPULSE_KAFKA_CERT_FILE and BRANDPULSE_KAFKA_KEY_FILE to one "
            "that it trusts and that has not expired"
        )
    if error.code() == KafkaError._SSL or (error.code() == KafkaError._INVALID_ARG and "ssl." in text):
        return "Check BRANDPULSE_KAFKA_CA_FILE, BRANDPULSE_KAFKA_CERT_FILE, BRANDPULSE_KAFKA_KEY_FILE and its password"
    return None


def untrusted(verdict: str, *, ca_file: str) -> str:
    """What to do about a server's certificate that OpenSSL judges so; *ca_file*: the setting that names our CA."""
    if "expired" in verdict or "not yet valid" in verdict:
        return f"The server's certificate is out of date ({verdict}): renew it, or look at both clocks"
    if "mismatch" in verdict:
        return f"The server's certificate is for another host ({verdict}): name it as its certificate does"
    return f"Set {ca_file} to the CA that signed the server's certificate ({verdict or 'it is not among the trusted'})"


def _verdict(bootstrap_servers: str) -> str:
    """What OpenSSL holds against a broker's certificate; librdkafka says only that there is something."""
    context = ssl.create_default_context(cafile=access_of(bootstrap_servers).get("ssl.ca.location"))
    for host, port in _addresses(bootstrap_servers):
        try:
            with (
                socket.create_connection((host, port), timeout=1) as plain,
                context.wrap_socket(plain, server_hostname=host),
            ):
                continue
        except ssl.SSLCertVerificationError as error:
            return str(error.verify_message)
        except OSError:
            continue
    return ""


def _listens(bootstrap_servers: str) -> bool:
    for address in _addresses(bootstrap_servers):
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
            return True
    return False


def _addresses(bootstrap_servers: str) -> list[tuple[str, int]]:
    parts = (part.strip().rpartition(":") for part in bootstrap_servers.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in parts if host and port.isdigit()]


def _objections(bootstrap_servers: str) -> list[KafkaError]:
    """What brokers say while they refuse a connection, as librdkafka tells its error callback."""
    said: list[KafkaError] = []
    try:
        admin = AdminClient(
            {
                "bootstrap.servers": bootstrap_servers,
                "log_level": 0,
                "error_cb": said.append,
                "reconnect.backoff.max.ms": 500,
                **access_of(bootstrap_servers),
            }
        )
    except KafkaException as error:
        return [error.args[0]]
    # Where nobody listens nobody objects.
    deadline = time.monotonic() + (PROBE_SECONDS if _listens(bootstrap_servers) else 0.0)
    while time.monotonic() < deadline and not any(error.code() in _TELLING for error in said):
        admin.poll(0.1)
    return said
