// What a wallet needs of Aptos' library, and the standard's class for an account.
export { AccountInfo } from '@aptos-labs/wallet-standard';
export { Account, Ed25519PrivateKey } from '@aptos-labs/ts-sdk';
