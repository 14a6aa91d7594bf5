"""The workflows of GitHub: actionlint and zizmor find nothing, and every action of others is fixed by a commit. What a release publishes."""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import tools
from tools import REPOSITORY, run

WORKFLOWS = REPOSITORY / ".github/workflows"
# Ours. actionlint reads workflows alone.
ACTION = REPOSITORY / "deploy/github-action/action.yml"


def check(binary: Path, scratch: Path) -> Iterator[str]:
    # First, because linters may not be had here.
    check_release(binary, scratch)
    yield "a release has the binary, the package, the bill of materials, the notes and the checksums of all"
    files = sorted(WORKFLOWS.glob("*.yml"))
    for file in files:
        for action in re.findall(r"uses: (\S+)", file.read_text()):
            assert re.search(r"@[0-9a-f]{40}$", action), f"{file.name}: {action} is not fixed by a commit"
    # Scripts in steps are looked at by shellcheck where it is.
    run(tools.go("actionlint"), *files)
    run(tools.python() / "zizmor", "--offline", "--persona", "pedantic", "--no-progress", "--color", "never", *files, ACTION)
    yield f"actionlint and zizmor find nothing in {', '.join(file.name for file in [*files, ACTION])}"


def check_release(binary: Path, scratch: Path) -> None:
    run(REPOSITORY / ".ci/release", scratch, binary, env=os.environ | {"DPKG_DEB_COMPRESSOR_TYPE": "none"})
    run("sha256sum", "--check", "SHA256SUMS", cwd=scratch)
    made = sorted(path.name for path in scratch.iterdir())
    summed = [line.split()[1] for line in (scratch / "SHA256SUMS").read_text().splitlines()]
    assert sorted([*summed, "SHA256SUMS", "notes.md"]) == made and len(summed) == 3, made
    assert "### " in (scratch / "notes.md").read_text() and "\n## " not in (scratch / "notes.md").read_text()
    (bill,) = scratch.glob("*.cdx.json")
    names = {component["name"] for component in json.loads(bill.read_text())["components"]}
    assert {"aws-lc-rs", "redb", "redis", "sts-policy"} <= names and "sts-testkit" not in names, names
    locked = {package["name"] for package in tomllib.loads((REPOSITORY / "Cargo.lock").read_text())["package"]}
    assert names < locked
