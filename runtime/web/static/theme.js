// Light or dark: as the system has it, until somebody switches.
const KEPT = "proctor-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => document.documentElement.dataset.theme === "dark";

function apply() {
  document.documentElement.dataset.theme = localStorage.getItem(KEPT) ?? (system.matches ? "dark" : "light");
}

export function switchTheme() {
  localStorage.setItem(KEPT, isDark() ? "light" : "dark");
  apply();
}

export function begin(changed) {
  apply();
  system.addEventListener("change", () => {
    apply();
    changed();
  });
}
