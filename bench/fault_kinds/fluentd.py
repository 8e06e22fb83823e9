"""Configurations of a real Fluentd that reads the log of the faults."""

from __future__ import annotations

import checkout
from fluentd_rig import ALERTS_CONF, tail_conf

# Reads the log file line by line, with the fields that a real parser gives.
_TAIL = tail_conf(
    "hdfs",
    r"""
  <parse>
    @type regexp
    expression /^(?<time>\d+) (?<id>\d+) (?<level>[A-Z]+) (?<component>[^ ]+) (?<message>.*)$/
    time_format %s
  </parse>
""",
)
# `@type krone` over a file buffer. Chunks are small so that many are in flight in a short run.
KRONE_CONF = (
    _TAIL
    + r"""
<match hdfs>
  @type krone
  command {command}
  bundle {bundle}
  store {dir}/krone.db
  alerts session
  <buffer tag>
    @type file
    path {dir}/buffer
    chunk_limit_size 256k
    flush_interval 0.2
    flush_at_shutdown true
    retry_max_times 10
  </buffer>
  <secondary>
    @type secondary_file
    directory {dir}/rejected
  </secondary>
</match>
"""
    + ALERTS_CONF
)
# `out_forward` with acks; its retries are fast, so that a run does not wait for them.
OUT_FORWARD_CONF = (
    _TAIL
    + r"""
<match hdfs>
  @type forward
  require_ack_response true
  ack_response_timeout 10
  heartbeat_type none
  keepalive true
  <server>
    host 127.0.0.1
    port {port}
  </server>
  <buffer tag>
    @type file
    path {dir}/buffer
    chunk_limit_size 256k
    flush_interval 0.2
    flush_at_shutdown true
    retry_wait 0.2
    retry_max_interval 1
    retry_forever true
  </buffer>
</match>
"""
)


def line_of(event: tuple[int, dict[str, str]]) -> str:
    """An event as a line of the file that in_tail reads."""
    time_ns, record = event
    return f"{time_ns // 10**9} {' '.join(record[name] for name in checkout.FIELDS)}\n"
