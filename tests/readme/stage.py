"""A machine on which the pages are followed: what is elsewhere in the world is replaced, and each command is judged by what came of it."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import urllib.parse
import urllib.request
from pathlib import Path

from pages import REPOSITORY, Block, check_metrics
from process import DEADLINE, Process, free_ports, virtual_environment

# What GitHub says of the job in the README.
PRODUCTION = {
    "sub": "repo:octo-org/octo-repo:environment:production",
    "repository": "octo-org/octo-repo",
    "repository_id": "1296269",
    "environment": "production",
    "event_name": "push",
}
# What it says of the two jobs on the page of the grants, by the file that the ID token goes to.
OF_GRANTS = {f"{name}.token": {"sub": f"repo:octo-org/octo-repo:environment:{name}", "environment": name} for name in ["release", "helper"]}
# What it says of the job that runs at night.
NIGHTLY = {"sub": "repo:octo-org/octo-repo:environment:nightly", "environment": "nightly"}
# A file that is there where SoftHSM is.
PKCS11_MODULE = "/usr/lib/softhsm/libsofthsm2.so"
# What a part of a configuration takes from elsewhere, unless it says its own.
AROUND = {
    "issuer": "issuer: https://sts.example.com\n",
    "data_dir": "data_dir: data\n",
    "issuers": """issuers:
  github: { issuer: "https://token.actions.githubusercontent.com" }
  gitlab: { issuer: "https://gitlab.com" }
  cluster: { issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF" }
""",
    "apis": """apis:
  deploy: { audience: "https://deploy.example.com", scopes: ["deployments:create", "releases:read"] }
""",
}


class Stage:
    """`STS_BIN` names a binary to take in place of building one: for who edits the pages."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.public, self.admin, self.deploy = free_ports(3)
        self.processes: list[Process] = []
        self.server: Process | None = None
        self.github = ""  # the stand-in's `iss`
        self.minted = 0
        self.binary = os.environ.get("STS_BIN")
        self.venv = virtual_environment()
        self.environment = os.environ | {
            "PATH": f"{home}/installed/bin:{self.venv}/bin:{os.environ['PATH']}",
            "GITHUB_ENV": f"{home}/github_env",
            "no_proxy": "127.0.0.1",
        }

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        for process in self.processes:
            process.end()
            if kind:
                print(f"-- {process.command}\n{process.rest()}", file=sys.stderr)

    def local(self, file: str, text: str) -> str:
        """`text` with this machine in place of what the pages name."""
        replaced = {
            "sts.yaml": {
                "listen: 0.0.0.0:8080": f"listen: 127.0.0.1:{self.public}\nadmin: {{ listen: 127.0.0.1:{self.admin} }}",
                "behind_tls_proxy: [10.1.2.3/32]": "behind_tls_proxy: [127.0.0.1/32]",
                "/var/lib/sts": f"{self.home}/data",
                "https://token.actions.githubusercontent.com": f"{self.github}\n    preset: github-actions\n    allow_http: true",
            },
            ".github/workflows/deploy.yml": {"POST https://deploy.example.com": f"POST http://127.0.0.1:{self.deploy}"},
            "job.json": {"https://token.actions.githubusercontent.com": self.github},
        }.get(file, {})
        for there, here in replaced.items():
            assert there in text, f"{file} no longer has {there}"
            text = text.replace(there, here)
        text = text.replace("https://sts.example.com", f"http://127.0.0.1:{self.public}")
        if file:
            return text
        # A token of a minute would be gone before the pages are at their end on a slow machine.
        text = text.replace("--expires-in 60", "--expires-in 900")
        return text.replace("127.0.0.1:9090", f"127.0.0.1:{self.admin}").replace("/var/lib/sts", f"{self.home}/data")

    # -- blocks

    def follow(self, block: Block) -> None:
        if block.file:
            self.write(block)
        elif block.language == "sh":
            self.run(block)
        else:
            self.check_part(block)

    def write(self, block: Block) -> None:
        print(f"{block.place}: {block.file}", flush=True)
        path = self.home / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.local(block.file, block.text))
        if self.server and block.file in ["sts.yaml", "accounts/octo.yaml"]:
            self.server.until("the configuration was reloaded")
        if block.file == ".github/workflows/deploy.yml":
            self.exchange_in_workflow()
        if block.file == ".github/workflows/release.yml":
            self.action_in_workflow(path.read_text())
        if block.file == "verify.py":
            self.deploy_in_workflow()
        if block.file == "redis/sts.yaml":
            shutil.copy(REPOSITORY / "tests/corpus/tls/server.crt", path.parent / "redis-ca.crt")
            self.succeed(f"sts check --without-secrets --config {block.file}")
        if block.file.startswith("answers/"):
            self.compare_answer(block)
        if block.file == "answer.json":
            self.documented_answer = json.loads(block.text)

    def check_part(self, block: Block) -> None:
        """A part of a configuration loads without a finding, with what stands around it; `warned` has warnings, `refused` is unsafe."""
        print(f"{block.place}: a configuration{block.info and f' that is {block.info}'}", flush=True)
        own = re.findall(r"^(\w+):", block.text, re.M)
        folder = self.home / "part"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "sts.yaml").write_text("".join(text for key, text in AROUND.items() if key not in own) + block.text.replace(PKCS11_MODULE, "ca.pem"))
        shutil.copy(REPOSITORY / "tests/corpus/tls/server.crt", folder / "ca.pem")
        (folder / "staging.jwks.json").write_bytes(self.fetch("/.well-known/jwks.json"))
        sealing_key = base64.b64encode(bytes(range(32))).decode()
        secrets = dict.fromkeys(["keys.token", "deploy.secret", "corp.secret", "console.secret", "pin.secret"], "stand-in-for-a-secret")
        for secret, text in (secrets | {"seal.key": sealing_key}).items():
            (folder / secret).touch(0o600)
            (folder / secret).write_text(text)
        done = self.call("sts check --json", folder)
        expected = 1 if block.info == "refused" else 0
        assert done.returncode == expected, f"{block.place}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        if block.info != "refused":
            assert bool(json.loads(done.stdout)["diagnostics"]) == (block.info == "warned"), f"{block.place}: {done.stdout}"

    def run(self, block: Block) -> None:
        judges = {
            "make dev": self.make_dev,
            "make test": lambda _: None,  # which runs this
            "cargo install": self.cargo_install,
            "pip install": self.succeed,
            "mkdir": self.succeed,
            "curl": self.succeed,
            'curl -sS --fail -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN"': self.curl_id_token,
            "jq": self.succeed,
            "bash dpop.sh": self.succeed,
            "curl -sS --fail http://127.0.0.1:9090/metrics": self.curl_metrics,
            "sts init": self.sts_init,
            "sts check": self.sts_check,
            "sts check --strict --config from-gitlab": self.succeed,
            "sts check --config deploy/examples": self.sts_check_examples,
            "sts doctor": self.sts_doctor,
            "sts serve": self.sts_serve,
            "sts exchange": self.sts_exchange,
            "sts exchange --url https://sts.example.com --account build-bot": self.sts_exchange_of_bot,
            "sts exec": self.sts_exec,
            "sts apply": self.sts_apply,
            "sts get": self.sts_get,
            "sts console link": self.sts_console_link,
            "sts disable": self.succeed,
            "sts enable": self.succeed,
            "sts delete": self.succeed,
            "(umask 077; sts api-keys create": self.sts_api_keys_create,
            "sts api-keys list": self.sts_api_keys_list,
            "sts api-keys revoke": self.sts_api_keys_revoke,
            "sts explain --denial": self.sts_explain_denial,
            "sts explain --claims": self.sts_explain_claims,
            "sts explain --audit": self.sts_explain_audit,
            "sts audit tail": self.sts_audit_tail,
            "sts audit tail --follow": self.sts_audit_follow,
            "sts audit verify": self.sts_audit_verify,
            "sts denials list": self.sts_denials_list,
            "sts denials show": self.sts_denials_show,
            "sts tokens list": self.sts_tokens_list,
            "sts tokens revoke": self.sts_tokens_revoke,
            "sts tokens rules list": self.sts_rules_list,
            "sts tokens rules undo": self.sts_rules_undo,
            "sts keys list": self.sts_keys_list,
            "sts keys rotate": self.sts_keys_rotate,
            "sts keys withdraw": self.sts_keys_withdraw,
            "sts issuers list": self.sts_issuers_list,
            "sts issuers show": self.sts_issuers_list,
            "sts issuers refresh": self.sts_issuers_refresh,
            "sts issuers history": self.sts_issuers_history,
            "sts store accept-epoch": self.sts_accept_epoch,
            "sts store backup": self.sts_store_backup,
            "sts schema": self.sts_schema,
        }
        for command in block.text.replace("\\\n", "").splitlines():
            print(f"{block.place}: {command}", flush=True)
            fitting = [start for start in judges if command.startswith(start)]
            assert fitting, "no judge for this command"
            judges[max(fitting, key=len)](self.local("", command))

    # -- the commands

    def make_dev(self, command: str) -> None:
        if self.binary:
            # Its name is that of the commands on the pages.
            (self.home / "installed/bin").mkdir(parents=True)
            shutil.copy(self.binary, self.home / "installed/bin/sts")
            command = "sts dev"
        dev = self.start(command, REPOSITORY)
        printed = dev.until("Serving until Ctrl-C")
        for what in ["Claims in:", "Decision:", "Claims out:", "introspect: active false"]:
            assert what in printed, f"{command} does not show {what!r}"
        exported = dict(re.findall(r"^export (\w+)='(.*)'$", printed, re.M))
        self.environment |= exported
        url = exported["ACTIONS_ID_TOKEN_REQUEST_URL"]
        self.github = url.partition("/token?")[0]

    def cargo_install(self, command: str) -> None:
        # Without optimisation, whose cost says nothing about the command.
        if not self.binary:
            self.succeed(f"{command} --debug --quiet --root {self.home}/installed", REPOSITORY)

    def sts_check(self, command: str) -> None:
        printed = self.succeed(command)
        tests = len(re.findall(r"^  - name: .*\n    token:", (self.home / "accounts/octo.yaml").read_text(), re.M))
        assert f"{tests} policy tests passed" in printed, printed

    def sts_init(self, command: str) -> None:
        printed = self.succeed(command)
        for name in ["sts.yaml", "accounts/deployer.yaml", "workload/gitlab-ci.yml"]:
            assert f"  from-gitlab/{name}\n" in printed and (self.home / "from-gitlab" / name).exists(), printed

    def sts_check_examples(self, command: str) -> None:
        printed = self.succeed(command, REPOSITORY)
        assert re.search(r"[1-9]\d+ policy tests passed", printed), printed

    def sts_serve(self, command: str) -> None:
        self.server = self.start(command, self.home)
        self.server.until("ready")
        self.fetch("/.well-known/jwks.json")
        for path in ["readyz", "metrics"]:
            urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/{path}", timeout=DEADLINE).close()

    def curl_metrics(self, command: str) -> None:
        check_metrics(self.succeed(command))

    def curl_id_token(self, command: str) -> None:
        self.succeed(command, job=PRODUCTION | OF_GRANTS[command.rpartition(" > ")[2]])

    def compare_answer(self, block: Block) -> None:
        """The answer that a page prints is the one that came, but for what differs each time."""
        printed, came = json.loads(block.text), json.loads((self.home / Path(block.file).name).read_text())
        assert set(printed) == set(came), f"{block.place}: {came}"
        for name in set(printed) - {"access_token", "request_id", "error_description", "expires_in"}:
            assert printed[name] == came[name], f"{block.place}: {name} is {came[name]}"
        assert came.get("expires_in", 1) <= printed.get("expires_in", 1), f"{block.place}: {came}"

    def exchange_in_workflow(self) -> None:
        printed = self.succeed(self.step("exchange"), job=PRODUCTION)
        assert printed.startswith("::add-mask::ey"), printed
        self.minted += 1
        refused = self.fail(self.step("exchange"), job=PRODUCTION | {"event_name": "pull_request"})
        self.environment["REQUEST_ID"] = json.loads(refused)["request_id"]

    def action_in_workflow(self, workflow: str) -> None:
        """The step that `uses` our action, run as a runner does, with what comes after the job."""
        if not shutil.which("node"):
            print("skipped: the action, for there is no node on this machine", flush=True)
            return
        action, given = re.search(r"- uses: octo-org/sts/(\S+)@[0-9a-f]{40}\n +with: \{(.*)\}", workflow).groups()
        assert (REPOSITORY / action / "action.yml").exists(), action
        inputs = dict(re.findall(r'([a-z-]+): "?([^",}]+[^",} ])"?', given))
        job = self.environment | {"ACTIONS_ID_TOKEN_REQUEST_URL": self.request_url(PRODUCTION)}
        wanted = {name: job[name] for name in ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"]}
        runner = REPOSITORY / "tests/clients/run-action.mjs"
        done = subprocess.run(["node", runner], env=job, input=json.dumps([inputs, wanted]), text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        ran = json.loads(done.stdout)
        assert ran["exported"]["STS_ACCESS_TOKEN"].startswith("ey"), ran
        assert ran["outputs"]["scope"] == inputs["scope"] and "revoked" in ran["after"][-1], ran
        self.minted += 1

    def sts_exchange(self, command: str) -> None:
        printed = self.succeed(command, job=PRODUCTION)
        self.minted += 1
        if "--output json" in command:
            assert set(json.loads(printed)) == set(self.documented_answer), printed
        else:
            self.environment["ACCESS_TOKEN"] = printed.strip()
            assert printed.startswith("ey"), printed

    def sts_exchange_of_bot(self, command: str) -> None:
        assert self.succeed(command, job=PRODUCTION | NIGHTLY).startswith("ey")

    def sts_exec(self, command: str) -> None:
        assert self.succeed(command, job=PRODUCTION).strip().endswith("access-token")
        self.minted += 1

    def sts_apply(self, command: str) -> None:
        printed = self.succeed(command)
        assert re.search(r"\b[12] created", printed), printed
        assert ("dry run" in printed) == ("--dry-run" in command), printed

    def sts_get(self, command: str) -> None:
        assert "nightly-report" in self.succeed(command)

    def sts_api_keys_create(self, command: str) -> None:
        self.succeed(command)
        file = self.home / command.rpartition(" > ")[2].removesuffix(")")
        assert file.stat().st_mode & 0o777 == 0o600, "others can read the key"
        key = file.read_text().strip()
        assert re.fullmatch(r"sts_[0-9A-Za-z]{54}", key), "no key was printed"
        self.environment["API_KEY_ID"] = key[4:16]

    def sts_console_link(self, command: str) -> None:
        link = self.succeed(command).strip()
        with urllib.request.urlopen(link) as answer:
            assert b"Open the console" in answer.read(), link

    def sts_api_keys_list(self, command: str) -> None:
        assert self.environment["API_KEY_ID"] in self.succeed(command)

    def sts_api_keys_revoke(self, command: str) -> None:
        self.succeed(command)
        assert self.environment["API_KEY_ID"] not in self.succeed("sts api-keys list")

    def sts_explain_denial(self, command: str) -> None:
        printed = self.fail(command)
        assert re.match(r"refused: .*octo-deploy.*event_name.*pull_request", printed), printed

    def sts_denials_list(self, command: str) -> None:
        assert "not_authorized" in self.succeed(command)

    def sts_denials_show(self, command: str) -> None:
        assert self.environment["REQUEST_ID"] in self.succeed(command)

    def deploy_in_workflow(self) -> None:
        """The job's second step, against an API that verifies as the page says; and what such an API refuses."""
        api = (REPOSITORY / "tests/readme/api.py", self.deploy, "deployments:create")
        self.start(" ".join(["python3", *map(str, api)]), self.home).until("listening")
        token = (self.home / "github_env").read_text().strip().partition("=")[2]
        deploy = self.step("deploy")
        sub = json.loads(self.succeed(deploy, environment={"ACCESS_TOKEN": token}))["sub"]
        assert sub == "octo-deploy", sub
        head, _, signature = token.rpartition(".")
        other = self.id_token(PRODUCTION)
        for wrong in [head + "." + signature[::-1], other, ""]:
            self.fail(deploy, environment={"ACCESS_TOKEN": wrong})

    def tokens(self, command: str = "sts tokens list --account octo-deploy --identity production") -> list[list[str]]:
        return [line.split()[1:7] for line in self.succeed(command).splitlines()[1:]]

    def sts_tokens_list(self, command: str) -> None:
        rows = self.tokens(command)
        subject = "repo:octo-org/octo-repo:environment:production"
        for state in {row[5] for row in rows}:
            assert state == "active" or ("--state" not in command and state == "revoked"), rows
        of_job = ["octo-deploy", "production", "github", subject, "deploy"]
        assert all(row[:5] == of_job for row in rows) and rows, rows
        assert "--state" in command or len(rows) == self.minted, rows

    def sts_tokens_revoke(self, command: str) -> None:
        live = sum(row[5] == "active" for row in self.tokens())
        assert live > 0
        done = self.succeed(command)
        assert re.search(rf"\b{live} live token", done), done
        expected = live if "--dry-run" in command else 0
        assert sum(row[5] == "active" for row in self.tokens()) == expected

    def sts_rules_list(self, command: str) -> None:
        self.succeed(command)
        rule = json.loads(self.succeed(f"{command} --json"))["revocation_rules"][-1]
        self.environment["RULE_ID"] = rule["id"]
        assert rule["reason"] == "runner compromised", rule

    def sts_rules_undo(self, command: str) -> None:
        self.succeed(command)
        assert any(row[5] == "active" for row in self.tokens())

    def sts_keys_list(self, command: str) -> None:
        printed = self.succeed(command)
        assert "ES256" in printed
        # The key that waits: nothing else that pages show depends on it.
        self.environment["KID"] = next(line.split()[0] for line in printed.splitlines() if " next " in line or " signing " in line)

    def sts_keys_withdraw(self, command: str) -> None:
        printed = self.succeed(command)
        assert self.environment["KID"] in printed, printed
        assert (self.environment["KID"] in self.succeed("sts keys list")) == ("--dry-run" in command)

    def sts_keys_rotate(self, command: str) -> None:
        before = self.succeed("sts keys list")
        after = self.succeed(command)
        rows = lambda table: len(re.findall(r"ES256 {2,}", table))
        assert rows(after) == rows(before) + 1, after

    def sts_issuers_list(self, command: str) -> None:
        assert self.github in self.succeed(command)

    def sts_issuers_refresh(self, command: str) -> None:
        assert json.loads(self.succeed(command))["keys"] == 1

    def sts_issuers_history(self, command: str) -> None:
        assert "does not reach back" in self.succeed(re.sub(r"--at \S+", "--at 2020-01-01T00:00:00Z", command))
        printed = self.succeed(re.sub(r"--at \S+", "--at 2099-01-01T00:00:00Z", command))
        assert [row.split()[4] for row in printed.splitlines()[1:]] == ["discovery"], printed

    def sts_doctor(self, command: str) -> None:
        checks = json.loads(self.succeed(f"{command} --json"))["checks"]
        assert {"configuration", "clock", "store", "files", "disk", "listener"} <= {row["check"] for row in checks}, checks

    def sts_accept_epoch(self, command: str) -> None:
        assert "nothing to accept" in self.succeed(command)

    def sts_store_backup(self, command: str) -> None:
        self.succeed(command)
        assert (self.home / command.split()[-1]).stat().st_mode & 0o777 == 0o600

    def sts_explain_claims(self, command: str) -> None:
        printed = self.succeed(command)
        assert printed.startswith("refused: ") and "exit code 1: refused" in printed and "staging" in printed, printed

    def sts_explain_audit(self, command: str) -> None:
        printed = self.succeed(command)
        assert printed.startswith("was: refused, reason not_authorized") and "exit code" in printed, printed

    def sts_audit_tail(self, command: str) -> None:
        printed = self.succeed(command)
        assert " > " in command or re.match(r"20\d\d-\S+ \w+ (done|granted|refused) ", printed), printed

    def sts_audit_follow(self, command: str) -> None:
        follower = self.start(command, self.home)
        follower.until("configuration_loaded done server")
        self.end(follower)

    def sts_audit_verify(self, command: str) -> None:
        """The page's server has no audit file, so another one writes it."""
        folder = self.home / "trail"
        folder.mkdir()
        public, admin = free_ports(2)
        own = f"listen: 127.0.0.1:{public}\nadmin: {{ listen: 127.0.0.1:{admin} }}\naudit: {{ file: {{ path: {self.home}/data/audit.log }} }}\n"
        (folder / "sts.yaml").write_text(own + "".join(AROUND.values()).replace("https://sts.example.com", f"http://127.0.0.1:{public}"))
        server = self.start("sts serve --config sts.yaml", folder)
        server.until("ready")
        self.succeed(f"curl -sS --fail http://127.0.0.1:{public}/.well-known/jwks.json > keys.json")
        self.end(server)
        printed = self.succeed(command)
        assert printed.startswith("sound: ") and "a known key signed the chain" in printed, printed

    def sts_schema(self, command: str) -> None:
        self.succeed(command)
        schema = json.loads((self.home / command.rpartition(" > ")[2]).read_text())
        assert any(schema.get(member) for member in ["paths", "properties", "oneOf", "anyOf"]), schema

    # -- how they are run

    def end(self, process: Process) -> None:
        """Ends what a page does not leave running."""
        process.end()
        self.processes.remove(process)

    def fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.public}{path}", timeout=DEADLINE) as answer:
            return answer.read()

    def step(self, name: str) -> str:
        """The script of the workflow's step whose name starts so, run by the shell that the workflow asks for."""
        workflow = (self.home / ".github/workflows/deploy.yml").read_text()
        script = re.search(rf"- name: {name}\b.*\n +run: \|\n((?: {{10}}.*\n)+)", workflow)
        assert script and "shell: bash" in workflow
        return "set -eo pipefail\n" + textwrap.dedent(script[1])

    def succeed(self, command: str, directory: Path | None = None, **how: dict[str, str]) -> str:
        done = self.call(command, directory, **how)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def fail(self, command: str, **how: dict[str, str]) -> str:
        done = self.call(command, None, **how)
        assert done.returncode != 0, f"should have failed\n{done.stdout}"
        return done.stdout

    def call(
        self,
        command: str,
        directory: Path | None,
        job: dict[str, str] | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `command`, in a job whose ID token has the claims `job`."""
        environment = self.environment | (environment or {})
        if job:
            environment["ACTIONS_ID_TOKEN_REQUEST_URL"] = self.request_url(job)
        return subprocess.run(
            ["bash", "-c", command], cwd=directory or self.home, env=environment, text=True, capture_output=True, check=False
        )

    def request_url(self, job: dict[str, str]) -> str:
        """Where a job with these claims asks for its ID token."""
        return f"{self.environment['ACTIONS_ID_TOKEN_REQUEST_URL']}&{urllib.parse.urlencode(job)}"

    def id_token(self, job: dict[str, str]) -> str:
        fetch = 'curl -sSf -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL"'
        return json.loads(self.succeed(fetch, job=job))["value"]

    def start(self, command: str, directory: Path) -> Process:
        process = Process(command, directory, self.environment)
        self.processes.append(process)
        return process

    # -- what is left at the end

    def check_inline(self, page_name: str, prose: str) -> None:
        """Each `sts ...` in a sentence is a command that there is, with options that it has."""
        for text in re.findall(r"`sts ([^`]+)`", re.sub(r"\s+", " ", prose)):
            words = text.split()
            path: list[str] = []
            while len(path) < len(words) and words[len(path)] in self.subcommands(tuple(path)):
                path.append(words[len(path)])
            assert path, f"{page_name}: there is no command `sts {text}`"
            for option in re.findall(r"(?<!\S)--[a-z-]+", text):
                assert option in self.help(tuple(path)), f"{page_name}: `sts {' '.join(path)}` has no {option}"

    def help(self, path: tuple[str, ...]) -> str:
        self.helps = getattr(self, "helps", {})
        if path not in self.helps:
            self.helps[path] = self.succeed(" ".join(["sts", *path, "--help"]))
        return self.helps[path]

    def subcommands(self, path: tuple[str, ...]) -> list[str]:
        _, _, commands = self.help(path).partition("\nCommands:\n")
        return re.findall(r"^  ([a-z-]+)", commands.partition("\n\n")[0], re.M)

    def finish(self) -> None:
        assert len(self.processes) == 3, "the pages start a server twice, and the walk its API"
