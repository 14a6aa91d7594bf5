// The examples of verifiers: each lets in a token of the built server, and nothing that is not one.

import assert from "node:assert/strict";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort, startProgram } from "./support/process.mjs";
import { repository } from "./support/repository.mjs";
import { SECRET, startSite } from "./support/site.mjs";
import { makeTokens } from "./support/tokens.mjs";
import * as tools from "./support/tools.mjs";

const EXAMPLES = join(repository, "deploy/examples/verifying");
const [python, go, jar, nginx, envoy] = await Promise.all(
  [
    tools.python,
    () => tools.goProgram(join(EXAMPLES, "go")),
    () => tools.jar(join(EXAMPLES, "spring")),
    tools.nginx,
    tools.envoy,
  ].map(tools.tool),
);

/** Each verifier: how it starts, and where it answers otherwise than the others. */
const VERIFIERS = {
  node: { start: startNode, away: 503 },
  python: {
    skip: python.skip,
    start: ({ port, env }) => startProgram(python.at, ["api.py"], port, { env, cwd: join(EXAMPLES, "python") }),
    away: 503,
  },
  go: { skip: go.skip, start: ({ port, env }) => startProgram(go.at, [], port, { env }) },
  // It takes a token without `exp`. The server signs none.
  spring: { skip: jar.skip, start: startSpring, otherwise: { "without exp": 201 } },
  nginx: { skip: nginx.skip, start: startNginx, asks: true },
  // A wrong audience is 403 there. What the first filter lets pass is refused by the second, which has no challenge.
  envoy: {
    skip: envoy.skip,
    start: startEnvoy,
    otherwise: { "another API's": 403, typ: 403, "no typ": 403 },
    challenge: { 403: /^/ },
  },
};
// It starts in half the time.
const JAVA = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

let site, tokens;
before(async () => {
  site = await startSite();
  tokens = await makeTokens(site);
});
after(() => site.stop());

async function ask(port, token, headers = {}) {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`http://127.0.0.1:${port}/deployments`, {
    method: "POST",
    headers: { ...authorization, ...headers },
  });
  return {
    status: response.status,
    challenge: response.headers.get("www-authenticate") ?? "",
    text: await response.text(),
  };
}

for (const [
  name,
  { skip = false, start, asks = false, away = undefined, otherwise = {}, challenge = {} },
] of Object.entries(VERIFIERS)) {
  describe(name, { skip }, () => {
    let verifier, port;
    before(async () => {
      port = await freePort();
      verifier = await start({ port, env: { ...process.env, STS_ISSUER: site.url, PORT: String(port) } });
    });
    after(() => verifier?.stop());
    const fits = (found, status) => {
      const wanted =
        challenge[status] ??
        { 201: /^$/, 401: /^Bearer.*error="invalid_token"/, 403: /^Bearer.*error="insufficient_scope"/ }[status];
      assert.equal(found.status, status, `${found.text}\n${verifier.said()}`);
      assert.match(found.challenge, wanted);
    };

    test("nobody is let in while sts cannot be asked", async () => {
      site.front.away = asks ? "/introspect" : "/.well-known/jwks.json";
      const found = await ask(port, tokens.good);
      site.front.away = undefined;
      // Those that can tell say that it is not the token's fault.
      assert.ok(found.status === (away ?? found.status) && found.status >= 401, `${found.status} ${found.text}`);
    });

    test("a good token is let in", async () => {
      const found = await ask(port, tokens.good);
      fits(found, 201);
      assert.deepEqual(JSON.parse(found.text), { account: "octo-deploy" });
    });

    test("a request without a token is asked for one", async () => {
      const found = await ask(port, undefined);
      assert.equal(found.status, 401);
      assert.match(found.challenge, /^Bearer\b(?!.*error=)/);
    });

    test("every wrong token is refused", async () => {
      for (const [what, token] of Object.entries(tokens.wrong)) {
        await test(what, async () => fits(await ask(port, token), otherwise[what] ?? 401));
      }
    });

    test("a token without the scope is refused as that", async () => fits(await ask(port, tokens.narrow), 403));

    if (asks)
      test("a revoked token is refused at once", async () => {
        const token = await site.token();
        fits(await ask(port, token), 201);
        assert.equal((await site.post("/revoke", { token })).status, 200);
        fits(await ask(port, token), 401);
      });

    if (name === "nginx" || name === "envoy")
      test("the caller cannot name the account, and the API gets no token", async () => {
        const found = await ask(port, tokens.good, { "x-account": "root" });
        assert.deepEqual(JSON.parse(found.text), { account: "octo-deploy" });
      });
  });
}

