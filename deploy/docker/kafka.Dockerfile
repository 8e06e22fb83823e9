# fluent-krone kafka and kafka-key: as many instances as you like over the partitions of a topic.
#
#   make dist
#   docker build -f deploy/docker/kafka.Dockerfile -t fluent-krone:0.1.0-kafka dist
#
# The build context is dist/, which holds the wheel.

FROM python:3.12-slim-bookworm AS build
COPY fluent_krone-*.whl /tmp/dist/
RUN python3 -m venv /opt/fluent-krone \
 && wheel=$(ls /tmp/dist/fluent_krone-*.whl) \
 && /opt/fluent-krone/bin/pip install --no-cache-dir "${wheel}[kafka]"

FROM python:3.12-slim-bookworm
COPY --from=build /opt/fluent-krone /opt/fluent-krone
USER 65532:65532
# /metrics and /healthz. There is no volume: what is kept is kept in Kafka.
EXPOSE 24231
ENTRYPOINT ["/opt/fluent-krone/bin/fluent-krone"]
CMD ["kafka", "--metrics", "--metrics-bind=0.0.0.0"]
