import os

import jwt

ISSUER = os.environ.get("STS_ISSUER", "https://sts.example.com")
AUDIENCE = "https://deploy.example.com"  # this API
keys = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json")  # keeps them for five minutes


def verify(token: str, scope: str) -> dict:
    """The claims of an access token that grants `scope`; raises for any other."""
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token (RFC 9068)")
    claims = jwt.decode(
        token,
        keys.get_signing_key_from_jwt(token).key,
        algorithms=["ES256"],
        issuer=ISSUER,
        audience=AUDIENCE,
        leeway=10,  # clocks differ
        options={"require": ["exp", "iat", "sub", "jti"]},
    )
    if scope not in claims.get("scope", "").split():
        raise PermissionError(f"the token does not grant {scope}")
    return claims
