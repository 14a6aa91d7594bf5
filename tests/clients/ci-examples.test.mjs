// The examples for CI systems other than GitHub: their scripts run as those systems run them, against the built server.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";
import { parseAllDocuments, parse } from "yaml";
import { answer } from "./support/front.mjs";
import { repository, sts } from "./support/repository.mjs";
import { startSite } from "./support/site.mjs";

const EXAMPLES = join(repository, "deploy/examples/ci");
const missing = ["curl", "jq", "bash"].filter((command) => spawnSync("which", [command]).status !== 0);
const skip = missing.length > 0 && `missing: ${missing}`;

let site, api, folder;
before(async () => {
  site = await startSite();
  api = await startApi();
});
after(async () => {
  await site.stop();
  api.stop();
});
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "sts-ci-"))));
afterEach(() => rm(folder, { recursive: true }));

const idToken = (members = {}) => site.github.token({ aud: site.issuer, ...members });
const local = (text) =>
  text.replaceAll("https://sts.example.com", site.url).replaceAll("https://deploy.example.com", api.url);

/** The API that is deployed to: it keeps the token of its last request. */
async function startApi() {
  const found = { token: undefined };
  const server = createServer((request, response) => {
    found.token = request.headers.authorization?.replace("Bearer ", "");
    response.writeHead(201).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(found, { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() });
}

async function shell(command, script, environment) {
  // With a socket as its input, bash takes itself for a login from afar, and reads the file of that.
  const child = execFile(
    command,
    [...(command === "bash" ? ["--norc"] : []), "-c", script],
    { env: { PATH: process.env.PATH, ...environment }, cwd: folder },
    () => {},
  );
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => (said += part));
  const [code] = await once(child, "close");
  return { code, said };
}

describe("the GitLab component", { skip }, () => {
  const PROJECT = "project";

  /** The job that extends the component's, as GitLab makes it. */
  async function job(inputs) {
    const [header, body] = parseAllDocuments(
      await readFile(join(EXAMPLES, "gitlab/templates/access-token.yml"), "utf8"),
    );
    const known = header.toJS().spec.inputs;
    const given = {
      ...Object.fromEntries(Object.entries(known).map(([name, { default: value }]) => [name, value])),
      ...inputs,
    };
    for (const name of Object.keys(inputs)) assert.ok(name in known, `no input ${name}`);
    for (const [name, value] of Object.entries(given)) assert.notEqual(value, undefined, `${name} is required`);
    const text = JSON.stringify(body.toJS()).replace(/\$\[\[ inputs\.(\w+) \]\]/g, (_, name) => given[name]);
    const jobs = JSON.parse(text);
    assert.deepEqual(Object.keys(jobs), [given.name]);
    return jobs[given.name];
  }

  /** `before_end` is called between the job's script and what runs after it. */
  async function run(inputs, token = idToken(), before_end = () => {}) {
    const example = parse(await readFile(join(EXAMPLES, "gitlab/example.gitlab-ci.yml"), "utf8"));
    const made = await job({ ...example.include[0].inputs, url: site.url, ...inputs });
    assert.deepEqual(made.id_tokens, { STS_ID_TOKEN: { aud: site.url } });
    await mkdir(join(folder, PROJECT), { recursive: true });
    const variables = { ...made.variables, STS_ID_TOKEN: token, CI_PROJECT_DIR: join(folder, PROJECT) };
    const script = [...made.before_script, ...example.deploy.script.map(local)].join("\n");
    // As a runner does: by the shell that an image has, which ends at the first failure.
    const ran = await shell("sh", `set -e\n${script}`, variables);
    const mode = await stat(join(folder, `${PROJECT}.sts-token`)).then(
      (found) => found.mode & 0o777,
      () => undefined,
    );
    const isActive = api.token && (await site.isActive(api.token));
    before_end();
    const ended = await shell("sh", `set -e\n${made.after_script.join("\n")}`, variables);
    return { ...ran, mode, isActive, ended };
  }

  test("a job has a token, and it is revoked after the job", async () => {
    const ran = await run({ audience: "other", scope: "read" });
    assert.equal(ran.code, 0, ran.said);
    assert.equal(ran.mode, 0o600);
    assert.ok(!ran.said.includes(api.token), "the token is printed");
    const form = new URLSearchParams(site.front.seen.findLast((request) => request.path === "/token").body);
    assert.deepEqual([form.getAll("audience"), form.get("scope")], [["octo-deploy", "other"], "read"]);
    assert.equal(ran.ended.code, 0, ran.ended.said);
    assert.equal(await site.isActive(api.token), false);
    await assert.rejects(stat(join(folder, `${PROJECT}.sts-token`)));
  });

  test("without the optional inputs everything granted is given", async () => {
    const ran = await run({});
    assert.deepEqual([ran.code, ran.isActive], [0, true], ran.said);
  });

  test("a refusal ends the job, and says why", async () => {
    api.token = undefined;
    const ran = await run({}, idToken({ event_name: "pull_request" }));
    assert.equal(ran.code, 1);
    assert.match(ran.said, /sts: no access token: .*"reason":"not_authorized"/);
    assert.deepEqual([api.token, ran.ended.code], [undefined, 0]);
  });

  test("a server that asks to wait is asked again", async () => {
    site.front.next = [answer(503, { "retry-after": "0" }, { reason: "store_unavailable" })];
    const ran = await run({});
    assert.deepEqual([ran.code, ran.isActive], [0, true], ran.said);
  });

  test("a token that cannot be revoked is told, and does not stay on the runner", async () => {
    const ran = await run({}, idToken(), () => (site.front.next = [answer(400, {}, {})]));
    assert.match(ran.ended.said, /not revoked/);
    await assert.rejects(stat(join(folder, `${PROJECT}.sts-token`)));
  });
});

describe("the Buildkite hooks", { skip }, () => {
  const hook = (name) => join(EXAMPLES, "buildkite/hooks", name);

  /** Runs the hooks around a command, as an agent does: what a hook exports is in the environment of what follows. */
  async function run(environment, token = idToken()) {
    const agent = join(folder, "buildkite-agent");
    const script = `#!/bin/sh
case "$*" in
  "oidc request-token --audience ${site.url}") printf '%s\\n' "$TEST_ID_TOKEN" ;;
  "redactor add") cat >> "$TEST_HIDDEN"; echo >> "$TEST_HIDDEN" ;;
  *) echo "unknown: $*" >&2; exit 1 ;;
esac`;
    await writeFile(agent, script);
    await chmod(agent, 0o755);
    const hidden = join(folder, "hidden");
    await writeFile(hidden, "");
    const steps = `. ${hook("pre-command")}\nprintf %s "\${STS_ACCESS_TOKEN:-}" > seen\n(. ${hook("pre-exit")})`;
    const job = { PATH: `${folder}:${process.env.PATH}`, TEST_ID_TOKEN: token, TEST_HIDDEN: hidden, ...environment };
    const ran = await shell("bash", steps, job);
    const seen = await readFile(join(folder, "seen"), "utf8").catch(() => undefined);
    return { ...ran, seen, hidden: (await readFile(hidden, "utf8")).split("\n").filter(Boolean) };
  }

  test("a step has a token that the log does not show, and it is revoked after the step", async () => {
    const token = idToken();
    const ran = await run({ STS_URL: site.url, STS_ACCOUNT: "octo-deploy" }, token);
    assert.equal(ran.code, 0, ran.said);
    assert.deepEqual(ran.hidden, [token, ran.seen]);
    assert.ok(!ran.said.includes(ran.seen), "the token is printed");
    assert.equal(await site.isActive(ran.seen), false);
    assert.ok(site.front.seen.some((request) => request.path === "/revoke" && request.body.includes(ran.seen)));
  });

  test("a server that asks to wait is asked again", async () => {
    site.front.next = [answer(503, { "retry-after": "0" }, { reason: "store_unavailable" })];
    const ran = await run({ STS_URL: site.url, STS_ACCOUNT: "octo-deploy" });
    assert.equal(ran.code, 0, ran.said);
    assert.match(ran.seen, /^ey/);
  });

  test("a refusal ends the step, and says why", async () => {
    const ran = await run({ STS_URL: site.url, STS_ACCOUNT: "nobody" });
    assert.deepEqual([ran.code, ran.seen], [1, undefined]);
    assert.match(ran.said, /sts: no access token: .*"reason":"not_authorized"/);
  });

  test("a step that is not for sts is left alone", async () => {
    const before = site.front.seen.length;
    // The hook ends the process that it is run in, as in an agent.
    const ran = await shell("bash", hook("pre-command"), {});
    assert.deepEqual([ran.code, ran.said, site.front.seen.length], [0, "", before]);
  });

  test("a token that cannot be revoked fails no step", async () => {
    site.front.next = [answer(400, {}, {})];
    const ran = await shell("bash", hook("pre-exit"), { STS_URL: site.url, STS_ACCESS_TOKEN: "x" });
    assert.equal(ran.code, 0);
    assert.match(ran.said, /not revoked/);
  });
});

describe("the Tekton task", { skip }, () => {
  test("its steps exchange the pod's token and deploy with it", async () => {
    const { spec } = parse(await readFile(join(EXAMPLES, "tekton/task.yaml"), "utf8"));
    const parameters = Object.fromEntries(spec.params.map(({ name, default: value }) => [name, local(value)]));
    parameters.account = "octo-deploy";
    const mounts = ["/var/run/sts", "/var/run/access-token"];
    const here = (text) => mounts.reduce((all, mount) => all.replaceAll(mount, join(folder, mount)), local(text));
    const volumes = spec.volumes.map((volume) => volume.name).sort();
    assert.deepEqual(
      volumes,
      [...new Set(spec.steps.flatMap((step) => step.volumeMounts.map((mount) => mount.name)))].sort(),
    );
    assert.ok(
      spec.steps.every((step) => step.image !== "registry.example.com/sts"),
      "the server's image has no shell",
    );
    for (const mount of mounts) await mkdir(join(folder, mount), { recursive: true });
    const source = spec.volumes.find((volume) => volume.projected).projected.sources[0].serviceAccountToken;
    await writeFile(join(folder, mounts[0], source.path), idToken({ aud: local(source.audience) }));
    await symlink(sts, join(folder, "sts"));
    for (const step of spec.steps) {
      const values = (step.env ?? []).map(({ name, value }) => [
        name,
        here(value).replace(/\$\(params\.([\w-]+)\)/g, (_, key) => parameters[key]),
      ]);
      const ran = await shell("sh", here(step.script), {
        PATH: `${folder}:${process.env.PATH}`,
        ...Object.fromEntries(values),
      });
      assert.equal(ran.code, 0, `${step.name}: ${ran.said}`);
    }
    assert.equal(await site.isActive(api.token), true);
    assert.equal((await stat(join(folder, mounts[1], "token"))).mode & 0o777, 0o600);
  });
});
