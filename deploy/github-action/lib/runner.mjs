// The runner's commands: lines on standard output, and files that it names in the environment.

import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";
import { UsageError } from "./errors.mjs";

/** Hides `secret` in everything that is logged from now on. */
export function mask(secret) {
  command("add-mask", {}, secret);
}

/** Shows an annotation on the run. `level` is `error` or `warning`. */
export function annotate(level, title, message) {
  command(level, { title }, message);
}

/** A line of the log. It can be no command, whatever is in it. */
export function say(text) {
  process.stdout.write(`sts: ${text.replace(/[^\x20-\x7e]+/g, " ")}\n`);
}

export function setOutput(name, value) {
  append("GITHUB_OUTPUT", name, value);
}

export function exportVariable(name, value) {
  append("GITHUB_ENV", name, value);
}

/** Keeps a value for the post step. */
export function saveState(name, value) {
  append("GITHUB_STATE", name, value);
}

export function state(name) {
  return process.env[`STATE_${name}`] ?? "";
}

function command(name, properties, message) {
  const listed = Object.entries(properties).map(([key, value]) => `${key}=${property(value)}`);
  process.stdout.write(`::${[name, ...listed].join(" ")}::${data(message)}\n`);
}

/** A line break would end the command, and what follows could be another. */
function data(text) {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(text) {
  return data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}

/** The delimiter is random, so that no value can end itself and set another name. */
function append(file, name, value) {
  const path = process.env[file];
  if (!path) throw new UsageError(`${file} is not set: this is an action for a GitHub Actions runner`);
  const delimiter = `sts-${randomUUID()}`;
  appendFileSync(path, `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
}
