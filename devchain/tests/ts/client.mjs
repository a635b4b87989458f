// Aptos's own TypeScript client against the development chain. It knows nothing of our code: what it signs, hashes, derives
// and reads is checked here against what the chain says. The first argument is the chain's address.
//
// Each line of output is one check that held; the first that does not ends the run.
import assert from "node:assert/strict";
import {
  Account,
  AccountAddress,
  AccountAuthenticatorNoAccountAuthenticator,
  Aptos,
  AptosConfig,
  Ed25519PrivateKey,
  Network,
  SigningSchemeInput,
  U64,
  createObjectAddress,
  generateSignedTransaction,
  generateUserTransactionHash,
} from "@aptos-labs/ts-sdk";

const base = process.argv[2];
const DEVELOPMENT_KEY = Buffer.from("IOG development key, not secret!").toString("hex");
const APT = "0x1::aptos_coin::AptosCoin";

const aptos = new Aptos(
  new AptosConfig({ network: Network.CUSTOM, fullnode: `${base}/v1`, faucet: base }),
);
const held = (what) => console.log(`ok ${what}`);
const publisher = Account.fromPrivateKey({ privateKey: new Ed25519PrivateKey(DEVELOPMENT_KEY) });
const alice = Account.generate({ scheme: SigningSchemeInput.Ed25519, legacy: true });
const single = Account.generate({ scheme: SigningSchemeInput.Ed25519, legacy: false });
const payer = Account.generate({ scheme: SigningSchemeInput.Ed25519, legacy: true });
const bob = Account.generate({ scheme: SigningSchemeInput.Ed25519, legacy: true });

const ledger = await aptos.getLedgerInfo();
assert.equal(ledger.chain_id, 4);
assert.match(ledger.devchain.notice, /not Aptos/);
assert.equal(ledger.devchain.development_account, publisher.accountAddress.toStringLong());
held("the ledger's information, and the development account's address from its key");

await aptos.fundAccount({ accountAddress: alice.accountAddress, amount: 1_000_000, options: { waitForIndexer: false } });
await aptos.fundAccount({ accountAddress: single.accountAddress, amount: 1_000_000, options: { waitForIndexer: false } });
assert.equal(await aptos.getBalance({ accountAddress: alice.accountAddress, asset: APT }), 1_000_000);
held("the faucet and balances");

async function run(transaction, signer, extra = {}) {
  const senderAuthenticator = aptos.transaction.sign({ signer, transaction });
  const hash = generateUserTransactionHash({ transaction, senderAuthenticator, ...extra });
  const pending = await aptos.transaction.submit.simple({ transaction, senderAuthenticator, ...extra });
  assert.equal(pending.hash, hash, "the hash of the chain and of the client differ");
  const done = await aptos.waitForTransaction({ transactionHash: pending.hash, options: { checkSuccess: false } });
  assert.equal(done.hash, hash);
  return done;
}

const transfer = (sender, amount, options = {}) =>
  aptos.transaction.build.simple({
    sender: sender.accountAddress,
    data: { function: "0x1::aptos_account::transfer", functionArguments: [bob.accountAddress, amount] },
    ...options,
  });

let done = await run(await transfer(alice, 100), alice);
assert.equal(done.success, true, done.vm_status);
assert.equal(done.payload.function, "0x1::aptos_account::transfer");
assert.deepEqual(done.payload.arguments, [bob.accountAddress.toString().replace(/^0x0+/, "0x"), "100"]);
assert.equal((await aptos.getAccountInfo({ accountAddress: alice.accountAddress })).sequence_number, "1");
held("a transfer: hash, arguments, sequence number");

done = await run(await transfer(single, 100), single);
assert.equal(done.success, true, done.vm_status);
held("an account with a single key of the newer kind");

done = await run(await transfer(alice, 100, { options: { replayProtectionNonce: 12345n } }), alice);
assert.equal(done.success, true, done.vm_status);
assert.equal(done.replay_protection_nonce, "12345");
held("an orderless transaction");

const sponsored = await transfer(single, 100, { withFeePayer: true });
const feePayerAuthenticator = aptos.transaction.signAsFeePayer({ signer: payer, transaction: sponsored });
done = await run(sponsored, single, { feePayerAuthenticator });
assert.equal(done.success, true, done.vm_status);
assert.equal(AccountAddress.from(done.signature.fee_payer_address, { maxMissingChars: 63 }).toString(), payer.accountAddress.toString());
assert.equal(await aptos.getBalance({ accountAddress: bob.accountAddress, asset: APT }), 400);
held("a fee payer");

