// The built server behind a front, with an issuer that it trusts, in a directory of its own.

import { execFile, spawn } from "node:child_process";
import { createPrivateKey, generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { startFront } from "./front.mjs";
import { sign, startGithub } from "./github.mjs";
import { sts } from "./repository.mjs";

export const SECRET = "a-secret-of-an-api-0123456789abcdef";
export const AUDIENCE = "https://deploy.example.com";
const SCOPES = ["deployments:create", "releases:read"];

function configuration(issuer, github) {
  return {
    issuer,
    ...(issuer.startsWith("https:") && { behind_tls_proxy: ["127.0.0.1/32"] }),
    listen: "127.0.0.1:0",
    admin: { listen: "127.0.0.1:0" },
    data_dir: "data",
    log: { format: "json" },
    shutdown: { drain: "0s" },
    signing: { algorithms: ["ES256"] },
    limits: { failures_per_second: 0 },
    issuers: { github: { issuer: github.url, preset: "github-actions", allow_http: true } },
    apis: {
      deploy: { audience: AUDIENCE, scopes: SCOPES, introspection_secret_file: "deploy.secret" },
      other: { audience: "https://other.example.com", scopes: ["read"] },
    },
    service_accounts: {
      "octo-deploy": {
        grants: { deploy: SCOPES, other: ["read"] },
        default_api: "deploy",
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

/** Starts all three. `members` replace those of the configuration. */
export async function startSite({ secure = false, issuer = undefined, ...members } = {}) {
  const front = await startFront({ secure });
  const github = await startGithub();
  const folder = await mkdtemp(join(tmpdir(), "sts-clients-"));
  const own = issuer?.(front) ?? front.url;
  await writeFile(join(folder, "sts.yaml"), JSON.stringify({ ...configuration(own, github), ...members }));
  await writeFile(join(folder, "deploy.secret"), SECRET, { mode: 0o600 });
  const child = spawn(sts, ["serve", "--config", "sts.yaml"], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const addresses = await ready(child).catch(async (error) => {
    // Else they would keep the suite from ending.
    await Promise.all([front.stop(), github.stop()]);
    throw error;
  });
  front.upstream = `http://${addresses.public}`;
  const site = {
    issuer: own,
    url: front.url,
    front,
    github,
    folder,
    public: front.upstream,
    /** An access token, by an exchange of an ID token with these claims. */
    async token(parameters = {}, claims = {}) {
      const subject = github.token({ aud: own, ...claims });
      const { body } = await site.post("/token", {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
        subject_token: subject,
        ...parameters,
      });
      if (!body.access_token) throw new Error(`refused: ${JSON.stringify(body)}`);
      return body.access_token;
    },
    async post(path, form, headers = {}) {
      const answer = await fetch(`${site.public}${path}`, { method: "POST", body: new URLSearchParams(form), headers });
      const text = await answer.text();
      return { status: answer.status, body: text && JSON.parse(text) };
    },
    /** An API key of the account. */
    async apiKey() {
      const to = ["--admin-url", `http://${addresses.admin}`, "--admin-token-file", join(folder, "data/admin.token")];
      const made = await promisify(execFile)(sts, ["api-keys", "create", "octo-deploy", "--name", randomUUID(), ...to]);
      return made.stdout.trim();
    },
    async isActive(token) {
      const authorization = `Basic ${Buffer.from(`deploy:${SECRET}`).toString("base64")}`;
      return (await site.post("/introspect", { token }, { authorization })).body.active;
    },
    /** What the server could sign with its own key: `token` with other claims and another header. */
    async forged(token, { claims = {}, header = {} }) {
      return sign(await signingKey(folder), { ...part(token, 0), ...header }, { ...part(token, 1), ...claims });
    },
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      await Promise.all([front.stop(), github.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
  return site;
}

/** One part of a token: 0 is its header, 1 its claims. */
export function part(token, index) {
  return JSON.parse(Buffer.from(token.split(".")[index], "base64url"));
}

/** A token signed by a key that nobody published. */
export function ofNobody(token) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return sign(privateKey, { ...part(token, 0), kid: "nobodys" }, part(token, 1));
}

async function signingKey(folder) {
  const keys = join(folder, "data/keys");
  const [file] = (await readdir(keys)).filter((name) => name.startsWith("es256-"));
  const { pkcs8 } = JSON.parse(await readFile(join(keys, file), "utf8"));
  return createPrivateKey({ key: Buffer.from(pkcs8, "base64url"), format: "der", type: "pkcs8" });
}

/** Waits until the server is ready, and keeps reading what it says. */
function ready(child) {
  const log = [];
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        log.push(line);
        const event = line.startsWith("{") ? JSON.parse(line) : {};
        if (event.message === "ready") resolve(event);
      });
    }
    child.once("exit", (code) => reject(new Error(`sts ended with ${code}:\n${log.join("\n")}`)));
  });
}
