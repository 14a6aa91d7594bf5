"""The Helm chart: the real helm lints and renders it, the schemas of Kubernetes take what comes out, and `sts check` the configuration in it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import tools
from tools import DEPLOY, REPOSITORY, call, run

CHART = DEPLOY / "helm/sts"
# helm as `go install` builds it takes itself for that of a very old cluster. The oldest and the newest that the chart is for.
CLUSTERS = ["1.25.0", "1.33.0"]
# What must not be installed, and a word of the reason.
REFUSED = [
    ("embedded", {"replicas": 2}, "embedded store"),
    ("embedded", {"replicas": 0}, "replicas"),
    ("embedded", {"image.repository": ""}, "image.repository"),
    ("embedded", {"config.issuer": ""}, "config.issuer"),
    ("embedded", {"config.issuer": "http://sts.example.com"}, "issuer"),
    ("embedded", {"config.behind_tls_proxy": None}, "somebody must end TLS"),
    ("embedded", {"config.listen": "0.0.0.0:80"}, "config"),
    ("embedded", {"config.admin.listen": "0.0.0.0:9090"}, "config"),
    ("embedded", {"config.signing.keys_dir": "/keys"}, "keys.existingClaim"),
    ("embedded", {"config.signing.store": "redis"}, "keys.sealSecret"),
    ("embedded", {"keys.sealSecret.name": "sts-seal"}, "redis.url"),
    ("embedded", {"metrics.enabled": True}, "metrics.tlsSecretName"),
    ("embedded", {"config.metrics.listen": "0.0.0.0:9464"}, "config"),
    ("embedded", {"metrics.listen": "127.0.0.1:9464"}, "listen"),
    ("claim", {"metrics.tlsSecretName": "sts-admin-tls"}, "not both"),
    ("claim", {"metrics.listen": "0.0.0.0:8080"}, "other listeners"),
    ("claim", {"metrics.from": None}, "metrics.from"),
    ("embedded", {"metrics.serviceMonitor.enabled": True}, "needs metrics.enabled"),
    ("embedded", {"no_such_value": 1}, "no_such_value"),
    ("redis", {"keys.sealSecret.name": ""}, "ReadWriteMany"),
    ("claim", {"keys.existingClaim": ""}, "keys.sealSecret"),
    ("redis", {"redis.url": ""}, "redis.url"),
    ("redis", {"redis.url": "rediss://sts:a-password@redis.example.com"}, "/redis/url"),
    ("redis", {"metrics.from": None}, "metrics.from"),
]


def check(binary: Path, scratch: Path) -> Iterator[str]:
    helm, python = tools.go("helm"), tools.python()
    for name in ["embedded", "redis", "claim"]:
        values = CHART / f"ci/{name}.yaml"
        for cluster in CLUSTERS:
            run(helm, "lint", "--strict", CHART, "--kube-version", cluster, "--values", values)
            text = run(helm, "template", "sts", CHART, "--kube-version", cluster, "--values", values)
            file = scratch / f"{name}-{cluster}.yaml"
            file.write_text(text)
            run(python / "kubernetes-validate", "--strict", "--kubernetes-version", cluster.rpartition(".")[0], "--quiet", file)
        objects = read(python, scratch / f"{name}-{CLUSTERS[-1]}.yaml")
        check_privileges(objects)
        check_exposure(objects, metrics={"redis": "admin", "claim": "metrics"}.get(name))
        check_volumes(objects, shares_volume=name == "claim")
        check_configuration(binary, objects, scratch / name)
    yield "helm lints and renders it, Kubernetes' schemas take it, and `sts check` its configuration"

    (scratch / "previous.yaml").write_text(run(*render(helm, "redis"), *setting("keys.sealSecret.previousKey", "old")))
    objects = read(python, scratch / "previous.yaml")
    check_configuration(binary, objects, scratch / "previous")
    (seal,) = [volume["secret"] for volume in pod(objects)["spec"]["volumes"] if volume["name"] == "seal"]
    assert {item["key"]: item["path"] for item in seal["items"]} == {"key": "seal", "old": "previous"}, seal
    (text,) = [each["data"]["sts.yaml"] for each in of_kind(objects, "ConfigMap") if "sts.yaml" in each["data"]]
    assert text.index("/etc/sts/keys/seal") < text.index("/etc/sts/keys/previous"), text
    yield "the key that seals the signing keys can be replaced"

    (scratch / "moved.yaml").write_text(run(*render(helm, "redis"), *setting("keys.existingClaim", "sts-keys")))
    objects = read(python, scratch / "moved.yaml")
    check_volumes(objects, shares_volume=True)
    check_configuration(binary, objects, scratch / "moved")
    (text,) = [each["data"]["sts.yaml"] for each in of_kind(objects, "ConfigMap") if "sts.yaml" in each["data"]]
    assert "keys_dir: /var/lib/sts-keys/keys" in text and "store: redis" in text, text
    yield "signing keys can be moved from a claim to Redis"

    for name, changes, reason in REFUSED:
        done = call(*render(helm, name), *(part for change in changes.items() for part in setting(*change)))
        assert done.returncode != 0 and reason in done.stdout, f"{name} with {changes}: expected a refusal with `{reason}`, got\n{done.stdout}"
    yield f"it refuses {len(REFUSED)} kinds of values that could not work"

    sums = {checksum(python, scratch, run(*render(helm, "embedded"), *extra)) for extra in [(), setting("accounts.octo\\.yaml.teams.x.grants.deploy[0]", "releases:read")]}
    assert len(sums) == 1, "a change of an account file restarts the servers"
    sums.add(checksum(python, scratch, run(*render(helm, "embedded"), *setting("config.log.level", "debug"))))
    assert len(sums) == 2, "a change of sts.yaml restarts no server"
    yield "a change of sts.yaml restarts the servers, one of an account file does not"


def render(helm: Path, name: str) -> list[object]:
    return [helm, "template", "sts", CHART, "--kube-version", CLUSTERS[-1], "--values", CHART / f"ci/{name}.yaml"]


def setting(key: str, value: object) -> list[str]:
    return ["--set-json", f"{key}={json.dumps(value)}"]


def read(python: Path, file: Path) -> list[dict]:
    script = "import json, sys, yaml; print(json.dumps([each for each in yaml.safe_load_all(open(sys.argv[1])) if each]))"
    return json.loads(run(python / "python", "-c", script, file))


def of_kind(objects: list[dict], kind: str) -> list[dict]:
    return [each for each in objects if each["kind"] == kind]


def pod(objects: list[dict]) -> dict:
    return of_kind(objects, "StatefulSet")[0]["spec"]["template"]


def check_privileges(objects: list[dict]) -> None:
    """What the Pod Security Standard `restricted` asks for, and more."""
    spec = pod(objects)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "env" not in container, "secrets come as files"
    kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "projected", "secret", "persistentVolumeClaim"}, kinds
    assert container["resources"]["limits"]["memory"]
    assert {each["kind"] for each in objects}.isdisjoint({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Secret"})


def check_exposure(objects: list[dict], metrics: str | None) -> None:
    """What can be reached from outside the pod. `metrics` is the port that serves them there, if one does."""
    services = {each["metadata"]["name"]: [port["targetPort"] for port in each["spec"]["ports"]] for each in of_kind(objects, "Service")}
    assert services == ({"sts": ["http"], "sts-metrics": [metrics]} if metrics else {"sts": ["http"]}), services
    (container,) = pod(objects)["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": 8080} | ({metrics: {"admin": 9090, "metrics": 9464}[metrics]} if metrics else {}), ports
    (text,) = [each["data"]["sts.yaml"] for each in of_kind(objects, "ConfigMap") if "sts.yaml" in each["data"]]
    assert ("0.0.0.0:9090" in text) == (metrics == "admin") and ("0.0.0.0:9464" in text) == (metrics == "metrics"), text
    (policy,) = of_kind(objects, "NetworkPolicy")
    for rule in policy["spec"]["ingress"]:
        assert rule["ports"][0]["port"] == "http" or rule["from"], "anybody may reach the metrics, or the admin listener"
    admitted = [rule["ports"][0]["port"] for rule in policy["spec"]["ingress"]]
    assert admitted == ["http", *([metrics] if metrics else [])], admitted
    (claims,) = of_kind(objects, "StatefulSet")[0]["spec"]["volumeClaimTemplates"]
    assert claims["spec"]["accessModes"] == ["ReadWriteOnce"]
    replicas = of_kind(objects, "StatefulSet")[0]["spec"]["replicas"]
    assert len(of_kind(objects, "PodDisruptionBudget")) == (1 if replicas > 1 else 0)
    monitors = of_kind(objects, "ServiceMonitor")
    assert len(monitors) == (1 if metrics else 0)
    for monitor in monitors:
        labels = monitor["spec"]["selector"]["matchLabels"]
        chosen = [each["metadata"]["name"] for each in of_kind(objects, "Service") if labels.items() <= each["metadata"]["labels"].items()]
        assert chosen == ["sts-metrics"], chosen
        (endpoint,) = monitor["spec"]["endpoints"]
        assert (endpoint["port"], endpoint["scheme"]) == (metrics, "https" if metrics == "admin" else "http"), endpoint
        assert ("tlsConfig" in endpoint) == (metrics == "admin"), endpoint


def check_volumes(objects: list[dict], shares_volume: bool) -> None:
    """Whether the replicas write to a volume that they share. Each has one of its own for `data_dir`."""
    shared = [volume["name"] for volume in pod(objects)["spec"]["volumes"] if "persistentVolumeClaim" in volume]
    assert shared == (["keys"] if shares_volume else []), shared


def check_configuration(binary: Path, objects: list[dict], site: Path) -> None:
    """The files as the pod sees them, below another folder."""
    mounts = {mount["name"]: mount["mountPath"] for mount in pod(objects)["spec"]["containers"][0]["volumeMounts"]}
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(objects, "ConfigMap")}
    for volume in pod(objects)["spec"]["volumes"]:
        if "configMap" not in volume:
            continue
        folder = site / mounts[volume["name"]].lstrip("/")
        folder.mkdir(parents=True)
        for name, text in maps[volume["configMap"]["name"]].items():
            (folder / name).write_text(text.replace("/etc/sts/", f"{site}/etc/sts/"))
    # An authority is no secret, and must be there.
    authority = site / "etc/sts/redis/ca.crt"
    authority.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / "tests/corpus/tls/server.crt", authority)
    started_with = pod(objects)["spec"]["containers"][0]["args"][-1]
    run(binary, "check", "--without-secrets", "--config", f"{site}{started_with}")


def checksum(python: Path, scratch: Path, text: str) -> str:
    (scratch / "rendered.yaml").write_text(text)
    return pod(read(python, scratch / "rendered.yaml"))["metadata"]["annotations"]["checksum/config"]
