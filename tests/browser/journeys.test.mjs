// What people do in the console, from the first click to a token that works; with the script, and without it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, assertPage, launch, open, picture, signIn } from "./support/browser.mjs";
import { startIssuer } from "./support/issuer.mjs";
import { githubClaims, startServer } from "./support/server.mjs";

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

for (const javaScriptEnabled of [true, false]) {
  describe(javaScriptEnabled ? "with the script" : "without the script", () => {
    let server;
    let page;

    before(async () => {
      server = await startServer({ manage: { kinds: ["issuers", "apis", "teams", "service_accounts"] } });
      page = await open(browser, { javaScriptEnabled });
      await signIn(page, server);
    });

    after(async () => {
      await page?.context().close();
      await server?.stop();
    });

    test("an account with an identity is made, and its workload gets a token", async () => {
      await page.getByRole("link", { name: "Service accounts", exact: true }).first().click();
      await page.getByRole("link", { name: "New service account" }).first().click();
      await assertPage(page, "New service account");
      await page.getByLabel("Username").fill("release-bot");
      await page.getByLabel("Display name").fill("Release bot");
      await page.getByLabel("Description").fill("Publishes releases");
      await choose(page, "Teams", "deployers");
      await page.getByRole("button", { name: "Create service account" }).click();
      await assertPage(page, "release-bot");
      assert.equal(await page.getByRole("status").first().isVisible(), true, "it says what happened");

      await page.getByRole("link", { name: "New identity" }).first().click();
      await choose(page, "Issuer", "github");
      await nextStep(page);
      await page.getByLabel("Name", { exact: true }).fill("release");
      await page.getByLabel("Repository", { exact: true }).fill("octo-org/releases");
      await fillIfThere(page, "Repository id", "77");
      await fillIfThere(page, "Repository owner id", "65");
      await fillIfThere(page, "Ref", "refs/heads/main");
      await page.getByRole("button", { name: "Check" }).click();
      await page.getByRole("heading", { name: "Who gets in" }).waitFor();
      await assertAccessibleByScript(page, javaScriptEnabled);
      await picture(page, `identity-form-${javaScriptEnabled ? "script" : "plain"}`);
      await page.getByRole("button", { name: "Create identity" }).click();
      await assertPage(page, "release");
      assert.match(await page.locator("main").innerText(), /id-token: write/, "the workflow to paste");
      await picture(page, `identity-${javaScriptEnabled ? "script" : "plain"}`);

      const claims = githubClaims({ repository: "octo-org/releases", repository_id: "77", sub: "repo:octo-org/releases:ref:refs/heads/main" });
      const granted = await server.exchange(claims, { audience: "release-bot" });
      assert.equal(granted.status, 200, JSON.stringify(granted.body));
      const foreign = await server.exchange({ ...claims, repository: "octo-org/other", repository_id: "78" }, { audience: "release-bot" });
      assert.equal(foreign.status, 400);
    });

    test("an API key is shown once, works, and is revoked", async () => {
      await page.goto(`${server.admin}/console/service-accounts/release-bot`);
      await page.getByRole("link", { name: /API key/ }).first().click();
      await page.getByLabel("Name", { exact: true }).fill("legacy host");
      await page.getByRole("button", { name: "Create API key" }).click();
      const key = (await page.locator("body").innerText()).match(/sts_[0-9A-Za-z]{54}/)[0];
      await picture(page, `api-key-${javaScriptEnabled ? "script" : "plain"}`);
      const parameters = { grant_type: "client_credentials", client_id: "release-bot", client_secret: key };
      assert.equal((await server.token(parameters)).status, 200);

      await page.goto(`${server.admin}/console/service-accounts/release-bot`);
      assert.ok(!(await page.content()).includes(key), "it is shown once");
      await page.getByRole("link", { name: "Revoke" }).or(page.getByRole("button", { name: "Revoke" })).first().click();
      const confirm = page.getByRole("button", { name: /^Revoke/ });
      if (await confirm.count()) await confirm.first().click();
      await assertPage(page);
      assert.equal((await server.token(parameters)).status, 401);
    });

    test("a refused request is found by its cause and allowed, and nobody else with it", async () => {
      const staging = githubClaims({ ref: "refs/heads/staging", sub: "repo:octo-org/releases:ref:refs/heads/staging", repository: "octo-org/releases", repository_id: "77" });
      const refused = await server.exchange(staging, { audience: "release-bot" });
      assert.equal(refused.status, 400);
      await page.goto(`${server.admin}/console/denials`);
      await assertPage(page, "Denials");
      await page.goto(`${server.admin}/console/denials/${refused.body.request_id}`);
      await assertPage(page);
      const text = await page.locator("main").innerText();
      assert.match(text, /refs\/heads\/staging/);
      assert.match(text, /refs\/heads\/main/);
      await picture(page, `denial-${javaScriptEnabled ? "script" : "plain"}`);
      await page.getByRole("link", { name: "Allow this" }).or(page.getByRole("button", { name: "Allow this" })).first().click();
      await assertPage(page);
      await picture(page, `allow-${javaScriptEnabled ? "script" : "plain"}`);
      await page.getByRole("button", { name: /^(Allow|Create|Add|Change|Save)/ }).first().click();
      await assertPage(page);
      assert.equal((await server.exchange(staging, { audience: "release-bot" })).status, 200);
      const other = { ...staging, ref: "refs/heads/other", sub: "repo:octo-org/releases:ref:refs/heads/other" };
      assert.equal((await server.exchange(other, { audience: "release-bot" })).status, 400);
    });

    test("tokens are counted before a rule ends them", async () => {
      await page.goto(`${server.admin}/console/tokens?account=release-bot`);
      await assertPage(page, "Tokens");
      await picture(page, `tokens-${javaScriptEnabled ? "script" : "plain"}`);
      await page.getByRole("link", { name: /Revoke/ }).or(page.getByRole("button", { name: /Revoke/ })).last().click();
      await assertPage(page);
      const button = page.getByRole("button", { name: /^Revoke \d+ tokens?$/ });
      await button.first().click();
      await assertPage(page);
      const listed = JSON.parse(await server.cli("tokens", "list", "--account", "release-bot", "--state", "active", "--json"));
      assert.deepEqual(listed.tokens, []);
    });

    test("an account is disabled, and deleted once its name is typed", async () => {
      await page.goto(`${server.admin}/console/service-accounts/release-bot`);
      await page.getByRole("button", { name: "Disable service account" }).click();
      await assertPage(page, "release-bot");
      await page.getByRole("button", { name: "Enable service account" }).waitFor();
      await page.getByRole("link", { name: "Delete" }).click();
      await page.getByRole("button", { name: /^Delete/ }).click();
      const field = page.locator('form input:not([type="hidden"])').first();
      await field.fill("another-name");
      await page.getByRole("button", { name: /^Delete/ }).click();
      await assertPage(page);
      await page.locator('form input:not([type="hidden"])').first().fill("release-bot");
      await page.getByRole("button", { name: /^Delete/ }).click();
      await assertPage(page, "Service accounts");
      assert.equal(await page.getByRole("link", { name: "release-bot", exact: true }).count(), 0);
    });

    test("an issuer is trusted, its workload gets a token, and it is trusted no longer", async () => {
      await page.goto(`${server.admin}/console/issuers`);
      await page.getByRole("link", { name: "New issuer entry" }).first().click();
      await assertPage(page, "New issuer entry");
      await page.getByLabel("Name", { exact: true }).fill("ci");
      await page.getByLabel("Issuer", { exact: true }).fill("not a URL");
      await page.getByRole("button", { name: "Create issuer entry" }).click();
      await assertPage(page);
      await page.getByRole("alert").waitFor();
      assert.equal(await page.getByLabel("Issuer", { exact: true }).getAttribute("aria-invalid"), "true");
      await picture(page, `issuer-form-${javaScriptEnabled ? "script" : "plain"}`);

      // Its keys are known beforehand: it is asked for nothing.
      const other = await startIssuer(() => "https://sts.example.com");
      await page.getByLabel("Issuer", { exact: true }).fill(other.url);
      await page.getByLabel("JWKS", { exact: true }).fill(JSON.stringify(other.jwks));
      await page.getByRole("button", { name: "Create issuer entry" }).click();
      await assertPage(page, "ci");
      const identities = [{ name: "job", issuer: "ci", subject: "job-1" }];
      await server.apply({ service_accounts: { "ci-job": { teams: ["deployers"], identities } } });
      const exchange = async () => {
        const parameters = { subject_token: await other.token({ sub: "job-1" }), audience: "ci-job" };
        return (await server.present(parameters)).status;
      };
      assert.equal(await exchange(), 200);

      await page.goto(`${server.admin}/console/issuers/ci`);
      await page.getByRole("link", { name: "Edit" }).click();
      await assertPage(page, "Edit issuer entry");
      await page.getByLabel("Enabled").selectOption("No");
      await page.getByRole("button", { name: "Save issuer entry" }).click();
      await assertPage(page, "ci");
      assert.equal(await exchange(), 400);
      await picture(page, `issuer-${javaScriptEnabled ? "script" : "plain"}`);

      await server.cli("delete", "service-accounts", "ci-job");
      await page.getByRole("link", { name: "Delete" }).click();
      await page.locator('form input:not([type="hidden"])').first().fill("ci");
      await page.getByRole("button", { name: /^Delete/ }).click();
      await assertPage(page, "Issuers");
      assert.equal(await page.getByRole("link", { name: "ci", exact: true }).count(), 0);
      await other.stop();
    });

    test("what a file declares is shown with its file, and cannot be changed", async () => {
      await page.goto(`${server.admin}/console/service-accounts/octo-file`);
      await assertPage(page, "octo-file");
      assert.match(await page.locator("main").innerText(), /sts\.yaml/);
      assert.equal(await page.getByRole("link", { name: "Edit" }).count(), 0);
      assert.equal(await page.getByRole("link", { name: "Delete" }).count(), 0);
    });
  });
}

