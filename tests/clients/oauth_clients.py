"""OAuth clients and verifiers of PyPI, unmodified, against a server. `oauth_clients.py NAME` reads what there is as JSON."""

import json
import sys

import google.auth.transport.requests
import google.oauth2.sts
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from google.auth.exceptions import OAuthError

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


def metadata(world: dict) -> dict:
    found = requests.get(f"{world['issuer']}/.well-known/oauth-authorization-server", timeout=30).json()
    # The library demands https of every URL, which the server of this test does not have.
    secure = {name: value.replace("http:", "https:") if isinstance(value, str) else value for name, value in found.items()}
    document = AuthorizationServerMetadata(secure)
    for name in found:
        if check := getattr(document, f"validate_{name}", None):
            check()
    return found


def authlib_exchange(world: dict) -> None:
    found = metadata(world)
    workload = OAuth2Session("octo-deploy", token_endpoint_auth_method="none")
    token = workload.fetch_token(
        found["token_endpoint"],
        grant_type=GRANT,
        subject_token=world["id_tokens"][0],
        subject_token_type=ID_TOKEN,
        audience="octo-deploy",
    )
    assert token["token_type"] == "Bearer" and not token.is_expired(), token
    api = OAuth2Session("deploy", world["secret"])
    ask = lambda: api.introspect_token(found["introspection_endpoint"], token["access_token"]).json()
    assert ask()["sub"] == "octo-deploy"
    assert workload.revoke_token(found["revocation_endpoint"], token["access_token"]).status_code == 200
    assert ask() == {"active": False}


def authlib_verifier(world: dict) -> None:
    jwks = requests.get(metadata(world)["jwks_uri"], timeout=30).json()

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self):
            return jwks

    validator = Validator(issuer=world["issuer"], resource_server=world["audience"])

    def verify(text: str) -> dict:
        claims = validator.authenticate_token(text)
        validator.validate_token(claims, ["deployments:create"], None)
        return claims

    assert verify(world["good"])["sub"] == "octo-deploy"
    # It takes a token without `typ`, although RFC 9068 section 4 does not.
    assert world["wrong"].pop("no typ")
    for what, text in world["wrong"].items():
        try:
            verify(text)
        except (InvalidTokenError, ValueError):
            continue
        raise AssertionError(f"let in: {what}")
    try:
        verify(world["narrow"])
    except InsufficientScopeError:
        return
    raise AssertionError("let in without the scope")


def google_auth_exchange(world: dict) -> None:
    client = google.oauth2.sts.Client(f"{world['issuer']}/token")
    request = google.auth.transport.requests.Request()
    ask = lambda index, audience: client.exchange_token(
        request,
        GRANT,
        world["id_tokens"][index],
        ID_TOKEN,
        audience=audience,
        # What the library adds by itself.
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
        requested_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    assert ask(0, "octo-deploy")["expires_in"] == 900
    try:
        ask(1, "nobody")
    except OAuthError as error:
        assert "invalid_request" in str(error), error
        return
    raise AssertionError("granted to nobody")


if __name__ == "__main__":
    {test.__name__: test for test in [authlib_exchange, authlib_verifier, google_auth_exchange]}[sys.argv[1]](json.load(sys.stdin))
    print("as it should be")
