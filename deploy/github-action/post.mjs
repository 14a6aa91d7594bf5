// After the job: the access token is revoked. A failure is a warning, because the job's work is done
// and the token expires by itself.

import { readFileSync } from "node:fs";
import { ActionError, UsageError } from "./lib/errors.mjs";
import { revoke } from "./lib/exchange.mjs";
import { certificates } from "./lib/settings.mjs";
import * as runner from "./lib/runner.mjs";

const token = runner.state("token");
if (token) {
  try {
    runner.mask(token);
    await revoke(runner.state("url"), token, certificates(runner.state("ca-file"), readFileSync));
    runner.say("The access token is revoked");
  } catch (error) {
    if (!(error instanceof ActionError || error instanceof UsageError)) throw error;
    runner.annotate("warning", "sts: not revoked", `The access token lives until it expires. ${error.message}`);
  }
}
