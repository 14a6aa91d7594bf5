// Programs that the suites start, and the ports they listen on.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** A port that nobody listens on. */
export async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a program, and returns once it listens on `port`. */
export async function startProgram(command, args, port, options = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  const log = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => log.push(part));
  const said = () => Buffer.concat(log).toString();
  const ended = once(child, "exit");
  const program = {
    said,
    async stop() {
      if (child.exitCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
  while (!(await listens(port))) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`${command} ended with ${child.exitCode}:\n${said()}`);
    await pause(50);
  }
  return program;
}

function listens(port) {
  return new Promise((resolve) => {
    const probe = net.connect(port, "127.0.0.1");
    probe
      .on("connect", () => resolve(true))
      .on("error", () => resolve(false))
      .on("close", () => resolve(false));
    probe.on("connect", () => probe.destroy());
  });
}
