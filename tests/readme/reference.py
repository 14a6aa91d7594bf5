"""The tables of the configuration reference, made from the JSON Schema."""

import json
from pathlib import Path

from pages import DOCS, REPOSITORY

SCHEMA = REPOSITORY / "deploy/schema/sts.schema.json"
PAGE = DOCS / "configuration.md"
BEGIN, END = "<!-- keys -->\n", "<!-- /keys -->\n"
# Sections in the order in which a reader meets them, with what stands above their table.
SECTIONS = {
    "": "The whole configuration",
    "tls": "`tls`, and `admin.tls`",
    "admin": "`admin`",
    "store": "`store`",
    "signing": "`signing`",
    "signing.pkcs11": "`signing.pkcs11`",
    "tokens": "`tokens`",
    "limits": "`limits`",
    "shutdown": "`shutdown`",
    "log": "`log`",
    "audit": "`audit`",
    "audit.file": "`audit.file`",
    "telemetry": "`telemetry`",
    "metrics": "`metrics`",
    "api_keys": "`api_keys`",
    "console": "`console`",
    "manage": "`manage`",
    "issuers.NAME": "An issuer entry: `issuers.NAME`",
    "apis.NAME": "An API: `apis.NAME`",
    "directories.NAME": "A directory: `directories.NAME`",
    "directories.NAME.bind": "`bind` of a directory",
    "teams.NAME": "A team: `teams.NAME`",
    "teams.NAME.external_groups[]": "A group that gives a team: `teams.NAME.external_groups`",
    "service_accounts.NAME": "A service account: `service_accounts.NAME`",
    "service_accounts.NAME.delegation": "`delegation` of a service account",
    "service_accounts.NAME.external_login": "`external_login` of a service account",
    "service_accounts.NAME.identities[]": "An identity: `service_accounts.NAME.identities`",
    "tests[]": "A policy test: `tests`",
    "tests[].expect": "`expect` of a policy test",
}


def check(bless: bool) -> None:
    """Fails where the tables are stale; with `bless` writes them anew."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    fresh = before + BEGIN + tables(json.loads(SCHEMA.read_text())) + END + after
    if bless:
        PAGE.write_text(fresh)
    assert bless or fresh == text, f"{PAGE.relative_to(REPOSITORY)} is stale: run `tests/readme/run --bless`"


def tables(schema: dict) -> str:
    found: dict[str, dict] = {}
    collect(schema, "", found)
    left = set(found) - set(SECTIONS) - {"admin.tls"}
    assert not left, f"tests/readme/reference.py has no heading for {left}"
    return "".join(table(title, found[place]) for place, title in SECTIONS.items() if place in found)


def collect(schema: dict, place: str, found: dict[str, dict]) -> None:
    """Every mapping with keys of its own, by its place."""
    for form in [schema, *schema.get("anyOf", [])]:
        if "properties" in form:
            found[place] = form
            for name, value in form["properties"].items():
                collect(value, f"{place}.{name}".lstrip("."), found)
        if isinstance(form.get("additionalProperties"), dict):
            collect(form["additionalProperties"], f"{place}.NAME", found)
        if isinstance(form.get("items"), dict):
            collect(form["items"], f"{place}[]", found)


def table(title: str, section: dict) -> str:
    required = section.get("required", [])
    rows = [f"\n## {title}\n\n| key | what it is | default |\n|---|---|---|\n"]
    for name, value in section["properties"].items():
        default = f"`{written(value['default'])}`" if "default" in value else "required" if name in required else ""
        description = value.get("description", "").replace("|", "\\|")
        choices = value.get("enum")
        one_of = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
        rows.append(f"| `{name}` | {description}{one_of} | {default} |\n")
    return "".join(rows)


def written(value: object) -> str:
    """A default as YAML."""
    return value if isinstance(value, str) else json.dumps(value)
