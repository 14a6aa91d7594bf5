// Comfort only: every page works without this script.
"use strict";
(() => {
  const root = document.documentElement;
  // The choice is kept by the browser; storage may be turned off, and then the page follows the system.
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const store = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* not remembered */ } };
  const chosen = stored();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  const relative = (then) => {
    const seconds = Math.round((then - Date.now()) / 1000);
    const format = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
    for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
    }
    return format.format(seconds, "second");
  };

  document.addEventListener("DOMContentLoaded", () => {
    const theme = document.querySelector("[data-switch-theme]");
    if (theme) {
      const label = () => { theme.textContent = isDark() ? "Use light colours" : "Use dark colours"; };
      theme.hidden = false;
      label();
      theme.addEventListener("click", () => {
        root.dataset.theme = isDark() ? "light" : "dark";
        store(root.dataset.theme);
        label();
      });
    }
    for (const time of document.querySelectorAll("time[datetime]")) {
      const then = new Date(time.dateTime);
      if (Number.isNaN(then.getTime())) continue;
      time.title = then.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
      time.textContent = relative(then.getTime());
    }
    for (const button of document.querySelectorAll("[data-copy]")) {
      if (!navigator.clipboard) continue;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      });
    }
  });
})();
