"""Other senders: Fluentd, and the loggers for Go, Python and Node."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence

import checkout

from .certificates import certificates
from .run import Run


async def go_sends(run: Run, *arguments: str, flags: Sequence[str] = ()) -> None:
    await run.receive()
    await run.serve("--message-field=message", *flags)
    path = run.write_log()
    go = run.start("fluent-go-send", "-port", str(run.port), "-file", str(path), *arguments)
    while go.poll() is None:
        await asyncio.sleep(0.1)
    await run.finish()


# Arguments: port, path of the lines. The package lies where the tests install it.
NODE = """
const { FluentClient } = require("@fluent-org/logger");
const lines = require("fs").readFileSync(process.argv[2], "utf8").split("\\n").filter(Boolean);
const client = new FluentClient("app", {
  eventMode: "PackedForward", socket: { host: "127.0.0.1", port: +process.argv[1] },
  ack: { ackTimeout: 30000 }, sendQueueIntervalFlushLimit: 2000, disableAutoconnect: true,
});
(async () => {
  await client.connect();
  await Promise.all(lines.map((message) => client.emit("node", { message })));
  process.exit(0);
})();
"""
NODE_FOLDER = checkout.REPOSITORY / "tests" / "e2e" / "node"
# Arguments: port, path of the lines.
PYTHON = """
import sys
from fluent.sender import FluentSender
sender = FluentSender("app.python", host="127.0.0.1", port=int(sys.argv[1]), bufmax=2**26)
for line in open(sys.argv[2]):
    assert sender.emit(None, {"message": line.rstrip("\\n")})
sender.close()
"""


async def logger_sends(run: Run, command: Sequence[str], **environment: str) -> None:
    """A fluent-logger in a script of ours, which gets the port and the path of the lines."""
    await run.receive()
    await run.serve("--message-field=message")
    path = run.write_log()
    logger = run.start(*command, str(run.port), str(path), **environment)
    while logger.poll() is None:
        await asyncio.sleep(0.1)
    await run.finish()


async def node_sends(run: Run) -> None:
    """The Fluent organisation's logger for Node, which is installed when it is first used."""
    if not (NODE_FOLDER / "node_modules").exists():
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"],
            cwd=NODE_FOLDER,
            check=True,
        )
    modules = str(NODE_FOLDER / "node_modules")
    await logger_sends(run, ["node", "-e", NODE], NODE_PATH=modules)


async def fluentd_sends(run: Run, command: str, *, output: str = "") -> None:
    """Fluentd's in_tail and out_forward."""
    await run.receive()
    await run.serve()
    run.write_log()
    conf = run.directory / "fluent.conf"
    conf.write_text(f"""
<source>
  @type tail
  path {run.directory}/app.log
  pos_file {run.directory}/pos
  read_from_head true
  tag app.web
  <parse>
    @type none
    message_key log
  </parse>
</source>
<match app.**>
  @type forward
  require_ack_response true
  heartbeat_type none
  keepalive true
  {output}
  <server>
    host 127.0.0.1
    port {run.port}
  </server>
  <buffer>
    flush_thread_count 1
    flush_interval 0.2
    chunk_limit_size 1m
  </buffer>
</match>
""")
    fluentd = run.start(command, "-c", str(conf))
    await run.finish()
    await run.stop(fluentd)


async def certified_go(run: Run, *, ack: bool) -> None:
    certificates(run.directory)
    at = run.directory
    flags = [f"--tls-cert-path={at}/server.pem", f"--tls-private-key-path={at}/server.key"]
    arguments = ["-network", "tls", "-tls-insecure", *(["-ack"] if ack else [])]
    await go_sends(run, *arguments, flags=flags)
