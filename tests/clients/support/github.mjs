// GitHub's issuer of ID tokens, on loopback: discovery, keys, and the endpoint that a runner asks.

import { createSign, generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

export const REQUEST_TOKEN = "the-runner's-request-token";

/** Starts the issuer. `claims` are those of the job. Each function in `next` replaces one ID token. */
export async function startGithub() {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "github-1", alg: "ES256", use: "sig" };
  const github = { claims: CLAIMS, next: [], issued: [] };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, github.url);
    const say = (status, body) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (pathname === "/.well-known/openid-configuration")
      return say(200, { issuer: github.url, jwks_uri: `${github.url}/jwks` });
    if (pathname === "/jwks") return say(200, { keys: [jwk] });
    if (request.headers.authorization !== `Bearer ${REQUEST_TOKEN}`) return say(401, { message: "no request token" });
    const instead = github.next.shift();
    if (instead) return instead(request, response);
    const value = github.token({ aud: searchParams.get("audience") });
    github.issued.push(value);
    return say(200, { count: value.length, value });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  github.url = `http://127.0.0.1:${server.address().port}`;
  github.requestUrl = `${github.url}/token?api-version=2.0`;
  github.token = (members) => {
    const now = Math.floor(Date.now() / 1000);
    const times = { iat: now, nbf: now - 5, exp: now + 300, jti: randomUUID() };
    return sign(
      privateKey,
      { alg: "ES256", kid: jwk.kid, typ: "JWT" },
      { ...github.claims, iss: github.url, ...times, ...members },
    );
  };
  github.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return github;
}

/** A compact JWS by ES256. */
export function sign(key, header, claims) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const input = `${encode(header)}.${encode(claims)}`;
  const signature = createSign("sha256").update(input).sign({ key, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}

/** The claims of a job that the site's account trusts. */
export const CLAIMS = {
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
  workflow_ref: "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
  job_workflow_ref: "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
  runner_environment: "github-hosted",
  run_id: "1",
  actor: "octocat",
};
