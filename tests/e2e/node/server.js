// Receives on a free port: prints {"port"}, then each event as {"tag", "time_ns", "record"}; ends with standard input.
// Usage: node server.js '{"sharedKey"?, "users"?}'
const { FluentServer } = require("@fluent-org/logger");

const options = JSON.parse(process.argv[2]);
const security = options.sharedKey && {
  serverHostname: "node-server",
  sharedKey: options.sharedKey,
  authorize: Boolean(options.users),
  userDict: options.users || {},
};

const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");

async function main() {
  const server = new FluentServer({ listenOptions: { host: "127.0.0.1", port: 0 }, ...(security && { security }) });
  server.on("entry", (tag, time, record) => {
    const timeNs = BigInt(time.epoch) * 1000000000n + BigInt(time.nano);
    print({ tag, time_ns: String(timeNs), record });
  });
  await server.listen();
  print({ port: server.port });
  process.stdin.resume();
  process.stdin.on("end", () => process.exit(0));
}

main();
