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

  // What the form of an identity would admit follows the fields. The last answer wins.
  const follow = (form) => {
    let timer = 0;
    let asked = 0;
    const check = async () => {
      const mine = ++asked;
      const fields = new URLSearchParams(new FormData(form));
      fields.set("action", "check");
      try {
        // A button is named `action`, so `form.action` is that.
        const answer = await fetch(location.href, { method: "POST", body: fields, credentials: "same-origin" });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const next = page.getElementById(form.dataset.live);
        if (mine !== asked || !next) return;
        const place = document.getElementById(form.dataset.live);
        place.replaceChildren(...next.childNodes);
        offerCopies(place);
      } catch { /* The button still works. */ }
    };
    form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(check, 400); });
  };

  // A button to copy is there only where the browser lets us write to the clipboard.
  const offerCopies = (part) => {
    if (!navigator.clipboard) return;
    for (const button of part.querySelectorAll("[data-copy], [data-copies]")) button.hidden = false;
  };
  const copy = async (button, said) => {
    const text = button.dataset.copies ?? document.getElementById(button.dataset.copy).textContent;
    const label = button.firstChild;
    const before = button.dataset.label ??= label.textContent;
    try {
      await navigator.clipboard.writeText(text);
      label.textContent = "Copied";
    } catch {
      label.textContent = "Not copied";
    }
    said.textContent = label.textContent;
    setTimeout(() => { label.textContent = before; said.textContent = ""; }, 3000);
  };

  document.addEventListener("DOMContentLoaded", () => {
    offerCopies(document);
    const said = document.createElement("p");
    said.className = "visually-hidden";
    said.setAttribute("role", "status");
    document.body.append(said);
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy], [data-copies]");
      if (button) copy(button, said);
    });
    for (const form of document.querySelectorAll("form[data-live]")) follow(form);
    // The fields of another issuer need another page.
    for (const select of document.querySelectorAll("form[data-live] select[name=issuer]")) {
      const button = select.form.querySelector("button[value=fields]");
      if (button) select.addEventListener("change", () => button.click());
    }
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
  });
})();