test("a change that somebody else made meanwhile is shown, not overwritten", async () => {
  const server = await startServer();
  const page = await open(browser);
  await signIn(page, server);
  await server.apply({ service_accounts: { shared: { description: "as it was" } } });
  await page.goto(`${server.admin}/console/service-accounts/shared`);
  await page.getByRole("link", { name: "Edit" }).click();
  await server.apply({ service_accounts: { shared: { description: "as they changed it" } } });
  await page.getByLabel("Description").fill("as I want it");
  await page.getByRole("button", { name: /^Save/ }).click();
  const text = await page.locator("main").innerText();
  assert.match(text, /as they changed it/);
  assert.equal(await page.getByLabel("Description").inputValue(), "as I want it", "nothing typed is lost");
  await picture(page, "conflict");
  assert.match(await server.cli("get", "service-accounts", "shared", "--json"), /as they changed it/);
  await page.context().close();
  await server.stop();
});

test("a change that is refused says why at its field, and keeps what was typed", async () => {
  const server = await startServer();
  const page = await open(browser);
  await signIn(page, server);
  await page.goto(`${server.admin}/console/service-accounts`);
  await page.getByRole("link", { name: "New service account" }).first().click();
  await page.getByLabel("Username").fill("Not A Name!");
  await page.getByLabel("Display name").fill("Kept");
  await page.getByRole("button", { name: "Create service account" }).click();
  await assertAccessible(page);
  await picture(page, "refused-form");
  assert.equal(await page.getByLabel("Display name").inputValue(), "Kept");
  assert.equal(await page.getByLabel("Username").inputValue(), "Not A Name!");
  assert.equal(await page.getByLabel("Username").getAttribute("aria-invalid"), "true");
  await page.getByRole("alert").waitFor();
  await page.context().close();
  await server.stop();
});

/** axe is a script of the page. */
async function assertAccessibleByScript(page, javaScriptEnabled) {
  if (javaScriptEnabled) await assertAccessible(page);
}

/** Chooses `value` in whatever control the field is: a list, checkboxes or a text. */
async function choose(page, label, value) {
  const field = page.getByLabel(label).first();
  if ((await field.count()) === 0) return page.getByLabel(value, { exact: true }).check();
  const tag = await field.evaluate((element) => element.tagName).catch(() => "INPUT");
  return tag === "SELECT" ? field.selectOption(value) : field.fill(value);
}

/** Without the script, a form whose fields depend on a choice is loaded again by a button. */
async function nextStep(page) {
  const button = page.getByRole("button", { name: /^(Choose|Continue|Next|Show its fields)/ });
  if (await button.count()) await button.first().click();
}

async function fillIfThere(page, label, value) {
  const field = page.getByLabel(label, { exact: true });
  if ((await field.count()) && (await field.isVisible())) await field.fill(value);
}
