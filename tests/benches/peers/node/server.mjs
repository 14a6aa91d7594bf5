// A token-exchange STS on oidc-provider: the peer of `make bench` from the Node.js world. `run` starts it.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const { PORT, ISSUER, AUDIENCE, JWKS_FILE } = process.env;

const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const CLIENT = 'octo-deploy';
const LIFETIME = 15 * 60;
const API = {
  identifier: 'https://deploy.example.com',
  audience: 'https://deploy.example.com',
  scope: 'deployments:create releases:read',
  accessTokenFormat: 'jwt',
  accessTokenTTL: LIFETIME,
  jwt: { sign: { alg: 'ES256' } },
};

// Every record until it expires: the provider's own adapter for development keeps the newest thousand only.
class Ledger {
  #records = new Map();

  async upsert(id, payload, expiresIn) {
    const now = Date.now();
    // All records live equally long, so the oldest are the first to go.
    for (const [oldest, { expires }] of this.#records) {
      if (expires > now) break;
      this.#records.delete(oldest);
    }
    this.#records.set(id, { payload, expires: now + expiresIn * 1000 });
  }

  async find(id) {
    return this.#records.get(id)?.payload;
  }

  async destroy(id) {
    this.#records.delete(id);
  }
}

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const signingKey = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: randomUUID() };

const provider = new Provider('https://sts.example.com', {
  adapter: Ledger,
  clients: [{
    client_id: CLIENT,
    token_endpoint_auth_method: 'none',
    grant_types: [GRANT],
    id_token_signed_response_alg: 'ES256',
    redirect_uris: [],
    response_types: [],
  }],
  clientAuthMethods: ['none'],
  cookies: { keys: [randomUUID()] },
  extraTokenClaims: (ctx) => ({ federated: { iss: ctx.state.subject.iss, sub: ctx.state.subject.sub } }),
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(ctx, resource) {
        if (resource !== API.identifier) throw new errors.InvalidTarget();
        return API;
      },
    },
  },
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  jwks: { keys: [signingKey] },
  scopes: API.scope.split(' '),
  ttl: { AccessToken: LIFETIME },
});

const issuerKeys = createLocalJWKSet(JSON.parse(readFileSync(JWKS_FILE)));
const expected = {
  algorithms: ['RS256'],
  issuer: ISSUER,
  audience: AUDIENCE,
  requiredClaims: ['sub', 'exp', 'iat'],
  maxTokenAge: '24h',
  clockTolerance: 60,
};
const api = new provider.ResourceServer(API.identifier, API);

async function exchange(ctx) {
  const { client, params } = ctx.oidc;
  if (!params.subject_token || params.subject_token_type !== JWT) {
    throw new errors.InvalidRequest('a subject_token of type jwt is required');
  }
  if (params.resource !== undefined && params.resource !== API.identifier) throw new errors.InvalidTarget();
  const scopes = params.scope === undefined ? [...api.scopes] : params.scope.split(' ');
  if (!scopes.every((scope) => api.scopes.has(scope))) throw new errors.InvalidScope('the scope is not granted', params.scope);

  try {
    ctx.state.subject = (await jwtVerify(params.subject_token, issuerKeys, expected)).payload;
  } catch (cause) {
    throw new errors.InvalidRequest('the subject token is not valid', undefined, cause.message);
  }

  const token = new provider.AccessToken({ accountId: CLIENT, client, gty: 'token_exchange', scope: scopes.join(' ') });
  token.resourceServer = api;
  ctx.oidc.entity('AccessToken', token);
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope: token.scope,
  };
}

provider.registerGrantType(GRANT, exchange, ['subject_token', 'subject_token_type', 'resource', 'scope']);

const server = provider.listen(Number(PORT), '127.0.0.1', () => console.log('ready'));
// A paced client may leave a connection alone for longer than the five seconds of Node.js.
server.keepAliveTimeout = 75_000;
