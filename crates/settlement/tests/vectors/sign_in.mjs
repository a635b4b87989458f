// Makes sign_in.json with the official packages. To run it again, in an empty folder:
//   npm install @aptos-labs/siwa@0.4.0 @aptos-labs/ts-sdk@5.2.1 && cp …/sign_in.mjs . && node sign_in.mjs > …/sign_in.json
import { Account, Ed25519PrivateKey } from "@aptos-labs/ts-sdk";
import { createSignInMessage, createSignInSigningMessage, getSignInPublicKeyScheme, parseSignInMessage, serializeSignInOutput, verifySignInSignature } from "@aptos-labs/siwa";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const full = {
  domain: "iog.example", statement: "Sign in to IOG.", uri: "https://iog.example", version: "1", nonce: "a1b2c3d4e5f6a7b8",
  issuedAt: "2026-11-26T12:00:00.000Z", expirationTime: "2096-11-26T12:05:00.000Z", chainId: "aptos:testnet",
};
const { statement, ...wordless } = full;
const inputs = [
  full,
  wordless,
  { ...full, statement: "登录 IOG：不花钱。" },
  { ...full, notBefore: "2026-11-26T11:00:00.000Z", requestId: "r-1", resources: ["https://iog.example/terms", "ipfs://x"] },
  { ...full, resources: [] },
  { domain: "127.0.0.1:3000", uri: "http://127.0.0.1:3000", version: "1", nonce: "n", chainId: "aptos:localnet" },
];
const vectors = [];
for (const [number, input] of inputs.entries()) {
  for (const legacy of [true, false]) {
    const secret = Uint8Array.from({ length: 32 }, (_, at) => at + number);
    const account = Account.fromPrivateKey({ privateKey: new Ed25519PrivateKey(secret), legacy });
    const fields = { ...input, address: account.accountAddress.toString() };
    const message = createSignInMessage(fields);
    const signing = createSignInSigningMessage(message);
    const signature = account.sign(signing);
    const output = serializeSignInOutput({ type: getSignInPublicKeyScheme(account.publicKey), signature, input: fields, account: { publicKey: account.publicKey } });
    const parsed = parseSignInMessage(message);
    if (!parsed.valid) throw new Error("its own parser refuses it");
    const signed = await verifySignInSignature({ publicKey: account.publicKey, signature, input: fields });
    if (!signed.valid) throw new Error("its own check refuses the signature");
    vectors.push({ secret: hex(secret), scheme: output.type, fields, message, signing: hex(signing), key: output.publicKey, signature: output.signature, address: account.accountAddress.toString() });
  }
}
console.log(JSON.stringify(vectors, null, 1));
