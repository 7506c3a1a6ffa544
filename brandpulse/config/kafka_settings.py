"""The settings about reaching Kafka: addresses, TLS, user."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, FilePath, SecretStr, model_validator
from pydantic_settings import BaseSettings

from brandpulse.config.advanced import ADVANCED


class KafkaAccess(BaseSettings):
    """The part of `Settings` about reaching Kafka. The defaults, without user and TLS, are for loopback only."""

    kafka_bootstrap_servers: str | None = Field(default=None, min_length=3, examples=["127.0.0.1:9092"])
    """Addresses of Kafka brokers, separated by commas. Unset: the broker that `brandpulse up` started under
    `BRANDPULSE_HOME`; the other Kafka settings are then ignored."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", examples=["SASL_SSL"]
    )
    """The protocol of Kafka's listener. SSL means TLS, SASL a user with a password."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", examples=["SCRAM-SHA-512"]
    )
    """How the password is checked. PLAIN sends the password itself, so it requires TLS."""
    kafka_username: str | None = Field(default=None, min_length=1, examples=["brandpulse-worker"])
    """User name, if the protocol is SASL_PLAINTEXT or SASL_SSL."""
    kafka_password: SecretStr | None = Field(default=None, min_length=1, examples=["the user's password"])
    """Password of the user."""
    kafka_ca_file: FilePath | None = Field(default=None, examples=["/etc/brandpulse/kafka-ca.pem"])
    """PEM file of the CA that signed the brokers' certificates. Unset: the CAs that the system trusts."""
    kafka_cert_file: FilePath | None = Field(
        default=None, examples=["/etc/brandpulse/kafka-client.pem"], json_schema_extra=ADVANCED
    )
    """PEM file of the client certificate, if the brokers require one."""
    kafka_key_file: FilePath | None = Field(
        default=None, examples=["/etc/brandpulse/kafka-client.key"], json_schema_extra=ADVANCED
    )
    """PEM file of the client certificate's key."""
    kafka_key_password: SecretStr | None = Field(
        default=None, min_length=1, examples=["the key's password"], json_schema_extra=ADVANCED
    )
    """Password of the key, if it has one."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        protocol, prefix = self.kafka_security_protocol, "BRANDPULSE_KAFKA"
        user = self.kafka_username is not None and self.kafka_password is not None
        if protocol.startswith("SASL") and not user:
            raise ValueError(
                f"{prefix}_SECURITY_PROTOCOL={protocol} requires a user: set {prefix}_USERNAME and {prefix}_PASSWORD"
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
                f"{prefix}_CA_FILE and {prefix}_CERT_FILE have no effect with {prefix}_SECURITY_PROTOCOL={protocol}. "
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
