"""Alert rules and the dashboard: promtool runs the rules' tests, and each query names metrics and labels that a server has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import server
import tools
from tools import DEPLOY, call, run

PROMETHEUS = DEPLOY / "prometheus"
DASHBOARD = DEPLOY / "grafana/sts.json"
# Labels that Prometheus adds.
OF_SCRAPE = {"instance", "job", "alertname", "alertstate", "severity"}
# Functions, operators and units look like labels in a query.
SUFFIXES = ["_bucket", "_sum", "_count"]


def check(binary: Path, scratch: Path) -> Iterator[str]:
    promtool = tools.debian("promtool", "prometheus")
    run(promtool, "check", "rules", PROMETHEUS / "rules.yaml")
    run(promtool, "test", "rules", PROMETHEUS / "rules.test.yaml")
    alerts = re.findall(r"- alert: (\w+)", (PROMETHEUS / "rules.yaml").read_text())
    fired = re.findall(r'alertname="(\w+)"', (PROMETHEUS / "rules.test.yaml").read_text())
    assert sorted(alerts) == sorted(fired), f"alerts without a test that fires them, or the reverse: {set(alerts) ^ set(fired)}"
    yield f"each of {len(alerts)} alerts fires when it should, and none when all is well"

    metrics = documented()
    queries = dashboard_queries()
    for place, query in [*queries, *rule_queries()]:
        check_names(place, query, metrics)
    (scratch / "queries.yaml").write_text(json.dumps(as_rules(queries)))
    run(promtool, "check", "rules", scratch / "queries.yaml")
    unseen = {name for name in metrics if name.startswith("sts_")} - {name for _, query in queries for name in names_in(query, metrics)}
    # They only tell key sets from each other, and serve the alert on short certificates.
    assert unseen <= {"sts_issuer_key_set_info", "sts_certificate_not_before_timestamp_seconds", "sts_status_lists", "sts_status_list_invalid_tokens", "sts_directory_searches_total"}, (
        f"{DASHBOARD.name} shows nothing of {unseen}"
    )
    yield f"{len(queries)} queries of the dashboard are sound, and name what a server tells"

    with server.serve(binary, server.config(scratch)) as running:
        exposition = running.get(running.admin, "/metrics")
    served = set(re.findall(r"^# TYPE (\w+)", exposition, re.M))
    assert served <= set(metrics), f"limits-and-metrics.md lacks {served - set(metrics)}"
    (scratch / "metrics").write_text(exposition)
    linted = call("sh", "-c", f"{promtool} check metrics <{scratch / 'metrics'}")
    assert linted.returncode == 0 and not linted.stdout.strip(), linted.stdout
    yield f"promtool finds nothing in the {len(served)} metrics of a server"


def documented() -> dict[str, set[str]]:
    """The labels of each metric. tests/readme holds that this table has what the server has."""
    found: dict[str, set[str]] = {}
    for row in re.findall(r"^\| (`(?:sts|process)_.*?) \|", (DEPLOY / "docs/limits-and-metrics.md").read_text(), re.M):
        for names, labels in re.findall(r"((?:`(?:sts|process)_\w+`(?:, )?)+)((?: \([^)]*\))?)", row):
            for name in re.findall(r"(?:sts|process)_\w+", names):
                found[name] = set(re.findall(r"`(\w+)`", labels))
        # Metrics of one row without labels of their own have those of the row.
        of_row = set(re.findall(r"`([a-z]\w*)`", re.sub(r"`sts_\w+`", "", row)))
        for name in re.findall(r"sts_\w+", row):
            found[name] = found.get(name) or of_row
    return found


def dashboard_queries() -> list[tuple[str, str]]:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)), "two panels have one id"
    queries = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    # What Grafana puts in.
    return [(title, query.replace("$__rate_interval", "5m").replace("$instance", ".*")) for title, query in queries]


def rule_queries() -> list[tuple[str, str]]:
    return re.findall(r"- alert: (\w+)\n(?: +#.*\n)* +expr: (.*)", (PROMETHEUS / "rules.yaml").read_text())


def as_rules(queries: list[tuple[str, str]]) -> dict[str, object]:
    rules = [{"record": f"query:{index}", "expr": query} for index, (_, query) in enumerate(queries)]
    return {"groups": [{"name": "dashboard", "rules": rules}]}


def names_in(query: str, metrics: dict[str, set[str]]) -> list[str]:
    names = []
    for name in re.findall(r"\bsts_\w+", query):
        family = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.removesuffix(suffix) in metrics), name)
        names.append(family)
    return names


def check_names(place: str, query: str, metrics: dict[str, set[str]]) -> None:
    known = set(OF_SCRAPE) | {"le"}
    for name in names_in(query, metrics):
        assert name in metrics, f"{place}: no server has the metric {name}"
        known |= metrics[name]
    used = set(re.findall(r"[{,]\s*(\w+)\s*[=!]", query))
    for group in re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", query):
        used |= set(re.findall(r"\w+", group))
    assert used <= known, f"{place}: its metrics have no label {used - known}"
