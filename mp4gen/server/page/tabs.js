// On a phone one part of the page is visible at a time; on a desktop all are.

import { byId } from "./base.js";

const narrow = matchMedia("(max-width: 999px)");

export function showTab(name) {
  if (!narrow.matches) return;
  document.body.dataset.tab = name;
  for (const tab of byId("tabs").children) {
    if (tab.value === name) tab.setAttribute("aria-current", "true"); else tab.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
}

for (const tab of byId("tabs").children) tab.addEventListener("click", () => showTab(tab.value));

// Where there is room, the fields are always open.
function openFields() { byId("fields").open = !narrow.matches; }
narrow.addEventListener("change", openFields);
openFields();
