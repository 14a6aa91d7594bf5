"""The Debian package and its unit: made twice, looked at by lintian, and run by systemd on a machine of its own."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import tools
from tools import DEPLOY, REPOSITORY, Skipped, run

UNIT = DEPLOY / "debian/sts.service"
# In tenths of what `systemd-analyze security` prints.
MOST_EXPOSURE = 20


def check(binary: Path, scratch: Path) -> Iterator[str]:
    tools.debian("dpkg-deb", "dpkg")
    package = build(binary, scratch / "first")
    assert package.read_bytes() == build(binary, scratch / "second").read_bytes(), "the package differs from one build to the next"
    lintian = tools.debian("lintian", "lintian")
    run(lintian, "--fail-on", "error", package)
    yield "the package is the same each time, and lintian finds no error"
    yield f"the unit's exposure is {exposure()}, of {MOST_EXPOSURE / 10} at most"
    run_on_machine(package)
    yield "systemd starts, reloads, upgrades, stops and removes it"


def build(binary: Path, folder: Path) -> Path:
    folder.mkdir()
    # Packing well takes long, and says nothing more.
    return Path(run(DEPLOY / "debian/build", binary, folder, env=os.environ | {"DPKG_DEB_COMPRESSOR_TYPE": "gzip", "DPKG_DEB_COMPRESSOR_LEVEL": "1"}).strip())


def exposure() -> str:
    if not shutil.which("systemd-analyze"):
        raise Skipped("`systemd-analyze` is missing: install the package systemd")
    printed = run("systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for sts.service: ([\d.]+)", printed)
    assert found, printed
    return found[1]


def run_on_machine(package: Path) -> None:
    if os.geteuid() != 0:
        raise Skipped("only root can boot systemd on a copy of this machine")
    if not Path("/lib/systemd/systemd").exists():
        raise Skipped("systemd is not on this machine: install the package systemd")
    tools.may_make_cgroups()
    for command, package_of_it in [("adduser", "adduser"), ("curl", "curl"), ("pivot_root", "util-linux")]:
        tools.debian(command, package_of_it)
    tools.may_make_namespaces()
    run(REPOSITORY / "tests/deploy/machine", REPOSITORY / "tests/deploy/package", package)
