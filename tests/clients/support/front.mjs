// A server in front of `sts`. Its address is known before `sts` starts, so it can be the issuer. It forwards requests, unless a test
// says what to answer instead.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { join } from "node:path";
import { repository } from "./repository.mjs";

export const TLS = join(repository, "tests/corpus/tls");
export const CA = join(TLS, "server.crt");

/** Starts a front. Each function of `(request, response)` in `next` replaces one answer. The path `away` answers 503. */
export async function startFront({ secure = false } = {}) {
  const front = { next: [], seen: [], upstream: "", away: undefined };
  const handler = async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    front.seen.push({ method: request.method, path: request.url, headers: request.headers, body: body.toString() });
    const instead = request.url === front.away ? answer(503, {}, "") : front.next.shift();
    if (instead) return instead(request, response);
    const headers = { ...request.headers, "x-forwarded-proto": secure ? "https" : "http" };
    const passed = http.request(new URL(request.url, front.upstream), {
      method: request.method,
      headers,
      agent: false,
    });
    passed.on("error", () => response.destroy());
    passed.on("response", (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.end(body);
  };
  const keys = secure && { key: readFileSync(join(TLS, "server.key")), cert: readFileSync(join(TLS, "server.crt")) };
  const server = secure ? https.createServer(keys, handler) : http.createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  front.port = server.address().port;
  front.url = secure ? `https://localhost:${front.port}` : `http://127.0.0.1:${front.port}`;
  front.stop = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return front;
}

/** An answer in place of the server's. */
export function answer(status, headers, body) {
  return (_, response) => {
    response.writeHead(status, headers);
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}
