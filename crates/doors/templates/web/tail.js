// Asks for the lines that came since, and puts them on top. Without it, the page is reloaded by hand.
"use strict";
const body = document.getElementById("tail");
const state = document.getElementById("tail-state");
const pause = document.getElementById("pause");
// As many as anybody scrolls through.
const ROWS_MAX = 500;
const EVERY_MS = 2000;
let paused = false;

async function look() {
  if (!paused && !document.hidden) {
    try {
      const asked = new URLSearchParams({ after: body.dataset.next, org: body.dataset.org });
      const answer = await fetch("/tail/lines?" + asked, { redirect: "error" });
      if (!answer.ok) throw new Error(answer.status);
      const html = await answer.text();
      body.dataset.next = answer.headers.get("sm2tp-next");
      // The server escapes what strangers wrote, and the policy of this page runs no script that stands in it.
      if (html.trim()) {
        body.insertAdjacentHTML("afterbegin", html);
        document.getElementById("tail-none")?.remove();
      }
      while (body.rows.length > ROWS_MAX) body.lastElementChild.remove();
      const skipped = Number(answer.headers.get("sm2tp-skipped"));
      say(skipped ? state.dataset.skipped + " " + skipped : state.dataset.live);
    } catch {
      say(state.dataset.away);
    }
  }
  setTimeout(look, EVERY_MS);
}

function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", paused);
  pause.textContent = paused ? pause.dataset.go : pause.dataset.pause;
});
look();
