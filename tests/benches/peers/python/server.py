"""A token-exchange STS on Starlette, uvicorn and joserfc: the peer of `make bench` from the Python world. `run` starts it."""

import json
import os
import secrets
import time
from urllib.parse import parse_qsl

import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ACCOUNT = "octo-deploy"
API = "https://deploy.example.com"
SCOPES = "deployments:create releases:read"
LIFETIME = 15 * 60
NO_STORE = {"Cache-Control": "no-store"}

with open(os.environ["JWKS_FILE"], encoding="utf-8") as file:
    issuer_keys = KeySet.import_key_set(json.load(file))
signing_key = ECKey.generate_key("P-256", auto_kid=True)
header = {"typ": "at+jwt", "alg": "ES256", "kid": signing_key.kid}

verifying = JWSRegistry(algorithms=["RS256"])
signing = JWSRegistry(algorithms=["ES256"])
claims_registry = jwt.JWTClaimsRegistry(
    leeway=60,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True},
    exp={"essential": True},
    iat={"essential": True},
)

records: dict[str, dict] = {}


def record(claims: dict) -> None:
    """Keeps a token until it expires. All live equally long, so the oldest are the first to go."""
    while records and records[oldest := next(iter(records))]["exp"] <= claims["iat"]:
        del records[oldest]
    records[claims["jti"]] = claims


def refusal(error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, 400, NO_STORE)


async def exchange(request: Request) -> JSONResponse:
    # Twice as quick as `request.form()`, which is made for uploads.
    form = dict(parse_qsl((await request.body()).decode()))
    if form.get("grant_type") != GRANT:
        return refusal("unsupported_grant_type", "only token exchange is offered")
    if "subject_token" not in form or form.get("subject_token_type") != JWT:
        return refusal("invalid_request", "a subject_token of type jwt is required")
    if form.get("resource", API) != API:
        return refusal("invalid_target", "the resource is not known")
    scope = form.get("scope", SCOPES)
    if not set(scope.split()) <= set(SCOPES.split()):
        return refusal("invalid_scope", "the scope is not granted")

    try:
        subject = jwt.decode(form["subject_token"], issuer_keys, registry=verifying).claims
        claims_registry.validate(subject)
    except (JoseError, ValueError):
        return refusal("invalid_request", "the subject token is not valid")

    now = int(time.time())
    claims = {
        "iss": "https://sts.example.com",
        "sub": ACCOUNT,
        "client_id": ACCOUNT,
        "aud": API,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": secrets.token_urlsafe(16),
        "scope": scope,
        "federated": {"iss": subject["iss"], "sub": subject["sub"]},
    }
    token = jwt.encode(header, claims, signing_key, registry=signing)
    record(claims)
    answer = {"access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": LIFETIME, "scope": scope}
    return JSONResponse(answer, headers=NO_STORE)


async def jwks(request: Request) -> JSONResponse:
    return JSONResponse({"keys": [signing_key.as_dict(private=False)]})


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)


if __name__ == "__main__":
    app = Starlette(routes=[Route("/token", exchange, methods=["POST"]), Route("/jwks", jwks)])
    # A paced client may leave a connection alone for longer than the five seconds of uvicorn.
    config = uvicorn.Config(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), loop="uvloop", http="httptools", ws="none", lifespan="off",
        access_log=False, log_level="warning", proxy_headers=False, server_header=False, timeout_keep_alive=75,
    )
    Server(config).run()
