"use strict";
// The only script of these pages. Everything works without it but what is live. Text from the server becomes text,
// never markup.

// A token in the fragment of the login page (it never reaches a server or its logs) signs in at once.
const login = document.querySelector("form[data-login]");
if (login && location.hash.startsWith("#token=")) {
  login.elements.token.value = decodeURIComponent(location.hash.slice(7));
  history.replaceState(null, "", location.pathname + location.search);
  login.requestSubmit();
}

// The audit table grows at its head.
const table = document.querySelector("table[data-tail]");
if (table && window.EventSource) {
  const body = table.tBodies[0];
  const most = Number(table.dataset.rows);
  const pause = document.querySelector("[data-pause]");
  const status = document.getElementById("of");
  let paused = false;
  let held = [];

  const cell = (row, text, className) => {
    const td = row.insertCell();
    td.textContent = text;
    if (className) td.className = className;
    return td;
  };
  const show = (line) => {
    body.querySelector("tr.none")?.remove();
    const row = body.insertRow(0);
    row.className = "new";
    cell(row, line.seq, "n");
    cell(row, line.time, "time");
    cell(row, line.caller);
    cell(row, line.what);
    const ended = document.createElement("span");
    ended.className = line.mood;
    ended.textContent = line.ended;
    row.insertCell().append(ended);
    cell(row, line.rows, "n");
    cell(row, line.treated, "treated");
    const request = cell(row, "", "request");
    if (line.request) {
      const link = document.createElement("a");
      link.href = "/why?request=" + encodeURIComponent(line.request);
      link.textContent = line.request;
      request.append(link);
    }
    while (body.rows.length > most) body.deleteRow(-1);
  };

  const source = new EventSource(table.dataset.tail);
  source.onmessage = (event) => {
    const line = JSON.parse(event.data);
    if (paused) {
      held.push(line);
      if (held.length > most) held.shift();
      pause.textContent = `Go on (${held.length} waiting)`;
    } else {
      show(line);
    }
  };
  source.addEventListener("missed", (event) => {
    status.textContent = `${event.data} records came too fast to be shown: load the page again.`;
  });
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(!paused));
    if (!paused) {
      held.forEach(show);
      held = [];
    }
    pause.textContent = paused ? "Go on" : "Pause the live tail";
  });
}

// In a grid one cell is a tab stop; arrow keys move from cell to cell.
for (const grid of document.querySelectorAll("[data-grid]")) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  grid.addEventListener("keydown", (event) => {
    const at = event.target.closest("[data-cell]");
    const move = step[event.key];
    if (!at || !move) return;
    const cells = (row) => [...row.querySelectorAll("[data-cell]")];
    const rows = [...grid.querySelectorAll("tr")].filter((row) => cells(row).length);
    const row = at.closest("tr");
    const next = rows[rows.indexOf(row) + move[0]];
    const target = next && cells(next)[cells(row).indexOf(at) + move[1]];
    if (!target) return;
    event.preventDefault();
    at.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  });
}

// A page that may renew itself does so while somebody looks at it and nothing is focused in it.
const live = document.querySelector("[data-renew]");
if (live) {
  live.hidden = false;
  const key = "renew " + location.pathname;
  let on = sessionStorage.getItem(key) === "on";
  const say = () => {
    live.setAttribute("aria-pressed", String(on));
    live.textContent = on ? "Live: renewed every 10 s" : "Keep it live";
  };
  live.addEventListener("click", () => {
    on = !on;
    sessionStorage.setItem(key, on ? "on" : "off");
    say();
  });
  say();
  setInterval(() => {
    const focused = document.activeElement;
    const idle = !focused || focused === document.body || focused === live || focused.id === "content";
    if (on && !document.hidden && idle) location.reload();
  }, 10000);
}

// Choosing a sample fills the text.
const sample = document.querySelector("[data-sample]");
sample?.addEventListener("change", () => sample.form.requestSubmit(document.querySelector("[data-fill]")));