test("Spring without the bean refuses every access token", { skip: jar.skip }, async () => {
  const port = await freePort();
  const copy = fileURLToPath(new URL("./without-the-bean.jar", import.meta.url));
  await tools.run("python3", ["-c", WITHOUT_THE_BEAN, jar.at, copy]);
  const api = await startSpring({ port, env: { ...process.env, STS_ISSUER: site.url, PORT: String(port) } }, copy);
  try {
    assert.equal((await ask(port, tokens.good)).status, 401);
    assert.equal((await ask(port, tokens.wrong.typ)).status, 201);
  } finally {
    await api.stop();
  }
});

test("the example for Node names the version of jose that is tested", async () => {
  const [example, suite] = await Promise.all(
    [join(EXAMPLES, "node/package.json"), join(repository, "tests/clients/package.json")].map(async (file) =>
      JSON.parse(await readFile(file, "utf8")),
    ),
  );
  assert.equal(example.dependencies.jose, suite.dependencies.jose);
});

function startSpring({ port, env }, made = jar.at) {
  return startProgram("java", [...JAVA, "-jar", made], port, { env });
}

const WITHOUT_THE_BEAN = `
import sys, zipfile
whole = zipfile.ZipFile(sys.argv[1])
with zipfile.ZipFile(sys.argv[2], "w") as part:
    for entry in whole.infolist():
        if not entry.filename.endswith("/AccessTokens.class"):
            part.writestr(entry, whole.read(entry))
`;

/** The example as a copy beside the packages of this suite. */
async function startNode({ port, env }) {
  const copy = fileURLToPath(new URL("./api.mjs", import.meta.url));
  await cp(join(EXAMPLES, "node/api.mjs"), copy);
  return startProgram(process.execPath, [copy], port, { env });
}

/** An example file with this machine in place of what it names. */
async function local(file, replaced) {
  let text = await readFile(join(EXAMPLES, file), "utf8");
  for (const [there, here] of Object.entries(replaced)) {
    assert.ok(text.includes(there), `${file} no longer has ${there}`);
    text = text.replaceAll(there, here);
  }
  return text;
}

/** An API behind a proxy: it believes what the proxy says of the account. */
async function startApi() {
  const api = createServer((request, response) => {
    const isClean = request.headers.authorization === undefined;
    response.writeHead(isClean ? 201 : 500, { "content-type": "application/json" });
    response.end(JSON.stringify({ account: request.headers["x-account"] }));
  }).listen(0, "127.0.0.1");
  await once(api, "listening");
  return { port: api.address().port, stop: () => api.close() };
}

async function behind(start) {
  const api = await startApi();
  const folder = await mkdtemp(join(tmpdir(), "sts-proxy-"));
  const proxy = await start(api.port, folder);
  return {
    said: proxy.said,
    async stop() {
      await proxy.stop();
      api.stop();
      await rm(folder, { recursive: true });
    },
  };
}

function startNginx({ port }) {
  return behind(async (api, folder) => {
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
      .join(" ");
    const config = await local("nginx/nginx.conf", {
      "load_module modules/": "load_module /usr/lib/nginx/modules/",
      "events {}": `events {} pid ${folder}/pid; daemon off; master_process off; error_log stderr;`,
      "http {": `http { ${temporary} access_log off;`,
      "/etc/nginx/sts/credentials.conf": join(folder, "credentials.conf"),
      "js_path /etc/nginx/sts": `js_path ${join(EXAMPLES, "nginx")}`,
      "listen 127.0.0.1:8081": `listen 127.0.0.1:${port}`,
      "http://127.0.0.1:8082": `http://127.0.0.1:${api}`,
      "https://sts.example.com": site.url,
    });
    const basic = Buffer.from(`deploy:${SECRET}`).toString("base64");
    await writeFile(join(folder, "credentials.conf"), `proxy_set_header Authorization "Basic ${basic}";\n`);
    await writeFile(join(folder, "nginx.conf"), config);
    return startProgram(nginx.at, ["-e", "stderr", "-c", join(folder, "nginx.conf")], port);
  });
}

function startEnvoy({ port }) {
  return behind(async (api, folder) => {
    const text = await local("envoy/envoy.yaml", {
      "port_value: 8081": `port_value: ${port}`,
      "port_value: 8082": `port_value: ${api}`,
      "https://sts.example.com": site.url,
      "address: sts.example.com, port_value: 443": `address: 127.0.0.1, port_value: ${site.front.port}`,
    });
    // The server has no TLS here.
    const plain = text.slice(0, text.indexOf("      transport_socket:"));
    await writeFile(join(folder, "envoy.yaml"), plain);
    return startProgram(
      envoy.at,
      ["-c", join(folder, "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart", "-l", "warn"],
      port,
    );
  });
}
