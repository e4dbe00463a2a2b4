"use strict";
// The colour scheme, set before anything is drawn: that of the system, or the reader's choice.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    // Browsers that store nothing for files throw an error.
    try { return localStorage.getItem("synfab-scheme"); } catch { return null; }
  };
  const show = (scheme) => {
    root.dataset.scheme = scheme;
    const button = document.getElementById("scheme");
    if (button) button.setAttribute("aria-pressed", String(scheme === "dark"));
  };
  const chosen = () => stored() ?? (system.matches ? "dark" : "light");
  show(chosen());
  system.addEventListener("change", () => show(chosen()));
  addEventListener("DOMContentLoaded", () => {
    show(root.dataset.scheme);
    document.getElementById("scheme").addEventListener("click", () => {
      const scheme = root.dataset.scheme === "dark" ? "light" : "dark";
      show(scheme);
      try { localStorage.setItem("synfab-scheme", scheme); } catch { /* until the page is closed */ }
    });
  });
})();
