// OAuth clients and verifiers of others, unmodified: they find the server by its metadata, exchange, introspect, revoke and verify.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as oauth from "oauth4webapi";
import * as openid from "openid-client";
import { repository } from "./support/repository.mjs";
import { AUDIENCE, SECRET, startSite } from "./support/site.mjs";
import { makeTokens } from "./support/tokens.mjs";
import * as tools from "./support/tools.mjs";

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const python = await tools.tool(tools.python);

let site;
before(async () => (site = await startSite()));
after(() => site.stop());

/** The parameters of an exchange of a new ID token. */
function parameters(more = {}) {
  return {
    subject_token: site.github.token({ aud: site.issuer }),
    subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
    audience: "octo-deploy",
    ...more,
  };
}

describe("oauth4webapi", () => {
  const insecure = { [oauth.allowInsecureRequests]: true };
  const client = { client_id: "octo-deploy" };
  const api = { client_id: "deploy" };
  let as;
  before(async () => {
    for (const algorithm of ["oidc", "oauth2"]) {
      const url = new URL(site.issuer);
      as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm, ...insecure }));
    }
  });

  async function exchange(more, options) {
    const sent = await oauth.genericTokenEndpointRequest(as, client, oauth.None(), EXCHANGE, parameters(more), {
      ...insecure,
      ...options,
    });
    return oauth.processGenericTokenEndpointResponse(as, client, sent);
  }
  async function introspect(token, options) {
    const sent = await oauth.introspectionRequest(as, api, oauth.ClientSecretBasic(SECRET), token, {
      ...insecure,
      ...options,
    });
    // A signed answer is for the API, which its audience names (RFC 9701).
    return oauth.processIntrospectionResponse(as, options?.requestJwtResponse ? { client_id: AUDIENCE } : api, sent);
  }
  const request = (token, headers = {}) =>
    new Request(`${AUDIENCE}/deployments`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, ...headers },
    });
  const verify = (asked, options) => oauth.validateJwtAccessToken(as, asked, AUDIENCE, { ...insecure, ...options });

  test("a token exchange", async () => {
    const granted = await exchange({ scope: "releases:read" });
    assert.deepEqual([granted.token_type, granted.scope, granted.expires_in], ["bearer", "releases:read", 900]);
    assert.equal(granted.issued_token_type, "urn:ietf:params:oauth:token-type:access_token");
  });

  test("a refusal is the library's own error, with our reason", async () => {
    await assert.rejects(exchange({ scope: "releases:delete" }), (error) => {
      assert.ok(error instanceof oauth.ResponseBodyError, error);
      return error.error === "invalid_scope" && error.cause.reason === "scope_not_granted" && error.status === 400;
    });
  });

  test("client credentials, with an API key by either method", async () => {
    const key = await site.apiKey();
    for (const method of [oauth.ClientSecretBasic(key), oauth.ClientSecretPost(key)]) {
      const sent = await oauth.clientCredentialsGrantRequest(as, client, method, {}, insecure);
      const granted = await oauth.processClientCredentialsResponse(as, client, sent);
      assert.equal((await verify(request(granted.access_token))).sub, "octo-deploy");
    }
  });

  test("introspection, plain and signed, and revocation", async () => {
    const { access_token: token } = await exchange();
    for (const options of [{}, { requestJwtResponse: true }]) {
      const found = await introspect(token, options);
      assert.deepEqual([found.active, found.sub, found.aud], [true, "octo-deploy", AUDIENCE]);
    }
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.None(), token, insecure));
    assert.deepEqual(await introspect(token), { active: false });
  });

  test("its verifier of RFC 9068 takes our token, and nothing else", async () => {
    const { good, wrong } = await makeTokens(site);
    const claims = await verify(request(good));
    assert.deepEqual([claims.sub, claims.client_id, claims.iss], ["octo-deploy", "octo-deploy", site.issuer]);
    for (const [what, token] of Object.entries(wrong)) await assert.rejects(verify(request(token)), what);
  });

  test("a token that is bound to a key by DPoP", async () => {
    const keys = await oauth.generateKeyPair("ES256");
    const granted = await exchange({}, { DPoP: oauth.DPoP(client, keys) });
    assert.equal(granted.token_type, "dpop");
    let sent;
    const handle = oauth.DPoP(client, keys);
    const remember = async (url, init) => {
      sent = new Request(url, init);
      return new Response("{}");
    };
    await oauth.protectedResourceRequest(
      granted.access_token,
      "POST",
      new URL(`${AUDIENCE}/deployments`),
      undefined,
      undefined,
      {
        DPoP: handle,
        [oauth.customFetch]: remember,
      },
    );
    assert.equal((await verify(sent, { requireDPoP: true })).sub, "octo-deploy");
    await assert.rejects(verify(request(granted.access_token)));
  });
});

describe("openid-client", () => {
  const execute = { execute: [openid.allowInsecureRequests] };
  const discover = (id, authentication) =>
    openid.discovery(new URL(site.issuer), id, undefined, authentication, execute);

  test("a token exchange, introspection and revocation", async () => {
    const workload = await discover("octo-deploy", openid.None());
    const api = await discover("deploy", openid.ClientSecretBasic(SECRET));
    const { access_token: token, expires_in: life } = await openid.genericGrantRequest(
      workload,
      EXCHANGE,
      parameters(),
    );
    assert.equal(life, 900);
    assert.equal((await openid.tokenIntrospection(api, token)).sub, "octo-deploy");
    await openid.tokenRevocation(workload, token);
    assert.deepEqual(await openid.tokenIntrospection(api, token), { active: false });
  });

  test("a refusal", async () => {
    const workload = await discover("octo-deploy", openid.None());
    await assert.rejects(
      openid.genericGrantRequest(workload, EXCHANGE, parameters({ audience: "nobody" })),
      (error) => {
        return (
          error.error === "invalid_request" &&
          error.cause.reason === "not_authorized" &&
          /request/.test(error.error_description)
        );
      },
    );
  });
});

describe("Python", { skip: python.skip }, () => {
  for (const name of ["authlib_exchange", "authlib_verifier", "google_auth_exchange"]) {
    test(name.replaceAll("_", " "), async () => {
      const world = { issuer: site.issuer, audience: AUDIENCE, secret: SECRET, ...(await makeTokens(site)) };
      world.id_tokens = Array.from({ length: 3 }, () => site.github.token({ aud: site.issuer }));
      const child = execFile(python.at, [join(repository, "tests/clients/oauth_clients.py"), name], () => {});
      let said = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (said += part));
      child.stdin.end(JSON.stringify(world));
      const [code] = await once(child, "close");
      assert.equal(code, 0, said);
      assert.match(said, /as it should be/);
    });
  }
});
