// The pages of operations: Overview, Denials with "Allow this", Tokens, Issuers, Signing keys.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PHONE, assertAccessible, assertPage, launch, open, picture, signIn } from "./support/browser.mjs";
import { githubClaims, startServer } from "./support/server.mjs";

const HOSTILE = "<img src=x onerror=alert(1)>\u202e عربى 😀";

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), startServer()]);
  const production = {
    name: "production",
    issuer: "github",
    github: { repository: "octo-org/octo-repo", repository_owner_id: "65", environment: "production" },
  };
  const accounts = { "deploy-bot": { display_name: HOSTILE, teams: ["deployers"], identities: [production] } };
  await server.apply({ service_accounts: accounts });
  for (let count = 0; count < 5; count += 1) await server.exchange(githubClaims(), { audience: "octo-file" });
  await server.exchange(githubClaims({ sub: `repo:${HOSTILE}:x`, workflow: HOSTILE }), { audience: "deploy-bot" });
  await server.exchange(githubClaims({ exp: 1 }), { audience: HOSTILE });
  await server.exchange(staging(), { audience: "deploy-bot" });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

function staging() {
  return githubClaims({ sub: "repo:octo-org/octo-repo:environment:staging", environment: "staging" });
}

/** Looks at the page in each scheme and width. */
async function look(page, path, heading, name) {
  for (const [kind, viewport] of [["wide", { width: 1280, height: 900 }], ["phone", PHONE]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await page.goto(`${server.admin}${path}`);
      await assertPage(page, heading);
      await assertAccessible(page);
      await picture(page, `${name}-${kind}-${colorScheme}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

test("every page of operations is sound, in each scheme and width", async () => {
  const page = await open(browser);
  await signIn(page, server);
  await page.goto(`${server.admin}/console/denials?view=each`);
  const denial = await page.getByRole("link", { name: /environment/ }).first().getAttribute("href");
  await page.goto(`${server.admin}/console/tokens`);
  const token = await page.locator("tbody th a").first().getAttribute("href");
  await page.goto(`${server.admin}/console/signing-keys`);
  const withdraw = await page.getByRole("link", { name: /Withdraw/ }).first().getAttribute("href");
  for (const [path, heading, name] of [
    ["/console/", "Overview", "overview"],
    ["/console/denials", "Denials", "denials"],
    ["/console/denials?view=each", "Denials", "denials-each"],
    ["/console/denials?account=nobody", "Denials", "denials-none"],
    [denial, "Refused request", "denial"],
    [`${denial}/allow`, "Allow this", "allow"],
    ["/console/tokens", "Tokens", "tokens"],
    [token, "Token", "token"],
    ["/console/revoke-tokens?account=octo-file", "Revoke tokens by rule", "revoke-tokens"],
    ["/console/revocation-rules", "Revocation rules", "revocation-rules"],
    ["/console/issuers", "Issuers", "issuers"],
    ["/console/issuers/github", "github", "issuer"],
    ["/console/signing-keys", "Signing keys", "signing-keys"],
    [withdraw, "Withdraw a signing key", "withdraw-key"],
  ]) {
    await look(page, path, heading, name);
  }
  await page.context().close();
});

test("a refused request is allowed from its page, without scripts too", async () => {
  for (const javaScriptEnabled of [true, false]) {
    const page = await open(browser, { javaScriptEnabled });
    await signIn(page, server);
    await page.getByRole("link", { name: "Denials", exact: true }).click();
    await page.getByRole("link", { name: /environment/ }).first().click();
    if (javaScriptEnabled) {
      await page.getByRole("link", { name: "Allow this" }).click();
      await page.getByText("1 newly allowed, 0 newly denied").waitFor();
      await page.getByRole("button", { name: "Change identity" }).click();
      await page.getByRole("status").getByText("Changed the identity production").waitFor();
      assert.equal((await server.exchange(staging(), { audience: "deploy-bot" })).status, 200);
    } else {
      await page.getByText("they grant such a request now").waitFor();
    }
    assert.deepEqual(page.faults(), []);
    await page.context().close();
  }
});

test("tokens are revoked by a rule whose count stands on the button", async () => {
  const page = await open(browser);
  await signIn(page, server);
  await page.goto(`${server.admin}/console/tokens`);
  await page.getByLabel("Service account").fill("octo-file");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.getByRole("link", { name: "Revoke all that match" }).click();
  await page.getByRole("button", { name: "Revoke 5 tokens" }).click();
  await page.getByRole("status").getByText("Revoked 5 live tokens").waitFor();
  await page.getByRole("button", { name: /Take back/ }).click();
  await page.getByRole("status").getByText("It covered 5 live tokens").waitFor();
  await page.context().close();
});

test("an id is copied by its button, with the keyboard, and is told", async () => {
  const page = await open(browser);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await signIn(page, server);
  await page.clock.install();
  await page.goto(`${server.admin}/console/signing-keys`);
  // The button says that it has copied until the clock goes on.
  await page.clock.pauseAt(Date.now() + 60_000);
  const row = page.locator("tbody tr").first();
  const kid = await row.locator("th bdi").textContent();
  const button = row.getByRole("button", { name: "Copy key id" });
  await button.focus();
  await page.keyboard.press("Enter");
  await row.getByRole("button", { name: "Copied key id" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), kid);
  assert.equal(await page.getByRole("status").last().textContent(), "Copied");
  await page.clock.runFor(3_000);
  await button.waitFor();
  assert.equal(await page.getByRole("status").last().textContent(), "");
  const bounds = await row.getByRole("button").first().boundingBox();
  assert.ok(bounds.height >= 24 && bounds.width >= 24, JSON.stringify(bounds));
});

test("without a script there is no button that would copy nothing", async () => {
  const page = await open(browser, { javaScriptEnabled: false });
  await signIn(page, server);
  await page.goto(`${server.admin}/console/signing-keys`);
  assert.equal(await page.getByRole("button", { name: /Copy/ }).count(), 0);
});
