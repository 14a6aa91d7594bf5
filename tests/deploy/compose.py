"""The compose file: what each service may do, and its Redis with a server that finds no weakness in it. No image can be fetched here."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import server
import tools
from tools import DEPLOY, run

PASSWORD = "a-password-of-this-test-0123456789abcdef"


def check(binary: Path, scratch: Path) -> Iterator[str]:
    script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"
    compose = json.loads(run(tools.python() / "python", "-c", script, DEPLOY / "compose.yaml"))
    for name, service in compose["services"].items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"] and not service["user"].startswith("0"), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        writable = [mount for mount in service["volumes"] if not mount.endswith(":ro")]
        assert len(writable) == 1 and writable[0].split(":")[0] in compose["volumes"], f"{name} writes to {writable}"
        assert service["mem_limit"] and service["pids_limit"], name
    yield "each service of compose.yaml has the least rights"
    run_with_redis(binary, scratch)
    yield "a server finds no weakness in the Redis of deploy/redis"


def run_with_redis(binary: Path, scratch: Path) -> None:
    redis_server = tools.debian("redis-server", "redis-server")
    acl = (DEPLOY / "redis/sts.acl").read_text()
    assert "REPLACE-WITH-A-LONG-RANDOM-PASSWORD" in acl
    (scratch / "sts.acl").write_text(acl.replace("REPLACE-WITH-A-LONG-RANDOM-PASSWORD", PASSWORD))
    settings = (DEPLOY / "redis/redis.conf").read_text()
    for there, here in {"/etc/redis/sts.acl": str(scratch / "sts.acl"), "dir /data": f"dir {scratch}"}.items():
        assert there in settings, f"redis.conf no longer has {there}"
        settings = settings.replace(there, here)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (scratch / "redis.conf").write_text(f"{settings}port {port}\n")
    password = scratch / "redis.password"
    password.touch(0o600)
    password.write_text(PASSWORD)
    redis = subprocess.Popen([redis_server, scratch / "redis.conf"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert redis.stdout and any("Ready to accept connections" in line for line in redis.stdout), "Redis did not start"
        store = {"url": f"redis://127.0.0.1:{port}", "username": "sts", "password_file": "redis.password"}
        with server.serve(binary, server.config(scratch, store=store)) as running:
            readiness = json.loads(running.get(running.admin, "/readyz"))
        assert readiness["ready"] and readiness["store_warnings"] == [], readiness
    finally:
        redis.terminate()
        redis.wait()
