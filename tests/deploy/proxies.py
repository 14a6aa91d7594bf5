"""The proxies' examples, each in front of two servers."""

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import server
import tools
from tools import DEPLOY, REPOSITORY, run

TLS = REPOSITORY / "tests/corpus/tls"
UPSTREAMS = ["10.1.2.11:8080", "10.1.2.12:8080"]
# Refused requests that one address may send at once.
BURST = 5
# In seconds.
DEADLINE = 30


def check(binary: Path, scratch: Path) -> Iterator[str]:
    for name, start in [("nginx", start_nginx), ("caddy", start_caddy), ("envoy", start_envoy)]:
        with ExitStack() as stack:
            sites = [scratch / f"{name}-{index}" for index in [1, 2]]
            running = [stack.enter_context(server.serve(binary, behind_proxy(site))) for site in sites]
            port = free_port()
            process = start(scratch, port, [each.public for each in running])
            stack.callback(end, process)
            judge(port, process)
        yield f"{name} serves, limits bodies, and lets no caller choose its address"


def behind_proxy(site: Path) -> Path:
    site.mkdir()
    limits = {"failures_per_second": 1, "failure_burst": BURST}
    return server.config(site, behind_tls_proxy=["127.0.0.1/32"], limits=limits)


def local(name: str, replaced: dict[str, str], upstreams: list[str]) -> str:
    text = (DEPLOY / "proxies" / name).read_text()
    for there, here in (replaced | dict(zip(UPSTREAMS, upstreams))).items():
        assert there in text, f"{name} no longer has {there}"
        text = text.replace(there, here)
    return text


def start_nginx(scratch: Path, port: int, upstreams: list[str]) -> subprocess.Popen:
    nginx = tools.debian("nginx", "nginx")
    folder = scratch / "nginx"
    folder.mkdir()
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    replaced = {
        "pid /run/nginx.pid;": f"pid {folder}/pid; daemon off; master_process off;",
        "worker_processes auto;": "worker_processes 1;",
        "worker_rlimit_nofile 20000;\n": "",
        "worker_connections 8192": "worker_connections 256",
        "http {": f"http {{ {temporary}",
        "/var/log/nginx/sts.log": f"{folder}/access.log",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/sts/tls": f"{TLS}/server",
    }
    (folder / "nginx.conf").write_text(local("nginx.conf", replaced, upstreams))
    command = [nginx, "-e", folder / "error.log", "-c", folder / "nginx.conf"]
    run(*command, "-t")
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def start_caddy(scratch: Path, port: int, upstreams: list[str]) -> subprocess.Popen:
    caddy = tools.debian("caddy", "caddy")
    folder = scratch / "caddy"
    folder.mkdir()
    replaced = {
        # Port 80 is not ours here.
        "admin off": "admin off\n\tauto_https disable_redirects",
        "sts.example.com {": f"https://sts.example.com:{port} {{",
        "/etc/ssl/sts/tls": f"{TLS}/server",
    }
    file = folder / "Caddyfile"
    file.write_text(local("Caddyfile", replaced, upstreams))
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    run(caddy, "validate", "--adapter", "caddyfile", "--config", file, env=environment)
    command = [caddy, "run", "--adapter", "caddyfile", "--config", file]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_envoy(scratch: Path, port: int, upstreams: list[str]) -> subprocess.Popen:
    envoy = tools.envoy()
    replaced = {
        "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}",
        "/etc/ssl/sts/tls": f"{TLS}/server",
    }
    file = scratch / "envoy.yaml"
    as_members = {f"address: {each.replace(':', ', port_value: ')}": f"address: {to.replace(':', ', port_value: ')}" for each, to in zip(UPSTREAMS, upstreams)}
    file.write_text(local("envoy.yaml", replaced | as_members, []))
    command = [envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart"]
    run(*command, "--mode", "validate")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def judge(port: int, process: subprocess.Popen) -> None:
    until_listening(port, process)
    status, headers, body = ask(port, "GET", "/.well-known/openid-configuration")
    assert status == 200 and json.loads(body)["issuer"] == server.ISSUER, body
    assert "max-age" in headers.get("strict-transport-security", ""), headers
    status, _, body = ask(port, "POST", "/token", b"x" * (70 * 1024))
    assert status == 413, (status, body)
    refused = urllib.parse.urlencode({"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": "x"}).encode()
    # Two servers count on their own. Each caller claims to be another, and all are one.
    answers = [ask(port, "POST", "/token", refused, {"X-Forwarded-For": f"203.0.113.{index}"})[0] for index in range(4 * BURST)]
    assert answers[0] == 400 and 429 in answers, answers


def ask(port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, dict, str]:
    """An answer to a request for sts.example.com."""
    # The certificate is of another test, and what it names does not matter here.
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as plain:
        with context.wrap_socket(plain, server_hostname="sts.example.com") as connection:
            lines = [f"{method} {path} HTTP/1.1", "Host: sts.example.com", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
            if body is not None:
                lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            try:
                connection.sendall(body or b"")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except (BrokenPipeError, ConnectionResetError):
                answer = connection.recv(65536)
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {line.split(":")[0].lower(): line.partition(": ")[2] for line in rest}, unchunked(content, head)


def unchunked(content: bytes, head: bytes) -> str:
    if b"transfer-encoding: chunked" not in head.lower():
        return content.decode()
    text = b""
    while content:
        size, _, rest = content.partition(b"\r\n")
        length = int(size, 16)
        text, content = text + rest[:length], rest[length + 2 :] if length else b""
    return text.decode()


def until_listening(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert process.poll() is None, "the proxy ended"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the proxy does not listen")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
