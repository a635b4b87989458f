// A language model behind the OpenAI format, by llama.cpp on the processor: node-llama-cpp and the model lie in LLM_HOME, which
// the node lends. GET /health answers as soon as it can serve. One request at a time; the others wait.
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";

const HOME = process.env.LLM_HOME ?? "/opt/iog-llm";
const PORT = Number(process.env.PORT ?? 8000);
const NAME = process.env.MODEL_NAME ?? "model";
const CONTEXT = Number(process.env.CONTEXT ?? 4096);
const TOKENS_MAX = 1024;
const BODY_MAX = 1024 * 1024;
const WAITING_MAX = 64;

const { getLlama, LlamaChatSession, LlamaCompletion } = await import(`${HOME}/node_modules/node-llama-cpp/dist/index.js`);
const llama = await getLlama({ gpu: false, build: "never", maxThreads: Number(process.env.IOG_CPUS ?? 1), logLevel: "error" });
const model = await llama.loadModel({ modelPath: `${HOME}/model.gguf` });
const context = await model.createContext({ contextSize: Math.min(CONTEXT, model.trainContextSize) });
const sequence = context.getSequence();

let turn = Promise.resolve();
let waiting = 0;
let requests = 0;

class Refusal extends Error {}

async function body(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_MAX) throw new Refusal("the body is too large");
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw new Refusal("the body is no JSON");
  }
}

// The messages up to the last as history, and the last as what is asked.
function conversation(messages) {
  const whole = (message) => message !== null && typeof message === "object" && typeof message.role === "string";
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(whole)) throw new Refusal("messages: at least one, each with role and content");
  const text = (message) => (Array.isArray(message.content) ? message.content.map((part) => part?.text ?? "").join("") : String(message.content ?? ""));
  const history = messages.slice(0, -1).map((message) =>
    message.role === "assistant" ? { type: "model", response: [text(message)] } : { type: message.role === "system" ? "system" : "user", text: text(message) },
  );
  return [history, text(messages.at(-1))];
}

function number(asked, name, least, most, otherwise) {
  const value = asked[name] ?? otherwise;
  if (value !== undefined && (typeof value !== "number" || !(value >= least && value <= most))) throw new Refusal(`${name}: a number from ${least} to ${most}`);
  return value;
}

// What a request may say of how it is answered. Small models go astray at the temperatures of 0.7 to 1 that large ones are asked at,
// so 0.2 where none is named.
function manner(asked) {
  const stops = asked.stop == null ? [] : [asked.stop].flat();
  if (stops.length > 4 || stops.some((stop) => typeof stop !== "string" || stop === "")) throw new Refusal("stop: up to four texts");
  return {
    maxTokens: Math.min(TOKENS_MAX, number(asked, asked.max_tokens == null ? "max_completion_tokens" : "max_tokens", 1, Number.MAX_SAFE_INTEGER, 256)),
    temperature: number(asked, "temperature", 0, 2, 0.2),
    topP: number(asked, "top_p", 0, 1, 0.9),
    seed: number(asked, "seed", 0, 0xffffffff),
    customStopTriggers: stops.length > 0 ? stops : undefined,
  };
}

async function complete(asked, chat, request, response) {
  if (asked === null || typeof asked !== "object" || Array.isArray(asked)) throw new Refusal("the body is no JSON object");
  const [history, prompt] = chat ? conversation(asked.messages) : [[], asked.prompt];
  if (typeof prompt !== "string") throw new Refusal("prompt: one text");
  const how = manner(asked);
  const stream = asked.stream === true;
  const kind = chat ? (stream ? "chat.completion.chunk" : "chat.completion") : "text_completion";
  const head = { id: `${chat ? "chatcmpl" : "cmpl"}-${randomUUID()}`, object: kind, created: Math.floor(Date.now() / 1000), model: NAME };
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const send = (body) => response.write(`data: ${JSON.stringify(body)}\n\n`);
  if (stream) response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const begun = performance.now();
  let tokens = 0;
  const options = {
    ...how,
    signal: gone.signal,
    stopOnAbortSignal: true,
    onToken: (some) => (tokens += some.length),
    onTextChunk: (text) => {
      if (stream && text) send({ ...head, choices: [{ index: 0, ...(chat ? { delta: { content: text } } : { text }), finish_reason: null }] });
    },
  };
  let said;
  if (chat) {
    const session = new LlamaChatSession({ contextSequence: sequence });
    session.setChatHistory(history);
    const answered = await session.promptWithMeta(prompt, options);
    said = { text: answered.responseText, why: answered.stopReason };
    session.dispose({ disposeSequence: false });
  } else {
    const completion = new LlamaCompletion({ contextSequence: sequence });
    const answered = await completion.generateCompletionWithMeta(prompt, options);
    said = { text: answered.response, why: answered.metadata.stopReason };
    completion.dispose({ disposeSequence: false });
  }
  await sequence.clearHistory();
  requests += 1;
  console.log(`requests=${requests} tokens_per_second=${((1000 * tokens) / (performance.now() - begun)).toFixed(1)}`);
  const reason = said.why === "maxTokens" ? "length" : "stop";
  const count = model.tokenize(prompt).length;
  const usage = { prompt_tokens: count, completion_tokens: tokens, total_tokens: count + tokens };
  if (stream) {
    send({ ...head, choices: [{ index: 0, ...(chat ? { delta: {} } : { text: "" }), finish_reason: reason }], usage });
    response.end("data: [DONE]\n\n");
    return;
  }
  const part = chat ? { message: { role: "assistant", content: said.text } } : { text: said.text };
  answer(response, 200, { ...head, choices: [{ index: 0, ...part, finish_reason: reason }], usage });
}

function answer(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function refuse(response, status, message) {
  answer(response, status, { error: { message, type: status < 500 ? "invalid_request_error" : "server_error" } });
}

const server = createServer(async (request, response) => {
  const path = request.url.split("?")[0];
  if (request.method === "GET" && path === "/health") return answer(response, 200, { status: "ok" });
  if (request.method === "GET" && path === "/v1/models") {
    return answer(response, 200, { object: "list", data: [{ id: NAME, object: "model", created: 0, owned_by: "iog" }] });
  }
  const chat = path === "/v1/chat/completions";
  if (request.method !== "POST" || !(chat || path === "/v1/completions")) return refuse(response, 404, `there is no ${path}`);
  if (waiting >= WAITING_MAX) return refuse(response, 503, "too many requests wait; try again");
  waiting += 1;
  try {
    const asked = await body(request);
    const mine = turn.then(() => complete(asked, chat, request, response));
    turn = mine.catch(() => {});
    await mine;
  } catch (error) {
    if (!response.headersSent) refuse(response, error instanceof Refusal ? 400 : 500, error.message);
    else response.destroy();
    if (!(error instanceof Refusal)) console.error(error);
  } finally {
    waiting -= 1;
  }
});
server.listen(PORT, "127.0.0.1", () => console.log(`serving ${NAME} on port ${PORT}`));
