// Sign-in by an OpenID provider: a real one, on another site than the console.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAccessible, assertPage, launch, open, picture } from "./support/browser.mjs";
import { CLIENT_SECRET, freePort, logIn, startProvider } from "./support/provider.mjs";
import { startServer } from "./support/server.mjs";

let browser;
let provider;
let server;

before(async () => {
  const port = await freePort();
  provider = await startProvider(`http://127.0.0.1:${port}/console/callback`);
  [browser, server] = await Promise.all([
    launch(),
    startServer({
      admin: { listen: `127.0.0.1:${port}` },
      files: { "console.secret": CLIENT_SECRET },
      console: {
        issuer: provider.issuer,
        client_id: "sts-console",
        client_secret_file: "console.secret",
        scopes: ["openid", "email", "profile"],
        admin: { groups: "platform" },
        read: { groups: "readers" },
      },
    }),
  ]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
  await provider?.stop();
});

async function signInAs(name) {
  const page = await open(browser);
  await page.goto(`${server.admin}/console/`);
  await page.getByRole("link", { name: "Sign in" }).or(page.getByRole("button", { name: "Sign in" })).first().click();
  await logIn(page, name);
  await page.waitForURL((url) => url.origin === server.admin);
  return page;
}

test("a member of the admin group signs in and may change things", async () => {
  const page = await signInAs("ada");
  await page.waitForURL(`${server.admin}/console/`);
  await assertPage(page, "Overview");
  await page.goto(`${server.admin}/console/service-accounts`);
  await page.getByRole("link", { name: "New service account" }).first().waitFor();
  await page.context().close();
});

test("a member of the read group sees everything and is offered no change", async () => {
  const page = await signInAs("rita");
  await page.waitForURL(`${server.admin}/console/`);
  await page.goto(`${server.admin}/console/service-accounts`);
  await assertPage(page, "Service accounts");
  assert.equal(await page.getByRole("link", { name: "New service account" }).count(), 0);
  await page.goto(`${server.admin}/console/signing-keys`);
  await assertPage(page, "Signing keys");
  assert.equal(await page.getByRole("button", { name: "Rotate" }).count(), 0);
  await page.context().close();
});

test("somebody whom no condition admits is told who they are and what failed, and has no session", async () => {
  const page = await signInAs("mallory");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await assertPage(page);
  await assertAccessible(page);
  await picture(page, "sign-in-refused");
  const text = await page.locator("body").innerText();
  assert.match(text, /mallory/);
  assert.match(text, /groups/);
  assert.equal((await page.context().cookies(server.admin)).filter(({ name }) => name === "__Host-sts-console").length, 0);
  await page.goto(`${server.admin}/console/`);
  await assertPage(page, "Not signed in");
  await page.context().close();
});

test("the code and the state of one browser open nothing in another", async () => {
  const page = await open(browser);
  const led = page.waitForRequest((request) => request.url().startsWith(`${server.admin}/console/callback`));
  await page.route("**/console/callback*", (route) => route.abort());
  await page.goto(`${server.admin}/console/`);
  await page.getByRole("link", { name: "Sign in" }).or(page.getByRole("button", { name: "Sign in" })).first().click();
  await logIn(page, "ada");
  const callback = (await led).url();
  const other = await open(browser);
  await other.goto(callback);
  assert.equal((await other.context().cookies(server.admin)).filter(({ name }) => name === "__Host-sts-console").length, 0);
  await other.goto(`${server.admin}/console/`);
  await assertPage(other, "Not signed in");
  await other.context().close();
  await page.context().close();
});
