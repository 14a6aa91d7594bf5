"""An API that verifies access tokens of sts offline, with PyJWT."""

import json
import os
import re
from http import HTTPStatus
from wsgiref.simple_server import make_server

import jwt
from verify import verify


def api(environ, start_response):
    status, body, challenge = respond(environ)
    headers = [("Content-Type", "application/json")] + ([("WWW-Authenticate", challenge)] if challenge else [])
    start_response(f"{status.value} {status.phrase}", headers)
    return [json.dumps(body).encode()]


def respond(environ):
    if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("POST", "/deployments"):
        return HTTPStatus.NOT_FOUND, {"error": "not_found"}, None
    bearer = re.fullmatch(r"bearer +(\S+)", environ.get("HTTP_AUTHORIZATION", ""), re.I)
    if not bearer:
        return HTTPStatus.UNAUTHORIZED, {}, "Bearer"
    try:
        claims = verify(bearer[1], "deployments:create")
    except PermissionError:
        return HTTPStatus.FORBIDDEN, {"error": "insufficient_scope"}, 'Bearer error="insufficient_scope"'
    except jwt.PyJWKClientConnectionError:
        # Whether the token is good is not known while the keys cannot be fetched.
        return HTTPStatus.SERVICE_UNAVAILABLE, {"error": "temporarily_unavailable"}, None
    except jwt.PyJWTError:
        return HTTPStatus.UNAUTHORIZED, {"error": "invalid_token"}, 'Bearer error="invalid_token"'
    return HTTPStatus.CREATED, {"account": claims["sub"]}, None


if __name__ == "__main__":
    make_server("127.0.0.1", int(os.environ.get("PORT", "8081")), api).serve_forever()
