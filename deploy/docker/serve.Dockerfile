# fluent-krone serve, as a sidecar of Fluent Bit or as a service of its own.
#
#   make dist
#   docker build -f deploy/docker/serve.Dockerfile -t fluent-krone:0.1.0 dist
#
# The build context is dist/, which holds the wheel.

FROM python:3.12-slim-bookworm AS build
COPY fluent_krone-*.whl /tmp/dist/
RUN python3 -m venv /opt/fluent-krone \
 && /opt/fluent-krone/bin/pip install --no-cache-dir /tmp/dist/fluent_krone-*.whl

FROM python:3.12-slim-bookworm
COPY --from=build /opt/fluent-krone /opt/fluent-krone
# The store of open sessions and alerts; mount a volume there.
RUN install -d -o 65532 -g 65532 -m 0700 /var/lib/fluent-krone
USER 65532:65532
VOLUME /var/lib/fluent-krone
# 24224: records; 24231: /metrics and /healthz.
EXPOSE 24224 24231
ENTRYPOINT ["/opt/fluent-krone/bin/fluent-krone"]
# It listens on the loopback of its pod. Another address needs TLS or a shared key.
CMD ["serve", "--bundle=hdfs", "--store=/var/lib/fluent-krone/krone.db", "--metrics", "--metrics-bind=0.0.0.0"]
