// What the page does besides, where there is script: everything works without.
"use strict";
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", () => {
    // After the browser has taken the fields: a button that is disabled is not among them.
    setTimeout(() => {
      for (const button of form.querySelectorAll("button")) button.disabled = true;
      document.body.setAttribute("aria-busy", "true");
    });
  });
}
// Back in the history, the page comes as it was left.
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button")) button.disabled = false;
  document.body.removeAttribute("aria-busy");
});
const own = document.getElementById("own-zone");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const field = document.querySelector("input[name=time_zone]");
if (own && zone && !field.value && zone !== field.placeholder) {
  const link = own.querySelector("a");
  const there = new URL(link.href);
  there.searchParams.set("time_zone", zone);
  link.href = there.href;
  link.textContent += ` (${zone})`;
  own.hidden = false;
}
