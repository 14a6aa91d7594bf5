// The inputs of the step, checked before anything is sent.

import tls from "node:tls";
import { UsageError } from "./errors.mjs";

/** What the step is to do. `read` reads a file as text. */
export function settings(environment, read) {
  // The runner upper-cases the names of inputs and keeps their hyphens.
  const input = (name) => (environment[`INPUT_${name.toUpperCase()}`] ?? "").trim();
  const url = serverUrl(input("url"));
  const caFile = input("ca-file");
  return {
    url,
    account: input("account"),
    audience: input("audience"),
    resource: input("resource"),
    scope: input("scope"),
    expiresIn: seconds("expires-in", input("expires-in"), 2 ** 31),
    tokenAudience: input("token-audience") || url,
    env: variable(input("env")),
    revoke: flag("revoke", input("revoke") || "true"),
    caFile,
    ca: certificates(caFile, read),
    timeout: seconds("timeout", input("timeout") || "60", 3600),
    idToken: {
      url: environment.ACTIONS_ID_TOKEN_REQUEST_URL ?? "",
      bearer: environment.ACTIONS_ID_TOKEN_REQUEST_TOKEN ?? "",
    },
    docs: docs(environment),
  };
}

/** The authorities to trust: those of the file; else Node's, NODE_EXTRA_CA_CERTS, and the system's where this Node can read them. */
export function certificates(file, read) {
  if (!file) return tls.getCACertificates && [...tls.getCACertificates("default"), ...tls.getCACertificates("system")];
  let pem;
  try {
    pem = read(file, "utf8");
  } catch (error) {
    throw new UsageError(`ca-file: ${file} cannot be read: ${error.code}`);
  }
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new UsageError(`ca-file: ${file} has no certificate in PEM`);
  return [pem];
}

/** Tokens go to https, or to this machine. */
export function isSafe(url) {
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname));
}

export function isLoopback(host) {
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

function serverUrl(text) {
  if (!URL.canParse(text)) throw new UsageError("url must be the URL of the server, such as https://sts.example.com");
  const url = new URL(text);
  if (!isSafe(url)) throw new UsageError("url must be https: the ID token is a secret (http is for loopback only)");
  if (url.username || url.password || url.search || url.hash) {
    throw new UsageError("url must be the server's `issuer`: without a user, a query or a fragment");
  }
  return text.replace(/\/+$/, "");
}

function seconds(name, text, most) {
  if (!text) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw new UsageError(`${name} must be a number of seconds from 1 to ${most}`);
  return value;
}

function flag(name, text) {
  if (text !== "true" && text !== "false") throw new UsageError(`${name} must be true or false`);
  return text === "true";
}

function variable(name) {
  if (name && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    throw new UsageError("env must be the name of an environment variable");
  if (/^(GITHUB|RUNNER|ACTIONS)_|^(PATH|NODE_OPTIONS)$/i.test(name))
    throw new UsageError(`env: ${name} belongs to the runner`);
  return name;
}

/** Where the page of the reasons is: in the repository and at the commit that the action comes from, on this instance of GitHub. */
function docs({ GITHUB_SERVER_URL: server, GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref }) {
  const page = "deploy/docs/reasons.md";
  return server && repository && ref ? `${server}/${repository}/blob/${ref}/${page}` : page;
}
