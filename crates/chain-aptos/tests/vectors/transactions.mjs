// Makes transactions.json with Aptos's own TypeScript client. To run it again, in an empty folder:
//   npm install @aptos-labs/ts-sdk@5.2.1 && cp …/transactions.mjs . && node transactions.mjs > …/transactions.json
import {
  Account, AccountAddress, ChainId, Ed25519PrivateKey, EntryFunction, MoveVector, RawTransaction, SimpleTransaction,
  TransactionExecutableEntryFunction, TransactionExtraConfigV1, TransactionInnerPayloadV1, TransactionPayloadEntryFunction, U64,
  generateSignedTransaction, generateSigningMessageForTransaction, generateUserTransactionHash,
} from "@aptos-labs/ts-sdk";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const account = (byte, legacy = true) => Account.fromPrivateKey({ privateKey: new Ed25519PrivateKey(new Uint8Array(32).fill(byte)), legacy });
const contract = AccountAddress.from("0x" + "c0".repeat(32));
const settler = account(1);
const payer = account(2);
const payees = [3, 4, 5].map((byte) => AccountAddress.from(new Uint8Array(32).fill(byte)));
const batch = new Uint8Array(32).fill(6);
const pay = EntryFunction.build(`${contract}::settlement`, "pay", [], [
  MoveVector.U8(batch), new MoveVector(payees), MoveVector.U64([1, 20_000_000_000n, 80_000_000_000_000_000n]),
]);
const deposit = EntryFunction.build(`${contract}::settlement`, "deposit", [], [MoveVector.U8(new Uint8Array(16).fill(7)), new U64(500)]);
const orderless = (call, nonce) => new TransactionInnerPayloadV1(new TransactionExecutableEntryFunction(call), new TransactionExtraConfigV1(undefined, nonce));
const raw = (sender, number, payload) => new RawTransaction(sender.accountAddress, number, payload, 1_234n, 100n, 1_790_000_000n, new ChainId(4));

const vectors = [];
const add = (name, sender, transaction) => {
  const senderAuthenticator = sender.signTransactionWithAuthenticator(transaction);
  const feePayerAuthenticator = transaction.feePayerAddress ? payer.signTransactionWithAuthenticator(transaction) : undefined;
  const input = { transaction, senderAuthenticator, feePayerAuthenticator };
  vectors.push({
    name,
    raw: hex(transaction.rawTransaction.bcsToBytes()),
    to_sign: hex(generateSigningMessageForTransaction(transaction)),
    sender: sender.accountAddress.toString(),
    sender_authenticator: hex(senderAuthenticator.bcsToBytes()),
    signed: hex(generateSignedTransaction(input)),
    hash: generateUserTransactionHash(input),
  });
};
const most = 18_446_744_073_709_551_615n;
add("numbered", settler, new SimpleTransaction(raw(settler, 9n, new TransactionPayloadEntryFunction(pay))));
add("orderless", settler, new SimpleTransaction(raw(settler, most, orderless(pay, 77n))));
for (const legacy of [true, false]) {
  const person = account(8, legacy);
  add(`sponsored ${legacy ? "ed25519" : "single_key"}`, person, new SimpleTransaction(raw(person, most, orderless(deposit, 78n)), payer.accountAddress));
}
console.log(JSON.stringify(vectors, null, 1));
