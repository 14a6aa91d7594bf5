"""A server that the checks ask."""

import contextlib
import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The issuer of every server that the checks run.
ISSUER = "https://sts.example.com"


@dataclass
class Server:
    public: str
    admin: str
    folder: Path

    def get(self, listener: str, path: str) -> str:
        with urllib.request.urlopen(f"http://{listener}{path}", timeout=30) as answer:
            return answer.read().decode()


def config(folder: Path, **more: object) -> Path:
    """A configuration that listens on free ports of this machine."""
    around = {
        "issuer": ISSUER,
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "data_dir": "data",
        "log": {"format": "json"},
        "shutdown": {"drain": "0s"},
        "signing": {"algorithms": ["ES256"]},
        "issuers": {"ci": {"issuer": "https://ci.example", "jwks": {"keys": [KEY]}}},
        "apis": {"deploy": {"audience": "https://deploy.example.com"}},
    }
    file = folder / "sts.yaml"
    file.write_text(json.dumps(around | more))
    return file


@contextlib.contextmanager
def serve(binary: Path, file: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        [binary, "serve", "--config", file.name], cwd=file.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        ready = until_ready(process)
        yield Server(ready["public"], ready["admin"], file.parent)
    finally:
        process.terminate()
        process.wait()


def until_ready(process: subprocess.Popen[str]) -> dict[str, str]:
    lines = []
    assert process.stdout
    for line in process.stdout:
        lines.append(line)
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("message") == "ready":
            # The rest is read and dropped, so that the server never waits for us.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return event
    raise AssertionError("the server did not start:\n" + "".join(lines))


# Of nobody: no token of this key is sent.
KEY = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "ci",
    "alg": "ES256",
    "use": "sig",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
