// A GitHub Actions runner, as far as one action goes: it reads action.yml, runs the step and its post step, and reads their commands.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "./repository.mjs";
import { REQUEST_TOKEN } from "./github.mjs";

const ACTION = join(repository, "deploy/github-action");

/** The parts of action.yml that a runner reads. */
export async function definition() {
  const text = await readFile(join(ACTION, "action.yml"), "utf8");
  const section = (name) => new RegExp(`^${name}:\\n((?:  .*\\n)+)`, "m").exec(text)[1];
  const names = (part) => [...part.matchAll(/^  ([a-z-]+):$/gm)].map((match) => match[1]);
  const inputs = section("inputs");
  const defaults = [...inputs.matchAll(/^  ([a-z-]+):\n(?:    .*\n)*?    default: "?(.*?)"?$/gm)].map((match) => [
    match[1],
    match[2],
  ]);
  const runs = Object.fromEntries(
    [...section("runs").matchAll(/^  (\w+): (\S+)$/gm)].map((match) => [match[1], match[2]]),
  );
  return { inputs: names(inputs), outputs: names(section("outputs")), defaults: Object.fromEntries(defaults), runs };
}

/** Runs the action by this `node`, for a job that asks `github` for its ID tokens, with these inputs. */
export async function runAction(node, github, inputs, environment = {}) {
  const { inputs: known, defaults, runs } = await definition();
  for (const name of Object.keys(inputs)) if (!known.includes(name)) throw new Error(`action.yml has no input ${name}`);
  const folder = await mkdtemp(join(tmpdir(), "sts-runner-"));
  const files = ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STATE"];
  await Promise.all(files.map((name) => writeFile(join(folder, name), "")));
  const given = Object.entries({ ...Object.fromEntries(known.map((name) => [name, ""])), ...defaults, ...inputs });
  const job = {
    PATH: process.env.PATH,
    ...Object.fromEntries(files.map((name) => [name, join(folder, name)])),
    ...Object.fromEntries(given.map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])),
    GITHUB_SERVER_URL: "https://github.example",
    GITHUB_ACTION_REPOSITORY: "octo-org/sts",
    GITHUB_ACTION_REF: "0123456",
    ACTIONS_ID_TOKEN_REQUEST_URL: github.requestUrl,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: REQUEST_TOKEN,
    ...environment,
  };
  const main = await script(node, join(ACTION, runs.main), job);
  const [outputs, exported, states] = await Promise.all(
    files.map(async (name) => assignments(await readFile(join(folder, name), "utf8"))),
  );
  return {
    ...main,
    outputs,
    exported,
    states,
    /** Runs the post step. */
    post(more = {}) {
      const kept = Object.fromEntries(Object.entries(states).map(([name, value]) => [`STATE_${name}`, value]));
      return script(node, join(ACTION, runs.post), { ...job, ...kept, ...more });
    },
    end: () => rm(folder, { recursive: true, force: true }),
  };
}

async function script(node, path, environment) {
  const child = spawn(node, [path], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  const text = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (part) => (text[name] += part));
  const [code] = await once(child, "close");
  const lines = text.stdout.split("\n").filter(Boolean);
  return { code, lines, stderr: text.stderr, commands: lines.map(command).filter(Boolean) };
}

/** `::name key=value,key=value::message`, with what was escaped. */
function command(line) {
  const found = /^::([a-z-]+)(?: ([^:]*))?::(.*)$/.exec(line);
  if (!found) return undefined;
  const unescape = (text) =>
    text
      .replaceAll("%2C", ",")
      .replaceAll("%3A", ":")
      .replaceAll("%0A", "\n")
      .replaceAll("%0D", "\r")
      .replaceAll("%25", "%");
  const properties = (found[2] ?? "")
    .split(",")
    .filter(Boolean)
    .map((pair) => pair.split("="));
  return {
    name: found[1],
    message: unescape(found[3]),
    ...Object.fromEntries(properties.map(([key, value]) => [key, unescape(value)])),
  };
}

/** The values in a file that the runner reads: `name<<delimiter`, lines, `delimiter`. */
function assignments(text) {
  const found = {};
  let rest = text;
  while (rest) {
    const [, name, delimiter] = /^([^\n<]+)<<(\S+)\n/.exec(rest);
    const from = rest.indexOf("\n") + 1;
    const to = rest.indexOf(`\n${delimiter}\n`);
    found[name] = rest.slice(from, to);
    rest = rest.slice(to + delimiter.length + 2);
  }
  return found;
}
