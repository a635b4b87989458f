// Puts a wallet of its own into a page, as an extension would.
import { buildSync } from 'esbuild';
import { randomBytes } from 'node:crypto';
import { Account, Ed25519PrivateKey } from '@aptos-labs/ts-sdk';
import { expect, type Page } from '@playwright/test';

export type TestWallet = { name: string; key: string; plain?: boolean };

/** `plain`: one that signs messages and does not know `aptos:signIn`. */
export const newWallet = (name = 'Test Wallet', plain = false): TestWallet =>
  ({ name, key: `ed25519-priv-0x${randomBytes(32).toString('hex')}`, plain });

export const addressOf = (wallet: TestWallet) =>
  Account.fromPrivateKey({ privateKey: new Ed25519PrivateKey(wallet.key) }).accountAddress.toString();

let script: string | undefined;
const code = () => (script ??= buildSync({
  entryPoints: ['wallet/wallet.js'], bundle: true, write: false, format: 'iife', platform: 'browser', logLevel: 'error',
}).outputFiles[0].text);

/** From the next page on. */
export async function install(page: Page, ...wallets: TestWallet[]) {
  await page.addInitScript({ content: `window.testWallet = ${JSON.stringify({ wallets })};` });
  await page.addInitScript({ content: code() });
}

/** How the wallets behave from now on: they say no, or stand on another chain. */
export const tell = (page: Page, change: { reject?: boolean; chain?: number }) =>
  page.evaluate(change => {
    const held = window as unknown as { testWallet: object };
    held.testWallet = { ...held.testWallet, ...change };
  }, change);

const devchain = () => {
  const url = process.env.IOG_DEVCHAIN_URL;
  if (!url) throw new Error('IOG_DEVCHAIN_URL is not set: run `make e2e`');
  return url;
};

/** IO out of the development chain's faucet. */
export async function mint(wallet: TestWallet, io: number) {
  const done = await fetch(`${devchain()}/mint?address=${addressOf(wallet)}&amount=${io * 100_000_000}&asset=io`, { method: 'POST' });
  expect(done.ok, await done.text()).toBe(true);
}

/** What a channel has paid to an address in all, by the contract. */
export async function redeemed(contract: string, channel: string, payee: string): Promise<number> {
  const body = JSON.stringify({ function: `${contract}::escrow::redeemed`, type_arguments: [], arguments: [channel, payee] });
  const answer = await fetch(`${devchain()}/v1/view`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return Number((await answer.json())[0]);
}

/** What an address holds of IO on the chain, in base units. */
export async function holding(address: string): Promise<number> {
  const node = await (await fetch(`${devchain()}/v1`)).json();
  return (await fetch(`${devchain()}/v1/accounts/${address}/balance/${node.devchain.io}`)).json();
}
