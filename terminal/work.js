// Works in a running job: its files here, its shell in a script of its own that is loaded when somebody asks for one. The server
// writes a block with `data-work` and all that may be said; see app/src/pages/job/work.rs.

const RETRY_MS = 3_000;
/** The largest file that the server takes; the server says so too. */
const FILE_MAX = 256 * 1024 * 1024;

export function show(block, name, detail = "") {
  for (const part of block.querySelectorAll("[data-show]")) {
    part.hidden = part.dataset.show !== name;
    const place = part.querySelector("[data-detail]");
    if (place) place.textContent = part.hidden ? "" : detail;
  }
}

const size = (bytes) => {
  const units = ["B", "KB", "MB", "GB"];
  let n = bytes;
  let unit = 0;
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? n : n.toPrecision(3)} ${units[unit]}`;
};

const join = (directory, name) => (directory === "" ? name : `${directory}/${name}`);

/** One listing; throws what is to be said. */
async function list(block) {
  const query = new URLSearchParams({ path: block.dataset.path ?? "" });
  const answer = await fetch(`${block.dataset.api}/workdir?${query}`, { headers: { accept: "application/json" } });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(told.detail ?? ""), { status: answer.status });
  return told;
}

function line(block, entry) {
  const path = join(block.dataset.path ?? "", entry.name);
  const row = document.createElement("li");
  const name = document.createElement(entry.kind === "other" ? "span" : entry.kind === "directory" ? "button" : "a");
  name.className = "mono";
  name.textContent = entry.kind === "directory" ? `${entry.name}/` : entry.name;
  if (entry.kind === "directory") {
    name.type = "button";
    name.classList.add("link");
    name.addEventListener("click", () => go(block, path));
  } else if (entry.kind === "file") {
    name.href = `${block.dataset.api}/workdir/file?${new URLSearchParams({ path })}`;
    name.setAttribute("download", entry.name);
    name.setAttribute("rel", "external");
  }
  const much = document.createElement("span");
  much.className = "hint";
  much.textContent = entry.kind === "file" ? size(entry.size_bytes) : "";
  row.append(name, much);
  return row;
}

function go(block, path) {
  block.dataset.path = path;
  read(block);
}

async function read(block) {
  const turn = (block.turn = (block.turn ?? 0) + 1);
  clearTimeout(block.timer);
  const place = block.querySelector("[data-files]");
  let listing;
  try {
    listing = await list(block);
  } catch (error) {
    if (block.turn !== turn || !block.isConnected) return;
    // It does not run yet, or any more: look again, as long as somebody looks.
    block.removeAttribute("data-open");
    show(place, error.status === 409 ? "shut" : error.status === 404 ? "gone" : "failed", error.message);
    place.querySelector("[data-list]").replaceChildren();
    if (error.status !== 404) block.timer = setTimeout(() => block.isConnected && read(block), RETRY_MS);
    return;
  }
  if (block.turn !== turn) return;
  block.setAttribute("data-open", "");
  const path = block.dataset.path ?? "";
  const up = [];
  if (path !== "") {
    const above = path.split("/").slice(0, -1).join("/");
    const row = line(block, { name: "..", kind: "directory", size_bytes: 0 });
    const button = row.querySelector("button");
    const back = button.cloneNode(true);
    back.addEventListener("click", () => go(block, above));
    button.replaceWith(back);
    up.push(row);
  }
  place.querySelector("[data-where]").textContent = path === "" ? "/job" : `/job/${path}`;
  place.querySelector("[data-list]").replaceChildren(...up, ...listing.entries.map((entry) => line(block, entry)));
  show(place, listing.more ? "more" : listing.entries.length === 0 ? "empty" : "");
}

async function upload(block, file) {
  const place = block.querySelector("[data-upload]");
  if (file.size > FILE_MAX) return show(place, "large");
  show(place, "busy", file.name);
  const query = new URLSearchParams({ path: join(block.dataset.path ?? "", file.name) });
  try {
    const answer = await fetch(`${block.dataset.api}/workdir/file?${query}`, {
      method: "PUT",
      headers: { "content-type": "application/octet-stream", accept: "application/json" },
      body: file,
    });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) return show(place, "refused", told.detail ?? String(answer.status));
    show(place, "done", file.name);
  } catch {
    show(place, "offline");
  }
  read(block);
}

function prepare(block) {
  if (block.ready) return;
  block.ready = true;
  block.querySelector("[data-again]")?.addEventListener("click", () => read(block));
  const chosen = block.querySelector("input[type=file]");
  chosen?.addEventListener("change", () => {
    if (chosen.files[0]) upload(block, chosen.files[0]);
    chosen.value = "";
  });
  for (const button of block.querySelectorAll("[data-shell-open]")) {
    button.addEventListener("click", async () => {
      const place = block.querySelector("[data-shell]");
      show(place, "loading");
      try {
        const { open } = await import("./shell.js");
        open(place, block.dataset.api, block.querySelector("[data-member]")?.value ?? "0");
      } catch {
        show(place, "offline");
      }
    });
  }
  read(block);
}

async function prepareAsking(place) {
  if (place.ready) return;
  place.ready = true;
  (await import("./ask.js")).prepare(place);
}

function prepareAll() {
  for (const block of document.querySelectorAll("[data-work]")) prepare(block);
  for (const place of document.querySelectorAll("[data-ask]")) prepareAsking(place);
}

// The page puts its parts in, and writes them anew, when it likes.
let due = false;
new MutationObserver(() => {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    prepareAll();
  });
}).observe(document.body, { childList: true, subtree: true });
prepareAll();
