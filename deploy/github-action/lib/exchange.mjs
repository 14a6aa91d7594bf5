// The requests: an ID token from GitHub, an access token for it (RFC 8693), and its revocation (RFC 7009).

import { ActionError, UsageError } from "./errors.mjs";
import { send } from "./http.mjs";
import { retryAfter, withRetries } from "./retry.mjs";
import { certificates, isSafe } from "./settings.mjs";

const FORM = { "content-type": "application/x-www-form-urlencoded", accept: "application/json" };
const REVOCATION_SECONDS = 20;

/** An access token. Each try has an ID token of its own: a server may take one once, and the answer to the first try may be lost. */
export function exchange(settings, runner) {
  return withRetries(settings.timeout, async (within) => {
    const subject = await idToken(settings, within());
    runner.mask(subject);
    return accessToken(settings, subject, within());
  });
}

/** Ends an access token. */
export function revoke(url, token, ca) {
  return withRetries(REVOCATION_SECONDS, async (within) => {
    const body = new URLSearchParams({ token }).toString();
    const answer = await send({
      what: "the sts server",
      url: new URL(`${url}/revoke`),
      method: "POST",
      headers: FORM,
      body,
      ca,
      within: within(),
    });
    if (answer.status !== 200) throw refusal(answer, url);
  });
}

async function idToken({ idToken: { url: text, bearer }, tokenAudience }, within) {
  if (!text || !bearer) {
    throw new UsageError(
      "the job may not ask for an ID token: write `permissions: { id-token: write }` in the workflow " +
        "(a pull request from a fork never may)",
    );
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !isSafe(url)) throw new UsageError("ACTIONS_ID_TOKEN_REQUEST_URL is not an https URL");
  url.searchParams.set("audience", tokenAudience);
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
  // `ca-file` is for our server. GitHub has a certificate of its own.
  const answer = await send({ what: "GitHub's issuer of ID tokens", url, headers, ca: certificates(""), within });
  const { value } = parsed(answer.text);
  if (answer.status === 200 && isToken(value)) return value;
  const message = `GitHub answered ${answer.status} and no ID token`;
  throw new ActionError("no ID token", message, { retry: isPassing(answer), after: after(answer) });
}

async function accessToken(settings, subject, within) {
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
    subject_token: subject,
  });
  if (settings.account) form.append("audience", settings.account);
  if (settings.audience) form.append("audience", settings.audience);
  if (settings.resource) form.append("resource", settings.resource);
  if (settings.scope) form.append("scope", settings.scope);
  if (settings.expiresIn) form.append("expires_in", String(settings.expiresIn));
  const url = new URL(`${settings.url}/token`);
  const body = form.toString();
  const answer = await send({
    what: "the sts server",
    url,
    method: "POST",
    headers: FORM,
    body,
    ca: settings.ca,
    within,
  });
  const granted = parsed(answer.text);
  if (answer.status !== 200) throw refusal(answer, settings.url, settings.docs);
  if (!isToken(granted.access_token) || !Number.isInteger(granted.expires_in)) {
    throw new ActionError("no access token", `${settings.url} answered no access token: is it an sts server?`);
  }
  const expiresAt = new Date(Date.now() + granted.expires_in * 1000).toISOString();
  const scope = typeof granted.scope === "string" ? granted.scope : "";
  return { token: granted.access_token, expiresIn: granted.expires_in, expiresAt, scope };
}

/** What an answer that is not 200 says, and where the answer to it stands. */
function refusal(answer, url, docs = undefined) {
  const { reason, error_description: description, request_id: id } = parsed(answer.text);
  if (answer.status >= 300 && answer.status < 400) {
    return new ActionError(
      "redirected",
      `${url} answers ${answer.status}, which is not followed with a token: give the server's own URL as \`url\``,
    );
  }
  if (typeof reason !== "string" || !/^[a-z_]+$/.test(reason)) {
    return new ActionError(
      "no answer of sts",
      `${url} answered ${answer.status} without a reason: is it an sts server?`,
      { retry: isPassing(answer), after: after(answer) },
    );
  }
  const lines = [`${description ?? "no description"} (request id ${id ?? "unknown"})`];
  if (reason === "not_authorized") lines.push(`The server's owner finds the cause with: sts explain --denial ${id}`);
  if (docs) lines.push(`What to do: ${docs}#${reason}`);
  // The server says when another try may help, and the rest is final.
  return new ActionError(reason, lines.join("\n"), { retry: after(answer) !== undefined, after: after(answer) });
}

/** Whether another try may help where nobody says so: GitHub, or something in front of the server, is away. */
function isPassing(answer) {
  return after(answer) !== undefined || [429, 500, 502, 503, 504].includes(answer.status);
}

function after(answer) {
  return retryAfter(answer.headers["retry-after"], Date.now());
}

/** A token as RFC 6750 writes it. A line break would reach into the runner's files. */
function isToken(value) {
  return typeof value === "string" && /^[A-Za-z0-9._~+/-]+=*$/.test(value);
}

function parsed(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
