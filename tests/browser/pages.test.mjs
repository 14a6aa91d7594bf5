// Every page, in both colour schemes, wide and on a phone, empty and full: it stands, axe finds nothing, and no text of a stranger runs.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { PHONE, WIDE, assertAccessible, assertPage, launch, open, picture, signIn } from "./support/browser.mjs";
import { fill } from "./support/data.mjs";
import { startServer } from "./support/server.mjs";

/** The pages of the navigation, by their heading. */
const SECTIONS = ["Overview", "Service accounts", "Teams", "APIs", "Issuers", "Tokens", "Denials", "Audit", "Signing keys"];

/** Views of one look. */
const LOOKS = [
  { name: "light-wide", colorScheme: "light", viewport: WIDE },
  { name: "dark-phone", colorScheme: "dark", viewport: PHONE },
  { name: "dark-wide", colorScheme: "dark", viewport: WIDE },
  { name: "light-phone", colorScheme: "light", viewport: PHONE },
];

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

describe("an empty console", () => {
  let server;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.stop());

  for (const look of LOOKS) {
    test(`each section stands, ${look.name}`, async () => {
      const page = await open(browser, look);
      await signIn(page, server);
      for (const [heading, url] of await sections(page)) {
        await page.goto(url);
        await assertPage(page, heading);
        await assertAccessible(page);
        await picture(page, `empty-${slug(heading)}-${look.name}`);
      }
      await page.context().close();
    });
  }
});

describe("a full console with hostile text in it", () => {
  let server;
  before(async () => {
    server = await startServer();
    await fill(server);
  });
  after(() => server?.stop());

  for (const look of LOOKS) {
    test(`each page stands, ${look.name}`, async () => {
      const page = await open(browser, look);
      await signIn(page, server);
      for (const url of await allPages(page)) {
        const answer = await page.goto(url);
        assert.equal(answer.status(), 200, url);
        await assertPage(page);
        await assertAccessible(page);
        await picture(page, `full-${slug(new URL(url).pathname.replace("/console/", ""))}-${look.name}`);
      }
      await page.context().close();
    });
  }

  test("c152_ what a token said is shown as it was said, and never run", async () => {
    const page = await open(browser);
    await signIn(page, server);
    const seen = [];
    await page.goto(`${server.admin}/console/denials`);
    seen.push(await page.locator("main").innerText());
    for (const url of await links(page, "/console/denials/")) {
      await page.goto(url);
      seen.push(await page.locator("main").innerText());
    }
    const text = seen.join("\n");
    assert.ok(text.includes(`<script>alert("script")</script>`), "the subject is readable");
    assert.ok(!text.includes(String(7919 * 7907)), "no template of a stranger is worked out");
    assert.deepEqual(page.faults(), []);
    await page.context().close();
  });
});

/** Heading and address of each section that the navigation has. */
async function sections(page) {
  const found = [];
  for (const heading of SECTIONS) {
    // On a phone the navigation is hidden until its menu is opened.
    const link = page.locator('nav[aria-label="Console"] a').filter({ hasText: new RegExp(`^${heading}$`) });
    assert.equal(await link.count(), 1, `the navigation has ${heading}`);
    found.push([heading, new URL(await link.getAttribute("href"), page.url()).href]);
  }
  return found;
}

/** The addresses below `prefix` that the page links to, without those that change something. */
async function links(page, prefix) {
  const hrefs = await page.locator("main a[href]").evaluateAll((elements) => elements.map((element) => element.href));
  return [...new Set(hrefs)].filter((href) => new URL(href).pathname.startsWith(prefix));
}

/** Every section, and pages of each kind that a section or such a page leads to. */
async function allPages(page) {
  const start = await sections(page);
  const kinds = new Map();
  const queue = start.map(([, url]) => url);
  const visited = new Set();
  while (queue.length > 0) {
    const url = queue.shift();
    if (visited.has(url)) continue;
    visited.add(url);
    await page.goto(url);
    for (const next of await links(page, "/console/")) {
      // One page of each kind is enough: names and ids differ, queries are views of the same page.
      const kind = new URL(next).pathname.replace(/\/(hostile-\d|arabic|emoji|bot-\d+|octo-file)(?=\/|$)/, "/NAME").replace(/[0-9A-Z]{26}/, "ID");
      if (kinds.has(kind)) continue;
      kinds.set(kind, next);
      queue.push(next);
    }
  }
  return [...new Set([...start.map(([, url]) => url), ...kinds.values()])];
}

function slug(text) {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60) || "overview";
}
