// An OpenID provider in a process of its own. It prints its issuer once it listens. Arguments: client secret, redirect URI.

import { createServer } from "node:http";
import Provider from "oidc-provider";

const [, , secret, redirectUri] = process.argv;

/** People, by the name they type into the login form. */
const PEOPLE = {
  ada: { email: "ada@example.com", name: "Ada", groups: ["platform", "everyone"] },
  rita: { email: "rita@example.com", name: "Rita", groups: ["readers", "everyone"] },
  mallory: { email: "mallory@example.com", name: "<img src=x onerror=alert(1)>", groups: ["everyone"] },
};

// A name of another site than the console's, which is at 127.0.0.1.
const server = createServer((request, response) => callback(request, response));
let callback = (_, response) => response.writeHead(503).end();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "sts-console",
        client_secret: secret,
        redirect_uris: [redirectUri],
        grant_types: ["authorization_code"],
        response_types: ["code"],
        application_type: "native",
        token_endpoint_auth_method: "client_secret_basic",
      },
    ],
    pkce: { required: () => true },
    scopes: ["openid", "email", "profile"],
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"], profile: ["name"] },
    // Claims of the scopes stand in the ID token, as most providers of companies have it.
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email_verified: true, groups: ["everyone"], ...PEOPLE[id] }),
    }),
    cookies: { keys: [secret] },
  });
  provider.on("server_error", (_, error) => console.error(error));
  callback = provider.callback();
  console.log(issuer);
});
