// Asks a job that serves in the OpenAI format, as a client would: the answer is shown word by word, with what it cost in time.
import { show } from "./work.js";

const TOKENS_MAX = 256;

/** The texts of a stream of server-sent events, as they come. */
async function* pieces(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:") || line.includes("[DONE]")) continue;
      const told = JSON.parse(line.slice(5));
      if (told.error) throw new Error(told.error.message ?? String(told.error));
      const text = told.choices?.[0]?.delta?.content;
      if (text) yield text;
    }
  }
}

function said(turns, who, text) {
  const line = document.createElement("li");
  line.dataset.who = who;
  line.textContent = text;
  turns.append(line);
  return line;
}

const refusal = async (answer) => {
  const told = await answer.json().catch(() => ({}));
  return told.detail ?? told.error?.message ?? String(answer.status);
};

async function ask(place, text, signal) {
  const turns = place.querySelector("[data-turns]");
  const url = place.dataset.url;
  place.model ??= await fetch(`${url}/models`, { signal }).then((answer) => answer.json()).then((list) => list.data?.[0]?.id).catch(() => undefined);
  const messages = [...turns.children].map((line) => ({ role: line.dataset.who, content: line.textContent }));
  messages.push({ role: "user", content: text });
  const began = performance.now();
  const answer = await fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: place.model ?? "model", messages, max_tokens: TOKENS_MAX, stream: true }),
    signal,
  });
  if (!answer.ok) return show(place, "refused", await refusal(answer));
  said(turns, "user", text);
  const line = said(turns, "assistant", "");
  let first = 0;
  let count = 0;
  for await (const piece of pieces(answer.body)) {
    first ||= performance.now();
    count += 1;
    line.textContent += piece;
    line.scrollIntoView({ block: "nearest" });
  }
  const seconds = (performance.now() - first) / 1000;
  const pace = count > 1 && seconds > 0 ? ((count - 1) / seconds).toFixed(1) : "–";
  show(place, "done", first ? `${Math.round(first - began)} ms · ${pace}/s` : "–");
}

export function prepare(place) {
  const form = place.querySelector("form");
  const field = form.querySelector("textarea");
  let under;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (under || text === "") return field.focus();
    under = new AbortController();
    place.setAttribute("data-busy", "");
    show(place, "busy");
    try {
      await ask(place, text, under.signal);
      field.value = "";
    } catch (error) {
      // What came so far stays; a question without an answer would only confuse the next one.
      for (const line of place.querySelectorAll("[data-who]")) if (line.textContent === "") line.remove();
      show(place, under.signal.aborted ? "" : error instanceof TypeError ? "offline" : "broke", error.message);
    }
    under = undefined;
    place.removeAttribute("data-busy");
    field.focus();
  });
  // As in every chat: Enter sends, with Shift it begins a line.
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  place.querySelector("[data-ask-stop]").addEventListener("click", () => under?.abort());
  place.querySelector("[data-ask-anew]").addEventListener("click", () => {
    under?.abort();
    place.querySelector("[data-turns]").replaceChildren();
    show(place, "");
    field.focus();
  });
}
