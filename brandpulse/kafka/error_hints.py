"""Kafka's errors, with the setting or the right that mends them."""

import contextlib
import socket
import ssl
import time

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from brandpulse.errors import BrandpulseError, ConfigError, TransientError
from brandpulse.kafka.address import access_of, host_ports
from brandpulse.runtime.tls import certificate_remedy

PROBE_SECONDS = 6.0
_DECISIVE = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)
FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
}
ACLS = "`brandpulse kafka acls` prints what each service needs (docs/reference/access-rights.md)"


def explain(error: KafkaError) -> str:
    """Kafka's message; with the missing ACL where Kafka denied access."""
    if error.code() in FORBIDDEN:
        return f"{error.str()}: this user lacks an ACL on a {FORBIDDEN[error.code()]}. {ACLS}"
    return str(error.str())


def kafka_fault(bootstrap_servers: str, error: KafkaException) -> BrandpulseError:
    """*error* as ConfigError with the setting that mends it, or as TransientError where waiting may help.

    For a client that could not log in librdkafka reports only "transport failure", so this connects once more, for at
    most six seconds, and collects the reasons that brokers give.
    """
    first = error.args[0]
    if first.code() in FORBIDDEN:
        user = access_of(bootstrap_servers).get("sasl.username", "this user")
        return ConfigError(
            f"Kafka denied access to {user} (BRANDPULSE_KAFKA_USERNAME): {first.str()}; an ACL on a "
            f"{FORBIDDEN[first.code()]} is missing. {ACLS}"
        )
    refusals = _refusals(bootstrap_servers)
    for refusal in (first, *refusals):
        if (remedy := _remedy(bootstrap_servers, refusal)) is not None:
            return ConfigError(f"Kafka at {bootstrap_servers} refused the login: {refusal.str()[:300]}. {remedy}")
    if any("PLAINTEXT broker" in refusal.str() for refusal in refusals) or _is_listening(bootstrap_servers):
        return TransientError(
            f"a server listens at {bootstrap_servers} but does not answer. If it is Kafka, and is neither starting nor "
            "overloaded, check BRANDPULSE_KAFKA_SECURITY_PROTOCOL against its listener: PLAINTEXT, SSL, SASL_PLAINTEXT "
            "or SASL_SSL"
        )
    return TransientError(f"no Kafka broker answers at {bootstrap_servers}: {first.str()}")


def _remedy(bootstrap_servers: str, error: KafkaError) -> str | None:
    """The setting that mends *error*; None where waiting may help."""
    text = error.str()
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        if "supported mechanisms" in text:
            return "Check BRANDPULSE_KAFKA_SASL_MECHANISM and BRANDPULSE_KAFKA_SECURITY_PROTOCOL against its listener"
        return "Check BRANDPULSE_KAFKA_USERNAME and BRANDPULSE_KAFKA_PASSWORD"
    if error.code() == KafkaError._SSL and "certificate verify failed" in text:
        return certificate_remedy(_certificate_error(bootstrap_servers), ca_file="BRANDPULSE_KAFKA_CA_FILE")
    if error.code() == KafkaError._TRANSPORT and " alert " in text:
        return (
            "It requires a client certificate: set BRANDPULSE_KAFKA_CERT_FILE and BRANDPULSE_KAFKA_KEY_FILE to one "
            "that it trusts and that has not expired"
        )
    if error.code() == KafkaError._SSL or (error.code() == KafkaError._INVALID_ARG and "ssl." in text):
        return "Check BRANDPULSE_KAFKA_CA_FILE, BRANDPULSE_KAFKA_CERT_FILE, BRANDPULSE_KAFKA_KEY_FILE and its password"
    return None


def _certificate_error(bootstrap_servers: str) -> str:
    """Why OpenSSL rejects a broker's certificate; librdkafka reports only that it does."""
    context = ssl.create_default_context(cafile=access_of(bootstrap_servers).get("ssl.ca.location"))
    for host, port in host_ports(bootstrap_servers):
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


def _is_listening(bootstrap_servers: str) -> bool:
    for address in host_ports(bootstrap_servers):
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
            return True
    return False


def _refusals(bootstrap_servers: str) -> list[KafkaError]:
    """The errors that librdkafka reports while brokers refuse a connection."""
    errors: list[KafkaError] = []
    try:
        admin = AdminClient(
            {
                "bootstrap.servers": bootstrap_servers,
                "log_level": 0,
                "error_cb": errors.append,
                "reconnect.backoff.max.ms": 500,
                **access_of(bootstrap_servers),
            }
        )
    except KafkaException as error:
        return [error.args[0]]
    # Where no server listens, none refuses: do not wait.
    deadline = time.monotonic() + (PROBE_SECONDS if _is_listening(bootstrap_servers) else 0.0)
    while time.monotonic() < deadline and not any(error.code() in _DECISIVE for error in errors):
        admin.poll(0.1)
    return errors
