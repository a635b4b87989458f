// A shell in a running job: xterm over the server's WebSocket (crates/protocol/src/tunnel.rs says what is spoken).
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import sheet from "@xterm/xterm/css/xterm.css";
import { adopt, document as strict } from "./strict.js";
import { show } from "./work.js";

const MAIN = 0;
/** So many bytes are shown before the job is told that they were. */
const ACK_EVERY = 32 * 1024;
const FRAME_MAX = 32 * 1024;

let adopted = false;

function colours(element) {
  const style = getComputedStyle(element);
  return { background: style.backgroundColor, foreground: style.color, cursor: style.color, selectionBackground: "rgba(128, 140, 136, 0.4)" };
}

/** Opens one in the place; an earlier one there is closed. */
export function open(place, api, member) {
  if (!adopted) {
    adopt(`${sheet}.xterm .xterm-viewport { background-color: transparent; }`);
    adopted = true;
  }
  place.close?.();
  const box = place.querySelector("[data-terminal]");
  box.hidden = false;
  box.replaceChildren();
  const style = getComputedStyle(box);
  const terminal = new Terminal({
    documentOverride: strict,
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: style.fontFamily,
    fontSize: 14,
    scrollback: 5_000,
    screenReaderMode: false,
    theme: colours(box),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  fit.fit();
  const query = new URLSearchParams({ cols: terminal.cols, rows: terminal.rows, member });
  const address = new URL(`${api}/shell?${query}`, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  show(place, "connecting");
  const say = (word) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(word));
  let told = "";
  let taken = 0;
  const type = (bytes) => {
    for (let at = 0; at < bytes.length; at += FRAME_MAX) {
      const piece = bytes.subarray(at, at + FRAME_MAX);
      const frame = new Uint8Array(piece.length + 1);
      frame[0] = MAIN;
      frame.set(piece, 1);
      if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    }
  };
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") {
      const word = JSON.parse(data);
      if (word.type === "open") {
        show(place, "open");
        // On a phone it opens below what is seen.
        const { top, bottom } = box.getBoundingClientRect();
        if (top < 0 || bottom > innerHeight) box.scrollIntoView({ block: "start" });
        terminal.focus();
      } else if (word.type === "refused") {
        told = "refused";
        show(place, "refused", word.message);
      } else if (word.type === "exit") {
        told = "ended";
        show(place, "ended", String(word.code ?? word.signal ?? ""));
      }
      return;
    }
    const bytes = new Uint8Array(data, 1);
    terminal.write(bytes, () => {
      taken += bytes.length;
      if (taken >= ACK_EVERY) {
        say({ type: "ack", bytes: taken });
        taken = 0;
      }
    });
  });
  socket.addEventListener("close", ({ code, reason }) => {
    if (!told) show(place, reason === "idle" ? "idle" : "lost", code === 1000 ? reason : "");
    terminal.options.disableStdin = true;
    terminal.options.cursorBlink = false;
    observer.disconnect();
  });
  const encoder = new TextEncoder();
  terminal.onData((text) => type(encoder.encode(text)));
  terminal.onBinary((text) => type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => say({ type: "resize", cols, rows }));
  for (const key of place.querySelectorAll("[data-key]")) {
    // What a phone's keyboard does not have.
    key.onclick = () => {
      type(encoder.encode(JSON.parse(`"${key.dataset.key}"`)));
      terminal.focus();
    };
  }
  const observer = new ResizeObserver(() => {
    // The page has put another part in its place: nobody can see or close it any more.
    if (!box.isConnected) return place.close();
    fit.fit();
  });
  observer.observe(box);
  place.close = () => {
    observer.disconnect();
    socket.close();
    terminal.dispose();
    place.close = undefined;
  };
  for (const button of place.querySelectorAll("[data-shell-close]")) {
    button.onclick = () => {
      place.close?.();
      box.hidden = true;
      show(place, "");
    };
  }
}
