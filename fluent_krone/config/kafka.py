"""Parameters of `kafka` and `kafka-key`: topics, their form, and access to the brokers."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import BROKERS, KAFKA, parameter
from .literals import BOOL, COUNT, DURATION, STRING


@dataclass(frozen=True, kw_only=True)
class Kafka:
    """Kafka: where records come from, and what a message is."""

    brokers: str | None = parameter(
        STRING,
        None,
        "The brokers to ask first, as `host:port`, separated by commas.",
        commands=BROKERS,
        common=True,
    )
    topic: str | None = parameter(
        STRING, None, "The topic that is read.", commands=KAFKA, common=True
    )
    group: str = parameter(
        STRING,
        "krone",
        "The consumer group. Instances of one group share the partitions; the topics that we "
        "write begin with its name.",
        commands=BROKERS,
        common=True,
    )
    output_topic: str | None = parameter(
        STRING,
        None,
        "The topic that keyed messages are written to.",
        commands="kafka-key",
        common=True,
    )
    record_format: str = parameter(
        STRING,
        "json",
        "What a message holds: a record in JSON or msgpack, the text of one line, or logs as "
        "OpenTelemetry's collector exports them (`otlp_json`).",
        commands=KAFKA,
        choices="json msgpack text otlp_json",
        common=True,
    )
    record_tag: str = parameter(
        STRING,
        "topic",
        "Where a record's tag comes from: `topic`, `header:NAME` or `field:NAME`. A message that "
        "lacks the header or the field has the topic as its tag.",
        commands=KAFKA,
    )
    offset_reset: str = parameter(
        STRING,
        "earliest",
        "Where a group begins that has read nothing yet.",
        commands=KAFKA,
        choices="earliest latest",
    )
    # Enough for a pause of the garbage collector or of a small machine. A killed instance's
    # partitions wait for this long.
    member_timeout: float = parameter(
        DURATION,
        15.0,
        "An instance that the brokers have not heard of for this long loses its partitions to the "
        "others.",
        commands=KAFKA,
    )
    member_name: str | None = parameter(
        STRING,
        None,
        "A name that this instance keeps over restarts (static membership). If it is back within "
        "`member_timeout`, it continues with its partitions, and no others are moved.",
        commands=KAFKA,
    )
    replication: int = parameter(
        COUNT,
        0,
        "On how many brokers the topics lie that we create; 0 means as the brokers say.",
        commands=BROKERS,
    )


@dataclass(frozen=True, kw_only=True)
class KafkaAccess:
    """Access to Kafka: TLS, SASL, and other properties of the client."""

    broker_tls: bool = parameter(BOOL, False, "Connect to the brokers over TLS.", commands=BROKERS)
    broker_ca_path: str | None = parameter(
        STRING,
        None,
        "Authorities that may sign the brokers' certificates (PEM). By default, those of the "
        "system.",
        commands=BROKERS,
    )
    broker_cert_path: str | None = parameter(
        STRING, None, "The certificate that we show to the brokers (PEM).", commands=BROKERS
    )
    broker_private_key_path: str | None = parameter(
        STRING, None, "The private key of that certificate (PEM).", commands=BROKERS
    )
    sasl_mechanism: str | None = parameter(
        STRING,
        None,
        "How to log in to the brokers: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, or another "
        "mechanism of librdkafka.",
        commands=BROKERS,
    )
    sasl_username: str | None = parameter(
        STRING, None, "The user to log in to the brokers as.", commands=BROKERS
    )
    sasl_password: str | None = parameter(
        STRING, None, "The password of that user.", commands=BROKERS, secret=True
    )
    sasl_password_file: str | None = parameter(
        STRING, None, "The file that holds `sasl_password`.", commands=BROKERS
    )
    client_properties: str | None = parameter(
        STRING,
        None,
        "A file of `name=value` lines with further properties of librdkafka.",
        commands=BROKERS,
    )