const module = `${publisher.accountAddress}::coin`;
const both = await aptos.transaction.build.multiAgent({
  sender: alice.accountAddress,
  secondarySignerAddresses: [single.accountAddress],
  data: { function: `${module}::swap_notes`, functionArguments: [] },
});
const agents = await aptos.transaction.submit.multiAgent({
  transaction: both,
  senderAuthenticator: aptos.transaction.sign({ signer: alice, transaction: both }),
  additionalSignersAuthenticators: [aptos.transaction.sign({ signer: single, transaction: both })],
});
done = await aptos.waitForTransaction({ transactionHash: agents.hash });
assert.equal(done.success, true, done.vm_status);
held("two signers");

const minting = await aptos.transaction.build.simple({
  sender: publisher.accountAddress,
  data: { function: `${module}::mint`, functionArguments: [bob.accountAddress, new U64(70), [1, 2, 255]] },
});
const [simulated] = await aptos.transaction.simulate.simple({ signerPublicKey: publisher.publicKey, transaction: minting });
assert.equal(simulated.success, true, simulated.vm_status);
done = await run(minting, publisher);
assert.equal(done.gas_used, simulated.gas_used);
const minted = done.events.find((event) => event.type === `${module}::Minted`);
assert.equal(minted.data.amount, "70");
assert.equal(minted.data.note, "0x0102ff");
held("a simulation, and events with bytes");

const [balance] = await aptos.view({ payload: { function: `${module}::balance`, functionArguments: [bob.accountAddress] } });
assert.equal(balance, "70");
const [metadata] = await aptos.view({ payload: { function: `${module}::metadata`, functionArguments: [] } });
const derived = createObjectAddress(publisher.accountAddress, "SAMPLE");
assert.equal(AccountAddress.from(metadata.inner, { maxMissingChars: 63 }).toString(), derived.toString());
assert.equal(await aptos.getBalance({ accountAddress: bob.accountAddress, asset: derived }), 70);
held("views, and an object's address derived as on Aptos");

const abort = await aptos.transaction.build.simple({
  sender: alice.accountAddress,
  data: { function: `${module}::mint`, functionArguments: [bob.accountAddress, 1, [9]] },
});
done = await run(abort, alice);
assert.equal(done.success, false);
assert.match(done.vm_status, /^Move abort in 0x[0-9a-f]+::coin: 0x1$/);
held("an abort with its code");

const resource = await aptos.getAccountResource({ accountAddress: publisher.accountAddress, resourceType: `${module}::Treasury` });
assert.equal(resource.count, "1");
const sent = await aptos.getAccountTransactions({ accountAddress: publisher.accountAddress });
assert.equal(sent.at(-1).payload.function, `${module.replace(/^0x0+/, "0x")}::mint`);
const block = await aptos.getBlockByVersion({ ledgerVersion: Number(sent.at(-1).version), options: { withTransactions: true } });
assert.ok(block.transactions.some((transaction) => transaction.hash === sent.at(-1).hash));
assert.equal((await aptos.getTransactionByVersion({ ledgerVersion: Number(sent.at(-1).version) })).hash, sent.at(-1).hash);
assert.equal((await aptos.getGasPriceEstimation()).gas_estimate, 100);
held("resources, an account's transactions, blocks");

// What must be refused, with the client's own errors.
const refused = async (promise, pattern) => {
  const error = await promise.then(() => assert.fail("accepted"), (error) => error);
  assert.match(String(error.message), pattern);
};
const forged = await transfer(alice, 1);
await refused(
  aptos.transaction.submit.simple({ transaction: forged, senderAuthenticator: aptos.transaction.sign({ signer: bob, transaction: forged }) }),
  /INVALID_AUTH_KEY/,
);
const late = await transfer(alice, 1, { options: { expireTimestamp: 1 } });
await refused(
  aptos.transaction.submit.simple({ transaction: late, senderAuthenticator: aptos.transaction.sign({ signer: alice, transaction: late }) }),
  /TRANSACTION_EXPIRED/,
);
const unsigned = await transfer(alice, 1);
const bytes = generateSignedTransaction({ transaction: unsigned, senderAuthenticator: new AccountAuthenticatorNoAccountAuthenticator() });
const reply = await fetch(`${base}/v1/transactions`, {
  method: "POST",
  headers: { "content-type": "application/x.aptos.signed_transaction+bcs" },
  body: bytes,
});
assert.equal((await reply.json()).vm_error_code, 1);
await refused(aptos.getTransactionByHash({ transactionHash: `0x${"0".repeat(64)}` }), /not found/i);
held("refusals: forged, expired, unsigned, unknown");
