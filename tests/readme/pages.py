"""The pages that a newcomer reads, and what is checked of them without running anything."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "deploy/docs"
# Read by people, and without commands of the server: their links are checked, and nothing is run.
OTHERS = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "sts/ARCHITECTURE.md", "deploy/README.md", "deploy/CAPACITY.md"]


@dataclass
class Block:
    """A fenced block. `info` is what stands behind its language: `file=NAME`, `refused`, `warned`, or nothing."""

    page: "Page"
    line: int
    language: str
    info: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that the block is."""
        return self.info.removeprefix("file=") if self.info.startswith("file=") else None


class Page:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(REPOSITORY))
        self.text = path.read_text()

    def blocks(self) -> list[Block]:
        """Its blocks. Each is a file, commands, or a part of a configuration; a fence that is none of these fails."""
        found = []
        for match in re.finditer(r"^```(\w*) ?(\S*)\n(.*?)^```$", self.text, re.M | re.S):
            block = Block(self, self.text.count("\n", 0, match.start()) + 1, *match.groups())
            is_part = block.language == "yaml" and block.info in ["", "refused", "warned"]
            assert block.file or is_part or (block.language == "sh" and not block.info), f"{block.place}: a block that nothing judges"
            found.append(block)
        assert len(found) * 2 == len(re.findall(r"^\s*```", self.text, re.M)), f"{self.name}: a fence that is not understood"
        return found

    def prose(self) -> str:
        """The text outside of blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.M | re.S)

    def anchors(self) -> set[str]:
        """The anchors of its headings, as GitHub makes them."""
        headings = re.findall(r"^#+ (.*)$", self.prose(), re.M)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def check_links(self) -> None:
        for target in re.findall(r"\]\(([^)\s]+)\)", self.prose()):
            if "://" in target:
                continue
            path, _, anchor = target.partition("#")
            file = (self.path.parent / path).resolve() if path else self.path
            assert file.exists(), f"{self.name} links to {target}, which is not there"
            assert not anchor or anchor in page(file).anchors(), f"{self.name} links to {target}, which has no such heading"


@cache
def page(path: Path) -> Page:
    return Page(path)


def pages() -> list[Page]:
    """The README, and the documentation in the order of its table of contents, which names every page once."""
    contents = page(DOCS / "README.md")
    listed = re.findall(r"^\| \[[^]]+\]\(([\w-]+\.md)\)", contents.text, re.M)
    there = sorted(path.name for path in DOCS.glob("*.md") if path.name != "README.md")
    assert sorted(listed) == there, f"deploy/docs/README.md lists {sorted(listed)}, and there are {there}"
    return [page(REPOSITORY / "README.md"), contents, *(page(DOCS / name) for name in listed)]


def check_links() -> None:
    for each in [*pages(), *(page(REPOSITORY / name) for name in OTHERS)]:
        each.check_links()


def check_examples() -> None:
    """What the pages print is what is committed, and a file that two pages print is the same but for the one that is edited."""
    printed = {block.file: block.text for each in pages() for block in each.blocks() if block.file}
    for name, committed in {
        "sts.yaml": "deploy/examples/sts.yaml",
        "accounts/octo.yaml": "deploy/examples/accounts/octo.yaml",
        "redis/sts.yaml": "deploy/redis/sts.yaml",
        "verify.py": "deploy/examples/verifying/python/verify.py",
        "AccessTokens.java": "deploy/examples/verifying/spring/src/main/java/com/example/AccessTokens.java",
    }.items():
        assert printed[name] == (REPOSITORY / committed).read_text(), f"the pages' {name} and {committed} differ"


def check_platforms() -> None:
    """The pages name every preset, every member of its block, and every event that is accepted without being named."""
    platforms, folder = page(DOCS / "platforms.md").text, REPOSITORY / "policy/src/preset"
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", platforms, re.M))
    for path in folder.glob("*.rs"):
        source = path.read_text()
        if not (preset := re.search(r'plain\("([a-z0-9-]+)", "([^"]+)"', source)):
            continue
        assert f"`{preset[1]}`" in platforms, f"deploy/docs/platforms.md lacks the preset {preset[1]}"
        members = set(re.findall(r'\("(\w+)", MemberPath', source))
        listed = set(re.findall(r"`(\w+)`", sections.get(preset[2], "")))
        assert members <= listed, f"deploy/docs/platforms.md lacks {members - listed} of {preset[2]}"
    accepted = re.search(r"WRITERS_EVENTS: .*?= \[(.*?)\]", (REPOSITORY / "policy/src/events.rs").read_text(), re.S)
    assert accepted
    sentence = re.search(r"accepts only events that(.*?)\. ", page(DOCS / "identities.md").text, re.S)
    events, listed = set(re.findall(r'"(\w+)"', accepted[1])), set(re.findall(r"`(\w+)`", sentence[1]))
    assert events == listed, f"deploy/docs/identities.md and policy/src/events.rs differ in {events ^ listed}"


def check_events() -> None:
    """The table of audit events has those of the schema, and no others."""
    table = re.search(r"^\| `event`.*?^$", page(DOCS / "audit.md").text, re.M | re.S)
    assert table
    listed = {name for row in table[0].splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])} - {"event"}
    schema = json.loads((REPOSITORY / "deploy/schema/decision-event.schema.json").read_text())
    assert listed == set(schema["$defs"]), f"deploy/docs/audit.md and the schema differ in {listed ^ set(schema['$defs'])}"


def check_metrics(exposition: str) -> None:
    """The table of metrics has those that the server has, and no others."""
    listed = set(re.findall(r"`((?:sts|process)_\w+)`", page(DOCS / "limits-and-metrics.md").prose()))
    served = set(re.findall(r"^# HELP (\w+)", exposition, re.M))
    sources = "".join(path.read_text() for path in (REPOSITORY / "sts/server/src/metrics").glob("*.rs"))
    written = set(re.findall(r'"((?:sts|process)_\w+)"', sources))
    assert served <= listed, f"deploy/docs/limits-and-metrics.md lacks {served - listed}"
    assert listed == written, f"deploy/docs/limits-and-metrics.md and the server differ in {listed ^ written}"
