// Parts of the GitHub Action on their own, and what its files and documentation say of each other.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { repository } from "./support/repository.mjs";
import { definition } from "./support/runner.mjs";

const ACTION = join(repository, "deploy/github-action");
const { proxyFor } = await import(join(ACTION, "lib/proxy.mjs"));
const { pause, retryAfter } = await import(join(ACTION, "lib/retry.mjs"));

test("which proxy is taken", () => {
  const of = (url, environment) => proxyFor(new URL(url), environment)?.href;
  const https_proxy = "http://proxy.example:3128";
  assert.equal(of("https://sts.example.com", {}), undefined);
  assert.equal(of("https://sts.example.com", { https_proxy }), "http://proxy.example:3128/");
  assert.equal(of("https://sts.example.com", { ALL_PROXY: "proxy.example:3128" }), "http://proxy.example:3128/");
  const excepted = (no_proxy, url = "https://sts.example.com") => of(url, { https_proxy, no_proxy }) === undefined;
  for (const entry of [
    "*",
    "sts.example.com",
    "example.com",
    ".example.com",
    "*.example.com",
    "localhost, STS.example.com",
    "example.com:443",
  ]) {
    assert.ok(excepted(entry), entry);
  }
  for (const entry of [
    "",
    "ts.example.com",
    "ample.com",
    "example.com:8443",
    "sts.example.com.evil.example",
    "other.example",
  ]) {
    assert.ok(!excepted(entry), entry);
  }
  assert.ok(excepted("10.0.0.1", "https://10.0.0.1") && !excepted("0.0.1", "https://10.0.0.1"));
  assert.throws(() => of("https://sts.example.com", { https_proxy: "http://[bad:secret" }), {
    message: "https_proxy is not a URL",
  });
});

test("how long a pause is", () => {
  assert.deepEqual(
    [1, 2, 3, 5, 50].map((count) => pause(count, undefined, 0)),
    [250, 500, 1000, 4000, 4000],
  );
  assert.ok(pause(1, undefined, 0.999) < 500);
  assert.equal(pause(1, 3, 0), 3000);
  const now = Date.parse("2026-01-01T00:00:00Z");
  assert.deepEqual(
    ["3", "Thu, 01 Jan 2026 00:00:05 GMT", "Wed, 31 Dec 2025 00:00:00 GMT", "soon", undefined].map((header) =>
      retryAfter(header, now),
    ),
    [3, 5, 0, undefined, undefined],
  );
});

test("the documentation lists every input and output", async () => {
  const page = await readFile(join(repository, "deploy/docs/requesting-tokens.md"), "utf8");
  const [section] = /^## In a GitHub Actions job\n[^]*?(?=^## )/m.exec(page);
  const { inputs, outputs } = await definition();
  for (const name of [...inputs, ...outputs]) assert.ok(section.includes(`\`${name}\``), name);
});

test("the action is plain Node, for the newest runner, without packages", async () => {
  const { runs } = await definition();
  assert.deepEqual(runs, { using: "node24", main: "main.mjs", post: "post.mjs" });
  for (const name of await readdir(ACTION, { recursive: true })) {
    if (!name.endsWith(".mjs")) continue;
    const text = await readFile(join(ACTION, name), "utf8");
    const imported = [...text.matchAll(/from "([^"]+)"/g)].map((match) => match[1]);
    assert.ok(
      imported.every((module) => /^(node:|\.\.?\/)/.test(module)),
      `${name}: ${imported}`,
    );
  }
});
