// The built server with a configuration in a directory of its own.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { startIssuer } from "./issuer.mjs";

const STS = process.env.STS_BIN;
const GRANT = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token";

/** A team, an API and one account that files declare, and an issuer of each kind that forms know. */
function configuration(issuer) {
  return {
    issuer: "https://sts.example.com",
    listen: "127.0.0.1:0",
    admin: { listen: "127.0.0.1:0" },
    data_dir: "data",
    log: { format: "json" },
    signing: { algorithms: ["ES256"] },
    limits: { failures_per_second: 0 },
    issuers: {
      github: { issuer: issuer.url, preset: "github-actions", allow_http: true },
      plain: { issuer: "https://plain.example", jwks_file: "plain.jwks.json" },
    },
    apis: { deploy: { audience: "https://deploy.example.com", scopes: ["deployments:create", "releases:read"] } },
    teams: { deployers: { grants: { deploy: ["deployments:create", "releases:read"] } } },
    service_accounts: {
      "octo-file": {
        description: "Declared by a file",
        teams: ["deployers"],
        identities: [
          {
            name: "main branch",
            issuer: "github",
            github: { repository_owner_id: 65, repository_id: 74, ref: "refs/heads/main" },
          },
        ],
      },
    },
  };
}

/** Starts an issuer and a server. `members` replace those of the configuration; `files` stand beside it. */
export async function startServer({ files = {}, ...members } = {}) {
  const issuer = await startIssuer(() => "https://sts.example.com");
  const directory = await mkdtemp(join(tmpdir(), "sts-browser-"));
  const config = { ...configuration(issuer), ...members };
  await writeFile(join(directory, "sts.yaml"), JSON.stringify(config));
  await writeFile(join(directory, "plain.jwks.json"), JSON.stringify({ keys: [PLAIN_KEY] }));
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(directory, name), text, { mode: 0o600 });
  }
  const child = spawn(STS, ["serve", "--config", "sts.yaml"], { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  const log = [];
  const addresses = await ready(child, log);
  const server = {
    issuer,
    log,
    admin: `http://${addresses.admin}`,
    public: `http://${addresses.public}`,
    /** Runs a command against the server and returns what it printed. */
    async cli(...args) {
      const to = ["--admin-url", server.admin, "--admin-token-file", join(directory, "data/admin.token")];
      return (await promisify(execFile)(STS, [...args, ...to], { cwd: directory })).stdout;
    },
    /** Puts objects in place, as a file for `sts apply`. */
    async apply(objects) {
      await writeFile(join(directory, "objects.yaml"), JSON.stringify(objects));
      return server.cli("apply", "-f", "objects.yaml");
    },
    /** Presents an ID token with these claims for an account. */
    async exchange(claims, parameters) {
      return server.present({ subject_token: await issuer.token(claims), ...parameters });
    },
    /** Presents an ID token of whatever issuer. */
    async present(parameters) {
      return server.token({ grant_type: GRANT, subject_token_type: ID_TOKEN, ...parameters });
    },
    /** Sends a request to the token endpoint. */
    async token(parameters) {
      const answer = await fetch(`${server.public}/token`, { method: "POST", body: new URLSearchParams(parameters) });
      return { status: answer.status, body: await answer.json() };
    },
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      await issuer.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return server;
}

/** Waits until the server is ready, and keeps reading what it says. */
function ready(child, log) {
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        log.push(line);
        let event;
        try {
          event = JSON.parse(line);
        } catch {
          return;
        }
        if (event.message === "ready") resolve({ admin: event.admin, public: event.public });
      });
    }
    child.once("exit", (code) => reject(new Error(`sts ended with ${code}:\n${log.join("\n")}`)));
  });
}

/** The claims of a job of the repository that the file's account trusts. */
export function githubClaims(members = {}) {
  return {
    sub: "repo:octo-org/octo-repo:ref:refs/heads/main",
    repository: "octo-org/octo-repo",
    repository_id: "74",
    repository_owner: "octo-org",
    repository_owner_id: "65",
    repository_visibility: "private",
    ref: "refs/heads/main",
    ref_type: "branch",
    event_name: "push",
    workflow: "deploy",
    job_workflow_ref: "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
    workflow_ref: "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
    runner_environment: "github-hosted",
    run_id: "1",
    run_number: "1",
    run_attempt: "1",
    actor: "octocat",
    actor_id: "1",
    ...members,
  };
}

/** RFC 7517, appendix A.1. */
const PLAIN_KEY = {
  kty: "EC",
  crv: "P-256",
  alg: "ES256",
  kid: "plain",
  x: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
};
