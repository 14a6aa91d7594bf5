// The step itself: an access token for the job, as an output and in the environment of later steps.

import { readFileSync } from "node:fs";
import { exchange } from "./lib/exchange.mjs";
import { ActionError, UsageError } from "./lib/errors.mjs";
import * as runner from "./lib/runner.mjs";
import { settings } from "./lib/settings.mjs";

try {
  const wanted = settings(process.env, readFileSync);
  const answer = await exchange(wanted, runner);
  // Nothing else is done with the token before the runner knows that it is a secret.
  runner.mask(answer.token);
  if (wanted.revoke) {
    runner.saveState("token", answer.token);
    runner.saveState("url", wanted.url);
    runner.saveState("ca-file", wanted.caFile);
  }
  runner.setOutput("access-token", answer.token);
  runner.setOutput("expires-in", String(answer.expiresIn));
  runner.setOutput("expires-at", answer.expiresAt);
  runner.setOutput("scope", answer.scope);
  if (wanted.env) runner.exportVariable(wanted.env, answer.token);
  runner.say(`An access token for ${answer.expiresIn} seconds${answer.scope && `, with the scopes: ${answer.scope}`}`);
} catch (error) {
  // Anything else is a fault of this program, and Node shows where it is.
  if (!(error instanceof ActionError || error instanceof UsageError)) throw error;
  runner.annotate("error", error.title, error.message);
  process.exitCode = 1;
}
