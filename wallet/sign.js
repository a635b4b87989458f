// Makes of the server's bytes the object that wallets sign by the standard. Loaded by the first deposit: it is Aptos' own library.
import { AccountAddress, Deserializer, RawTransaction, SimpleTransaction } from "@aptos-labs/ts-sdk";

export function transaction(bytes, feePayer) {
  const raw = RawTransaction.deserialize(new Deserializer(bytes));
  return new SimpleTransaction(raw, AccountAddress.from(feePayer));
}
