// Starts the OpenID provider, and fills in its pages as a person does.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

export const CLIENT_SECRET = "client-secret-0123456789abcdef";

/** A port that is free. The provider must know the console's address before the console starts. */
export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

export async function startProvider(redirectUri) {
  const script = fileURLToPath(new URL("./provider-process.mjs", import.meta.url));
  const child = spawn(process.execPath, [script, CLIENT_SECRET, redirectUri], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout.setEncoding("utf8"), "data");
  return {
    issuer: line.trim(),
    async stop() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
    },
  };
}

/** Logs in as `name` on the provider's page, and consents. */
export async function logIn(page, name) {
  await page.locator('input[name="login"]').fill(name);
  await page.locator('input[name="password"]').fill("any");
  await page.locator('button[type="submit"]').click();
  await page.getByRole("button", { name: "Continue" }).click();
}
