"""The image: hadolint reads the Dockerfile, buildah builds it, and it runs with a root that is read-only, as nobody in particular."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import server
import tools
from tools import DEPLOY, Skipped, call, run

CONTAINER = DEPLOY / "container"
BASE = "localhost/sts-base"
IMAGE = "localhost/sts-test"
# The user of the image.
NOBODY = 65532


def check(binary: Path, scratch: Path) -> Iterator[str]:
    run(tools.python() / "hadolint", "--failure-threshold", "info", CONTAINER / "Dockerfile")
    yield "hadolint finds nothing in the Dockerfile"
    if os.geteuid() != 0:
        raise Skipped("only root builds and runs images here")
    tools.may_make_namespaces()
    buildah = tools.debian("buildah", "buildah")
    runc = tools.debian("runc", "runc")
    # Storage of its own leaves this machine's images alone.
    settings = scratch / "storage.conf"
    settings.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{scratch}/storage"\nrunroot = "{scratch}/run"\n')
    environment = os.environ | {"CONTAINERS_STORAGE_CONF": str(settings), "BUILDAH_ISOLATION": "chroot"}
    try:
        make_base(buildah, environment, binary, scratch / "base")
        archive = scratch / "image.tar"
        run(CONTAINER / "build", binary, IMAGE, archive, env=environment | {"BASE": BASE})
        config = json.loads(run(buildah, "inspect", "--type", "image", IMAGE, env=environment))["Docker"]["config"]
        assert config["User"] == "65532:65532" and config["Cmd"] == ["serve", "--config", "/etc/sts/sts.yaml"], config
        check_command = config["Healthcheck"]["Test"]
        assert check_command[:3] == ["CMD", "/usr/bin/sts", "healthcheck"], check_command
        working = run(buildah, "from", IMAGE, env=environment).strip().splitlines()[-1]
        root = run(buildah, "mount", working, env=environment).strip()
        yield "buildah builds the image"
        with tarfile.open(archive) as opened:
            (packed,) = json.load(opened.extractfile("manifest.json"))
        assert packed["RepoTags"] == [f"{IMAGE}:latest"], packed
        yield "its archive can be loaded by its name"
        run_image(runc, Path(root), config, scratch / "bundle")
        yield "it starts as nobody with a read-only root, is healthy, and stops on SIGTERM"
    finally:
        call(buildah, "rm", "--all", env=environment)
        call(buildah, "rmi", "--all", "--force", env=environment)


def make_base(buildah: str, environment: dict[str, str], binary: Path, folder: Path) -> None:
    """What the real base has, from this machine: no image can be fetched here. It has the libraries of the binary and certificates."""
    libraries = re.findall(r"(/\S+) \(0x", run("ldd", binary))
    for library in libraries:
        copy = folder / library.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.exists():
        (folder / "etc/ssl/certs").mkdir(parents=True)
        shutil.copy(certificates, folder / "etc/ssl/certs")
    empty = run(buildah, "from", "scratch", env=environment).strip().splitlines()[-1]
    run(buildah, "add", "--quiet", empty, folder, "/", env=environment)
    run(buildah, "commit", "--quiet", "--rm", empty, BASE, env=environment)


def run_image(runc: str, root: Path, config: dict, bundle: Path) -> None:
    site, data = bundle / "etc", bundle / "data"
    for folder in [site, data]:
        folder.mkdir(parents=True)
    # The container has a network of its own, where every port is free.
    server.config(site, listen="127.0.0.1:8080", admin={"listen": "127.0.0.1:9090"}, data_dir="/var/lib/sts/data")
    os.chown(data, NOBODY, NOBODY)
    bundle.chmod(0o755)
    file = {"source": str(site), "destination": "/etc/sts", "type": "bind", "options": ["bind", "ro"]}
    volume = {"source": str(data), "destination": "/var/lib/sts", "type": "bind", "options": ["bind", "rw"]}
    spec = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": NOBODY, "gid": NOBODY},
            "args": [*config["Entrypoint"], *config["Cmd"]],
            "cwd": "/",
            "env": ["PATH=/usr/bin"],
            "noNewPrivileges": True,
            "capabilities": {},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 20000, "soft": 20000}],
        },
        "root": {"path": str(root), "readonly": True},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}, file, volume],
        "linux": {"namespaces": [{"type": kind} for kind in ["pid", "network", "ipc", "uts", "mount"]]},
    }
    (bundle / "config.json").write_text(json.dumps(spec))
    state = ["--root", bundle / "state"]
    name = f"sts-test-{os.getpid()}"
    process = subprocess.Popen(
        [runc, *map(str, state), "run", "--bundle", str(bundle), name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        server.until_ready(process)
        health = call(runc, *state, "exec", name, *config["Healthcheck"]["Test"][1:])
        assert (health.returncode, health.stdout) == (0, "ready\n"), health.stdout
        run(runc, *state, "kill", name, "TERM")
        assert process.wait(timeout=60) == 0
        assert (data / "data/sts.redb").stat().st_uid == NOBODY
    finally:
        call(runc, *state, "delete", "--force", name)
        process.kill()
        process.wait()
