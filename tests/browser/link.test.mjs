// The way in by a link, and the frame around every page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PHONE, assertAccessible, assertPage, launch, open, picture, signIn } from "./support/browser.mjs";
import { startServer } from "./support/server.mjs";

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), startServer()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test("a link opens the console with one click, and not twice", async () => {
  const page = await open(browser);
  const link = (await server.cli("console", "link")).trim();
  await page.goto(link);
  await assertPage(page, "Open the console");
  await assertAccessible(page);
  await picture(page, "link");
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.waitForURL(`${server.admin}/console/`);
  await assertPage(page, "Overview");

  await page.goto(link);
  await page.getByRole("button", { name: "Open the console" }).click();
  await assertPage(page, "This link has ended");
  await page.context().close();
});

test("signing out ends the session, and the page behind it is not shown again", async () => {
  const page = await open(browser);
  await signIn(page, server);
  await page.getByRole("button", { name: "Sign out" }).click();
  await assertPage(page);
  await page.goBack();
  assert.equal(await page.getByRole("button", { name: "Sign out" }).count(), 0, "no copy of the page was kept");
  await page.goto(`${server.admin}/console/`);
  await assertPage(page, "Not signed in");
  await page.context().close();
});

test("the cookie is one that only this origin can set, and that no script reads", async () => {
  const page = await open(browser);
  await signIn(page, server);
  const [cookie] = (await page.context().cookies()).filter(({ name }) => name === "__Host-sts-console");
  assert.deepEqual([cookie.secure, cookie.httpOnly, cookie.sameSite, cookie.path], [true, true, "Strict", "/"]);
  assert.equal(await page.evaluate(() => document.cookie), "");
  await page.context().close();
});

test("every page can be reached by the keyboard alone, and shows where it is", async () => {
  const page = await open(browser);
  await signIn(page, server);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  const seen = new Set();
  await page.goto(`${server.admin}/console/`);
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    const focused = await page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return { text: element.textContent.trim(), body: element === document.body, outline: style.outlineStyle };
    });
    if (focused.body) break;
    assert.notEqual(focused.outline, "none", `no outline at ${focused.text}`);
    seen.add(focused.text);
  }
  for (const name of ["Service accounts", "Denials", "Signing keys", "Sign out"]) assert.ok(seen.has(name), `${name} of ${[...seen]}`);
  await page.context().close();
});

test("a page of another site can neither frame the console nor send its forms", async () => {
  const page = await open(browser);
  await signIn(page, server);
  const csrf = await page.locator('input[name="csrf"]').first().inputValue();
  // The same host is the same site to a browser, so cookies go along. The origin differs.
  const other = await startOtherOrigin(`${server.admin}`, csrf);
  await page.goto(other.url);
  await page.waitForLoadState("networkidle");
  const framed = page.frames().find((frame) => frame.url().startsWith(server.admin));
  assert.ok(!framed || (await framed.content()).indexOf("csrf") === -1, "the frame is empty");
  await page.getByRole("button", { name: "Send" }).click();
  await page.waitForLoadState();
  await page.goto(`${server.admin}/console/`);
  await assertSignedIn(page);
  await other.stop();
  await page.context().close();
});

async function assertSignedIn(page) {
  assert.equal((await page.getByRole("heading", { level: 1 }).innerText()).trim(), "Overview");
}

async function startOtherOrigin(target, csrf) {
  const { createServer } = await import("node:http");
  const { once } = await import("node:events");
  const html = `<!doctype html><title>Other</title><iframe src="${target}/console/"></iframe>
    <form method="post" action="${target}/console/sign-out"><input name="csrf" value="${csrf}"><button>Send</button></form>`;
  const http = createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/html" });
    response.end(html);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return {
    url: `http://127.0.0.1:${http.address().port}/`,
    stop: () => new Promise((resolve) => http.close(resolve)),
  };
}
