// A console with much in it: long, foreign and hostile names wherever a token, a file or a person can put one.

import { githubClaims } from "./server.mjs";

/** Text that would run, break out of markup, or turn the page around. */
export const HOSTILE = [
  `<script>alert("script")</script>`,
  `"><img src=x onerror=alert('image')>`,
  `'; alert(1); '`,
  `{{ 7919 * 7907 }} \${7919 * 7907} <%= 7919 * 7907 %>`,
  "\u202Eright to left\u202C",
  "a".repeat(1000),
];

const LONG = "a-name-of-sixty-characters-that-no-designer-ever-thinks-of-00";
const ARABIC = "حساب خدمة للنشر في بيئة الإنتاج";
const EMOJI = "🚀 Deploys 👩‍💻 to production 🏳️‍🌈";

/** Fills the store with accounts, tokens and refusals. */
export async function fill(server, accounts = 300) {
  const serviceAccounts = {};
  for (let number = 0; number < accounts; number += 1) {
    serviceAccounts[`bot-${String(number).padStart(3, "0")}`] = account(number, `Bot ${number}`);
  }
  serviceAccounts[LONG] = account(1001, LONG);
  serviceAccounts.arabic = account(1002, ARABIC);
  serviceAccounts.emoji = account(1003, EMOJI);
  HOSTILE.filter((text) => text.length <= 200).forEach((text, index) => {
    serviceAccounts[`hostile-${index}`] = { ...account(1004 + index, text.slice(0, 100)), description: text };
  });
  await server.apply({ service_accounts: serviceAccounts });
  for (let run = 0; run < 20; run += 1) await server.exchange(githubClaims({ run_id: String(run) }), { audience: "octo-file" });
  for (const text of HOSTILE) {
    for (const members of [{ sub: text }, { ref: text }, { repository: text }, { event_name: text, workflow: text }]) {
      await server.exchange(githubClaims(members), { audience: "octo-file" });
    }
    await server.exchange(githubClaims(), { audience: text });
    await server.exchange(githubClaims(), { audience: "octo-file", scope: text });
  }
}

function account(number, displayName) {
  return {
    display_name: displayName,
    teams: ["deployers"],
    identities: [
      { name: "main", issuer: "github", github: { repository_owner_id: 65, repository_id: 10_000 + number, ref: "refs/heads/main" } },
    ],
  };
}
