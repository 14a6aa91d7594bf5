// What a verifier is judged by.

import { createHmac } from "node:crypto";
import { AUDIENCE, ofNobody, part } from "./site.mjs";

/** A good token, and tokens with one fault each. Most of those are signed with the server's own key. */
export async function makeTokens(site) {
  const good = await site.token();
  const forged = (claims, header) => site.forged(good, { claims, header });
  const now = Math.floor(Date.now() / 1000);
  const [head, payload, signature] = good.split(".");
  const unsigned = (header) =>
    `${Buffer.from(JSON.stringify({ ...part(good, 0), ...header })).toString("base64url")}.${payload}`;
  const jwks = await (await fetch(`${site.public}/.well-known/jwks.json`)).text();
  const confused = unsigned({ alg: "HS256" });
  return {
    good,
    wrong: {
      "another API's": await site.token({ audience: "other" }),
      expired: await forged({ iat: now - 1500, exp: now - 600 }),
      "without exp": await forged({ exp: undefined }),
      "another issuer's": await forged({ iss: "https://other.example" }),
      typ: await forged({}, { typ: "JWT" }),
      "no typ": await forged({}, { typ: undefined }),
      "the platform's ID token": site.github.token({ aud: AUDIENCE }),
      "unknown kid": ofNobody(good),
      "another key": `${head}.${payload}.${ofNobody(good).split(".")[2]}`,
      "changed claims": `${head}.${Buffer.from(JSON.stringify({ ...part(good, 1), sub: "root" })).toString("base64url")}.${signature}`,
      "alg none": `${unsigned({ alg: "none" })}.`,
      "alg HS256": `${confused}.${createHmac("sha256", jwks).update(confused).digest("base64url")}`,
      "no token": "x.y.z",
    },
    narrow: await site.token({ scope: "releases:read" }),
  };
}
