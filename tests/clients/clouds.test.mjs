// What the clouds demand in writing of an issuer that they trust, held against the metadata, the keys and a token of the server.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { part, startSite } from "./support/site.mjs";

const ISSUER = "https://sts.example.com";
// The APIs of deploy/docs/verifying-tokens.md.
const APIS = {
  deploy: { audience: "https://deploy.example.com", introspection_secret_file: "deploy.secret" },
  other: { audience: "https://other.example.com", scopes: ["read"] },
  aws: { audience: "https://aws.octo.example" },
  google: {
    audience:
      "https://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/ci/providers/sts",
  },
};

let site, metadata, keys;
before(async () => {
  const account = {
    grants: { deploy: [], other: ["read"], aws: [], google: [] },
    default_api: "deploy",
    identities: [
      {
        name: "main branch",
        issuer: "github",
        github: { repository_owner_id: 65, repository_id: 74, ref: "refs/heads/main" },
      },
    ],
  };
  site = await startSite({
    secure: true,
    issuer: () => ISSUER,
    apis: APIS,
    service_accounts: { "octo-deploy": account },
  });
  const json = async (path) => (await fetch(`${site.public}${path}`)).json();
  metadata = await json("/.well-known/openid-configuration");
  keys = (await json(new URL(metadata.jwks_uri).pathname)).keys;
});
after(() => site.stop());

/** OpenID Connect Discovery 1.0 section 3, as far as it applies to an issuer that nobody signs in at. */
function isDiscoverable() {
  assert.equal(metadata.issuer, ISSUER);
  assert.equal(new URL(metadata.jwks_uri).protocol, "https:");
  for (const name of ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"]) {
    assert.ok(metadata[name].length > 0, name);
  }
}

/** Keys that tell each other apart, and are those of the algorithms. */
function haveKeys(algorithms) {
  const ids = keys.map((key) => key.kid);
  assert.ok(ids.length > 0 && ids.every(Boolean) && new Set(ids).size === ids.length, `${ids}`);
  assert.ok(
    keys.every((key) => algorithms.includes(key.alg) && key.use === "sig"),
    JSON.stringify(keys),
  );
  assert.ok(keys.every((key) => !("d" in key)));
}

// "Create an OpenID Connect (OIDC) identity provider in IAM", its prerequisites, in the IAM User Guide
// (docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html), and AssumeRoleWithWebIdentity in the API reference of AWS STS.
describe("AWS IAM", () => {
  const SIGNATURES = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];

  test("the issuer is an https URL without a port and a query, and is found in its metadata", () => {
    isDiscoverable();
    assert.match(ISSUER, /^https:\/\/[a-z.]+$/);
  });

  test("the metadata has every member that is asked for", () => {
    for (const claim of ["aud", "iat", "iss", "sub"]) assert.ok(metadata.claims_supported.includes(claim), claim);
    assert.ok(metadata.response_types_supported.includes("id_token"));
    assert.ok(metadata.subject_types_supported.includes("public"));
    assert.ok(metadata.id_token_signing_alg_values_supported.every((name) => SIGNATURES.includes(name)));
  });

  test("there are at most 100 keys of a kind, each with a kid of its own", () => {
    haveKeys(SIGNATURES);
    assert.ok(keys.length <= 100);
  });

  test("a token has the audience, whole-number times and a kid among the keys", async () => {
    const token = await site.token({ audience: "aws" });
    const [header, claims] = [part(token, 0), part(token, 1)];
    assert.ok(keys.some((key) => key.kid === header.kid && key.alg === header.alg));
    // Where a token has `azp`, that is what is compared with the audience of the role.
    assert.deepEqual(
      [claims.iss, claims.aud, claims.sub, claims.azp],
      [ISSUER, APIS.aws.audience, "octo-deploy", undefined],
    );
    assert.ok(Number.isInteger(claims.iat) && Number.isInteger(claims.exp));
    assert.ok(token.length >= 4 && token.length <= 20000);
  });
});

// "Configure Workload Identity Federation with other identity providers"
// (docs.cloud.google.com/iam/docs/workload-identity-federation-with-other-providers), and `subjectToken` in the reference of Google's STS.
describe("Google Workload Identity Federation", () => {
  test("metadata and keys are by OpenID Discovery, on https", () => {
    isDiscoverable();
    haveKeys(["RS256", "ES256"]);
  });

  test("a token has what is asked for, and lives for less than 24 hours", async () => {
    const token = await site.token({ audience: "google" });
    const [header, claims] = [part(token, 0), part(token, 1)];
    assert.ok(["RS256", "ES256"].includes(header.alg) && keys.some((key) => key.kid === header.kid));
    assert.deepEqual([claims.iss, claims.aud], [ISSUER, APIS.google.audience]);
    assert.ok(claims.iat <= Date.now() / 1000 && claims.exp - claims.iat < 24 * 3600);
    // What `google.subject` may have.
    assert.ok(claims.sub.length > 0 && claims.sub.length <= 127);
  });
});
