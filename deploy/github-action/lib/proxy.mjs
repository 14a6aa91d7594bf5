// Which proxy the environment names for a URL, by the rules of curl. A self-hosted runner has these variables from its `.env`.

import { UsageError } from "./errors.mjs";

/** The proxy for an https URL, or undefined. */
export function proxyFor(url, environment) {
  const variable = (name) => environment[name] || environment[name.toUpperCase()];
  const text = variable("https_proxy") || variable("all_proxy");
  if (!text || isExcepted(url, variable("no_proxy") ?? "")) return undefined;
  const proxy = text.includes("://") ? text : `http://${text}`;
  // Its value may have a password in it, so it is not shown.
  if (!URL.canParse(proxy)) throw new UsageError("https_proxy is not a URL");
  const parsed = new URL(proxy);
  if (!["http:", "https:"].includes(parsed.protocol))
    throw new UsageError(`https_proxy: proxies of ${parsed.protocol} are not supported`);
  return parsed;
}

function isExcepted(url, list) {
  const port = url.port || "443";
  return list
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === "*") return true;
      const [, name, only] = /^\*?\.?(.*?)(?::(\d+))?$/.exec(entry.toLowerCase());
      const fits = url.hostname === name || (/[a-z]/.test(name) && url.hostname.endsWith(`.${name}`));
      return fits && (only === undefined || only === port);
    });
}
