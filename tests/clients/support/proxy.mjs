// A proxy for HTTPS.

import { once } from "node:events";
import http from "node:http";
import net from "node:net";

/** A proxy that connects every name to this port of this machine. */
export async function startProxy(port) {
  const proxy = { seen: [], refuse: false };
  const sockets = new Set();
  const server = http.createServer();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("connect", (request, client, head) => {
    proxy.seen.push(`${request.url} ${request.headers["proxy-authorization"]}`);
    if (proxy.refuse) return client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    const upstream = net.connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [client, upstream]) socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy.port = server.address().port;
  // A connection that became a tunnel is no longer the server's to close.
  proxy.stop = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  return proxy;
}
