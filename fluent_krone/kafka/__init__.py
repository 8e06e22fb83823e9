"""The third input and the second store: a topic's partitions in, alerts out, state in a changelog.

Kafka does the distribution. Each partition has its own engine, and each commit is one transaction
of Kafka: what changed in the engine, the alerts, and the position in the input. Only this room
needs the package `confluent-kafka`, the extra `kafka`.
"""
