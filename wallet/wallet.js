// Speaks with the wallets of this browser by the Aptos wallet standard (AIP-62): they announce themselves, nothing here knows
// any of them by name. The server writes blocks with `data-wallets` and all that may be said; this fills in the wallets that are
// there, and shows what became of a press. See app/src/pages/wallet.rs.
import { getWallets } from "@wallet-standard/app";

const NEEDED = ["aptos:connect", "aptos:account"];
// A wallet that never answers must not hold the button for ever.
const PATIENCE_MS = 5 * 60_000;

/** What to say, as the names of the block's `data-show`. */
class Said extends Error {
  constructor(name, detail = "") {
    super(detail);
    this.said = name;
  }
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** Of a key or signature, which wallets hand out as objects of their own. */
function bcs(thing) {
  if (typeof thing?.bcsToBytes === "function") return hex(thing.bcsToBytes());
  if (typeof thing?.toUint8Array === "function") return hex(thing.toUint8Array());
  if (thing instanceof Uint8Array) return hex(thing);
  throw new Said("unsupported");
}

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(body ?? {}),
    });
  } catch {
    throw new Said("offline");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const fields = (told.fields ?? []).map((field) => field.message);
  throw new Said("refused", fields.join(" ") || told.detail || String(answer.status));
}

/** The standard lets people say no; wallets also throw. */
async function allowed(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Said("rejected")), PATIENCE_MS);
  });
  try {
    const answer = await Promise.race([promise, late]);
    if (answer?.status === "Rejected") throw new Said("rejected");
    return answer?.args ?? answer;
  } catch (error) {
    if (error instanceof Said) throw error;
    const text = String(error?.message ?? error);
    throw new Said(error?.code === 4001 || /reject|denied|cancel/i.test(text) ? "rejected" : "failed", text);
  } finally {
    clearTimeout(timer);
  }
}

async function connect(wallet, chain, number) {
  const network = { name: chain.split(":")[1], chainId: Number(number) };
  const connected = await allowed(wallet.features["aptos:connect"].connect(false, network));
  return connected?.address ? connected : allowed(wallet.features["aptos:account"].account());
}

/** Lets the wallet sign the server's question, as far as it can. */
async function signed(wallet, question) {
  const account = await connect(wallet, question.chainId, question.chainNumber);
  const answer = { nonce: question.nonce, wallet: wallet.name };
  const signIn = wallet.features["aptos:signIn"];
  if (signIn) {
    const { chainNumber: _, ...input } = question;
    const done = await allowed(signIn.signIn(input));
    // The fields as they were signed; what the wallet leaves out is what it was asked for.
    const fields = { ...input, ...done.input, address: String(done.input?.address ?? done.account.address) };
    return {
      ...answer,
      signed: { by: "sign_in", input: fields, scheme: done.type },
      public_key: bcs(done.account.publicKey),
      signature: bcs(done.signature),
    };
  }
  const signMessage = wallet.features["aptos:signMessage"];
  if (!signMessage) throw new Said("unsupported");
  const done = await allowed(
    signMessage.signMessage({
      message: question.statement,
      nonce: question.nonce,
      address: true,
      application: true,
      chainId: true,
    }),
  );
  return {
    ...answer,
    signed: { by: "message", text: done.fullMessage },
    public_key: bcs(account.publicKey),
    signature: bcs(done.signature),
  };
}

const deeds = {
  async "sign-in"(wallet, block) {
    const question = await ask("/api/v1/wallets/sign-in/question");
    await ask("/api/v1/wallets/sign-in", await signed(wallet, question));
    // Loaded afresh, so that nothing of the visitor is left in the page.
    location.assign(block.dataset.next || "/");
    return new Promise(() => {});
  },

  async link(wallet) {
    const question = await ask("/api/v1/wallets/question");
    await ask("/api/v1/wallets", await signed(wallet, question));
    return "";
  },

  async deed(wallet, block) {
    const sign = wallet.features["aptos:signTransaction"];
    if (!sign) throw new Said("unsupported");
    const body = JSON.parse(block.dataset.body);
    const field = block.closest("[data-deposit]")?.querySelector("[name=amount]");
    if (field) {
      body.amount_io = field.value.trim();
      if (!body.amount_io) throw new Said("amount");
    }
    const account = await connect(wallet, block.dataset.chain, block.dataset.chainNumber);
    if ("address" in body) body.address = String(account.address);
    const asked = await ask(block.dataset.path, body);
    // Large, and needed by few: loaded by the first who signs one.
    const { transaction } = await import("./sign.js");
    const authenticator = await allowed(
      sign.signTransaction(transaction(bytes(asked.transaction), asked.fee_payer)),
    );
    const sent = await ask(`/api/v1/wallets/transactions/${asked.id}`, { authenticator: bcs(authenticator) });
    return sent.transaction;
  },
};

function show(block, name, detail = "") {
  for (const part of block.querySelectorAll("[data-show]")) {
    part.hidden = part.dataset.show !== name;
    const place = part.querySelector("[data-detail]");
    if (place) place.textContent = part.hidden ? "" : detail;
  }
}

async function press(block, wallet) {
  if (block.hasAttribute("data-busy")) return;
  block.setAttribute("data-busy", "");
  for (const button of block.querySelectorAll("button")) button.disabled = true;
  show(block, "busy");
  try {
    const detail = await deeds[block.dataset.wallets](wallet, block);
    show(block, "done", detail);
  } catch (error) {
    show(block, error.said ?? "failed", error.message);
  } finally {
    block.removeAttribute("data-busy");
    for (const button of block.querySelectorAll("button")) button.disabled = false;
  }
}

const registry = getWallets();
const found = () => registry.get().filter((wallet) => NEEDED.every((feature) => feature in wallet.features));

function button(block, wallet) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "btn";
  if (/^data:image\/(svg\+xml|png|webp|gif|jpeg);/.test(wallet.icon ?? "")) {
    const icon = document.createElement("img");
    icon.src = wallet.icon;
    icon.alt = "";
    icon.width = 20;
    icon.height = 20;
    made.append(icon);
  }
  made.append(block.dataset.button.replace("{}", wallet.name));
  made.addEventListener("click", () => press(block, wallet));
  return made;
}

function fill(block) {
  const wallets = found();
  const names = wallets.map((wallet) => wallet.name).join("\n");
  if (block.dataset.filled === names && block.querySelector("[data-list]")?.childElementCount === wallets.length) return;
  block.dataset.filled = names;
  block.querySelector("[data-list]").replaceChildren(...wallets.map((wallet) => button(block, wallet)));
  if (!block.hasAttribute("data-busy")) show(block, wallets.length === 0 ? "none" : "");
}

function fillAll() {
  for (const block of document.querySelectorAll("[data-wallets]")) fill(block);
}

let due = false;
function soon() {
  if (due) return;
  due = true;
  queueMicrotask(() => {
    due = false;
    fillAll();
  });
}

registry.on("register", soon);
registry.on("unregister", soon);
// The page puts its parts in, and writes them anew, when it likes.
new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
fillAll();
