# Fluentd with @type krone and the program that it starts.
#
#   make dist
#   docker build -f deploy/docker/fluentd.Dockerfile -t fluentd-krone:0.1.0 dist
#
# The build context is dist/, which holds the wheel and the gem. The configuration is read from
# /fluentd/etc/fluent.conf, as in the image that this one is built on.

FROM fluent/fluentd:v1.18-debian-1
# hadolint ignore=DL3066
USER root
COPY fluent_krone-*.whl fluent-plugin-krone-*.gem /tmp/dist/
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/fluent-krone \
 && /opt/fluent-krone/bin/pip install --no-cache-dir /tmp/dist/fluent_krone-*.whl \
 && gem install --local --ignore-dependencies --no-document /tmp/dist/fluent-plugin-krone-*.gem \
 && rm -rf /tmp/dist \
 && install -d -o fluent -g fluent -m 0700 /var/lib/fluent-krone
# The base image's own user.
# hadolint ignore=DL3066
USER fluent
# The store and the buffer; mount a volume there.
VOLUME /var/lib/fluent-krone
# 24231: /metrics and /healthz, with `metrics true` and `metrics_bind 0.0.0.0`.
EXPOSE 24231
