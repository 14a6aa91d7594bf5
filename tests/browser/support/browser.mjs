// Chromium, with what every page must hold: no script error, nothing that the content security policy blocks, nothing foreign.

import assert from "node:assert/strict";
import axe from "axe-core";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const WIDE = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

const SCREENSHOTS = process.env.STS_SCREENSHOTS;

export function launch() {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

/** A browser window. `page.faults()` lists what a page must never cause. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(`script: ${error.message}`));
  page.on("console", (message) => {
    // The browser reports each answer of 4xx or 5xx as an error too.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) faults.push(message.text());
  });
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.faults = () => faults;
  return page;
}

/** Signs in by a link of `sts console link`. */
export async function signIn(page, server) {
  await page.goto((await server.cli("console", "link")).trim());
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.waitForURL(`${server.admin}/console/`);
}

/** What each page has, whoever looks at it. */
export async function assertPage(page, heading) {
  assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1, `one first heading at ${page.url()}`);
  if (heading) assert.equal((await page.getByRole("heading", { level: 1 }).innerText()).trim(), heading);
  assert.ok(await page.title(), page.url());
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
  assert.deepEqual(page.faults(), [], page.url());
  // Nothing reaches past the edge of the window but what scrolls by itself.
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overflow <= 0, `${page.url()} is ${overflow} px wider than the window`);
}

/** WCAG 2.2 AA, as far as a program can tell. */
export async function assertAccessible(page) {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate((values) => axe.run({ runOnly: values }), tags);
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" | ")}`);
  assert.deepEqual(told, [], page.url());
}

/** Keeps a picture, where pictures are asked for. */
export async function picture(page, name) {
  if (!SCREENSHOTS) return;
  await mkdir(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}
