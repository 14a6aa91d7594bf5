// An issuer of workloads' ID tokens, on loopback.

import { createServer } from "node:http";
import { once } from "node:events";
import { SignJWT, exportJWK, generateKeyPair } from "jose";

/** Starts an issuer with the keys `jwks`. `token(claims)` signs an ID token that is in time. */
export async function startIssuer(audience) {
  const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: "issuer-1", alg: "ES256", use: "sig" };
  const server = createServer((request, response) => {
    const documents = {
      "/.well-known/openid-configuration": { issuer: url(), jwks_uri: `${url()}/jwks` },
      "/jwks": { keys: [jwk] },
    };
    const document = documents[request.url];
    response.writeHead(document ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(document ?? {}));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = () => `http://127.0.0.1:${server.address().port}`;
  return {
    url: url(),
    jwks: { keys: [jwk] },
    token: (claims) =>
      new SignJWT({ jti: crypto.randomUUID(), ...claims })
        .setProtectedHeader({ alg: "ES256", kid: "issuer-1" })
        .setIssuer(url())
        .setAudience(audience())
        .setIssuedAt()
        .setExpirationTime("5m")
        .sign(privateKey),
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}
