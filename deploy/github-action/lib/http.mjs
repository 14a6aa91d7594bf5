// One request, through the proxy that the environment names.

import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { ActionError, UsageError } from "./errors.mjs";
import { proxyFor } from "./proxy.mjs";
import { isLoopback } from "./settings.mjs";

// No answer of ours or of GitHub is nearly as large.
const MOST = 1024 * 1024;

/** Sends a request and reads the answer: `status`, `headers`, `text`. `within` is in milliseconds. Redirects are not followed. */
export async function send({
  what,
  url,
  method = "GET",
  headers = {},
  body = "",
  ca,
  within,
  environment = process.env,
}) {
  const signal = AbortSignal.timeout(within);
  try {
    const options = { method, headers: { ...headers, "user-agent": "sts-github-action" }, ca, signal };
    // http is for this machine only, where no proxy leads to.
    const proxy = url.protocol === "https:" && !isLoopback(url.hostname) ? proxyFor(url, environment) : undefined;
    const socket = proxy && (await tunnel(proxy, url, ca, signal));
    if (socket) options.createConnection = () => socket;
    const request = (url.protocol === "https:" ? https : http).request(url, options);
    const answered = first(request, "response");
    request.end(body);
    const [answer] = await answered;
    let text = "";
    answer.setEncoding("utf8");
    for await (const part of answer) {
      text += part;
      if (text.length > MOST) throw new ActionError("unreachable", `${what} sent more than ${MOST} bytes`);
    }
    return { status: answer.statusCode, headers: answer.headers, text };
  } catch (error) {
    if (error instanceof ActionError || error instanceof UsageError) throw error;
    throw unreachable(what, url, error, signal.aborted && within);
  }
}

/** A TLS connection to `url` through the proxy. */
async function tunnel(proxy, url, ca, signal) {
  const port = url.port || "443";
  const headers = { host: `${url.hostname}:${port}` };
  if (proxy.username) {
    const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    headers["proxy-authorization"] = `Basic ${Buffer.from(credentials).toString("base64")}`;
  }
  const target = { method: "CONNECT", path: headers.host, headers, signal, agent: false };
  const asked = (proxy.protocol === "https:" ? https : http).request(new URL(proxy.origin), target);
  const connected = first(asked, "connect");
  asked.end();
  const [answer, plain] = await connected;
  if (answer.statusCode !== 200) {
    plain.destroy();
    throw new ActionError(
      "unreachable",
      `the proxy ${proxy.host} answered ${answer.statusCode} and does not connect to ${headers.host}`,
    );
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const socket = tls.connect({ socket: plain, host, servername: net.isIP(host) ? "" : host, ca });
  signal.addEventListener("abort", () => socket.destroy(signal.reason));
  await first(socket, "secureConnect");
  return socket;
}

/** What comes with the event. An error after it is heard too, by nobody, so that it does not end the process. */
function first(emitter, event) {
  emitter.on("error", () => {});
  return once(emitter, event);
}

function unreachable(what, url, error, timeout) {
  const failed = (why, retry = true) =>
    new ActionError("unreachable", `cannot reach ${what} at ${url.host}: ${why}`, { retry });
  if (timeout) return failed(`no answer within ${Math.round(timeout / 100) / 10} seconds`);
  const certificate = CERTIFICATES[error.code];
  if (certificate) return failed(certificate, false);
  const causes = {
    ENOTFOUND: "its name is not known",
    ECONNREFUSED: "the connection was refused",
    ECONNRESET: "the connection broke",
  };
  return failed(causes[error.code] ?? error.code ?? error.message);
}

const UNTRUSTED =
  "its certificate is of an authority that is not trusted here: name the authority's file in `ca-file`, or in NODE_EXTRA_CA_CERTS of the runner";
const CERTIFICATES = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: is the runner's clock right?",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
};
