// Sends `events`, or `count` records under each of two tags, and prints one line of JSON: how many the server acked, and errors.
// Usage: node client.js '{"port", "mode", "patienceMs", "count" or "events": [[tag, ms, record], …], "sharedKey"?, "username"?, "password"?,
//   "tls"?: {"ca", "cert", "key"} (files)}'
const fs = require("fs");
const { FluentClient } = require("@fluent-org/logger");

const options = JSON.parse(process.argv[2]);
const security = options.sharedKey && {
  clientHostname: "node-client",
  sharedKey: options.sharedKey,
  username: options.username,
  password: options.password,
};

const tls = options.tls && Object.fromEntries(Object.entries(options.tls).map(([name, file]) => [name, fs.readFileSync(file)]));

async function main() {
  const client = new FluentClient("node", {
    eventMode: options.mode,
    socket: { host: "127.0.0.1", port: options.port, ...(tls && { tls }) },
    ...(security && { security }),
    ack: { ackTimeout: 5000 },
    milliseconds: true,
    flushInterval: 5,
    disableAutoconnect: true,
  });
  const errors = [];
  client.socketOn("error", (error) => errors.push(error.message));
  let acked = 0;
  const sent = [];
  const emit = (...event) => sent.push(client.emit(...event).then(() => acked++, (error) => errors.push(error.message)));
  client.connect().catch((error) => errors.push(error.message));
  for (const [tag, ms, record] of options.events || []) {
    emit(tag, record, new Date(ms));
  }
  for (let i = 0; i < (options.count || 0); i++) {
    const when = new Date(1700000000000 + i);
    emit("a", { message: `line ${i}`, i, nested: { list: [1, null, true] } }, when);
    emit("b", { message: "ü" }, when);
  }
  // A refused client only ever waits.
  await Promise.race([Promise.all(sent), new Promise((resolve) => setTimeout(resolve, options.patienceMs))]);
  process.stdout.write(JSON.stringify({ acked, errors }) + "\n", () => process.exit(0));
}

main();
