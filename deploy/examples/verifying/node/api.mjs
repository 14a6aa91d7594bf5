// An API that verifies access tokens of sts offline, with jose.

import { createServer } from "node:http";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const issuer = process.env.STS_ISSUER ?? "https://sts.example.com";
const audience = "https://deploy.example.com"; // this API
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), { cacheMaxAge: 300_000 });

/** Why a request is refused (RFC 6750). */
class Refused extends Error {
  constructor(status, error) {
    super(error);
    this.status = status;
    this.challenge = error ? `Bearer error="${error}"` : "Bearer";
  }
}

/** The claims of the request's access token, if it grants `scope`. */
async function verify(request, scope) {
  const [, token] = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? "") ?? [];
  if (!token) throw new Refused(401);
  const wanted = {
    issuer,
    audience,
    typ: "at+jwt", // an access token (RFC 9068), and no ID token
    algorithms: ["ES256"],
    requiredClaims: ["exp", "iat", "sub", "jti"],
  };
  const { payload } = await jwtVerify(token, keys, wanted).catch((error) => {
    // Whether the token is good is not known while the keys cannot be fetched.
    const isOfKeys = ["ERR_JOSE_GENERIC", "ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID"].includes(error.code);
    const isOfToken = error instanceof errors.JOSEError && !isOfKeys;
    throw isOfToken ? new Refused(401, "invalid_token") : error;
  });
  if (
    !String(payload.scope ?? "")
      .split(" ")
      .includes(scope)
  )
    throw new Refused(403, "insufficient_scope");
  return payload;
}

const server = createServer(async (request, response) => {
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
  try {
    if (request.method !== "POST" || request.url !== "/deployments") return answer(404, { error: "not_found" });
    const { sub } = await verify(request, "deployments:create");
    answer(201, { account: sub });
  } catch (error) {
    if (error instanceof Refused)
      return answer(error.status, { error: error.message }, { "www-authenticate": error.challenge });
    console.error(error);
    answer(503, { error: "temporarily_unavailable" });
  }
});
server.listen(Number(process.env.PORT ?? 8081), "127.0.0.1");
