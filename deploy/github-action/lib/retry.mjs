// Tries within a deadline.

import { setTimeout as sleep } from "node:timers/promises";
import { ActionError } from "./errors.mjs";

// Of one request, in milliseconds.
const LONGEST_REQUEST = 15_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;

/** Calls `attempt` with the milliseconds that it may take, again while its error says `retry`, until `seconds` have passed. */
export async function withRetries(seconds, attempt) {
  const start = performance.now();
  const left = () => seconds * 1000 - (performance.now() - start);
  for (let count = 1; ; count += 1) {
    try {
      return await attempt(() => Math.max(1, Math.min(LONGEST_REQUEST, Math.ceil(left()))));
    } catch (error) {
      if (!(error instanceof ActionError) || !error.retry) throw error;
      const wait = pause(count, error.after, Math.random());
      if (wait >= left()) throw gaveUp(error, count, seconds);
      await sleep(wait);
    }
  }
}

/** How long to wait after try number `count`, in milliseconds: what the server asked for, or twice as long each time. `random` is below 1. */
export function pause(count, after, random) {
  const longest = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (count - 1));
  // Jobs that failed together are not to come back together.
  return after === undefined ? longest * (0.5 + random / 2) : after * 1000 + FIRST_PAUSE * random;
}

/** The seconds of a Retry-After header, or undefined. */
export function retryAfter(header, now) {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header)) return Number(header);
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - now) / 1000));
}

function gaveUp(error, count, seconds) {
  const tries = count === 1 ? "once" : `${count} times`;
  error.message += `\nTried ${tries}: another try does not fit into the timeout of ${seconds} seconds`;
  return error;
}
