// Wallets by their standard: signing in, linking, depositing, and where payouts go.
import { readFileSync } from 'node:fs';
import { type Page } from '@playwright/test';
import { expect, expectAccessible, expectFits, launch, open, prefer, ready, signIn, test } from './support';
import { addressOf, holding, install, mint, newWallet, redeemed, tell } from './wallet';

const wallets = (page: Page) => page.locator('[data-wallets]');
/** What the block says of the last press; the rest of it is there, hidden. */
const told = (page: Page, name: string) => wallets(page).locator(`[data-show="${name}"]`);
const button = (page: Page, name: string) => wallets(page).getByRole('button', { name });

test('without a wallet the page says what to do', async ({ page }) => {
  await open(page, '/sign-in');
  await expect(told(page, 'none')).toBeVisible();
  await expect(told(page, 'none')).toContainText('Petra');
});

for (const plain of [false, true]) {
  test(`a wallet signs in ${plain ? 'with a message' : 'by the standard'}, and comes back to its account`, async ({ page }) => {
    const wallet = newWallet('Test Wallet', plain);
    await install(page, wallet);
    await open(page, '/sign-in?next=%2Faccount');
    // Who says no is where they were.
    await tell(page, { reject: true });
    await button(page, 'Continue with Test Wallet').click();
    await expect(told(page, 'rejected')).toBeVisible();
    // A wallet on another chain is told so.
    await tell(page, { reject: false, chain: 1 });
    await button(page, 'Continue with Test Wallet').click();
    await expect(told(page, 'refused')).toBeVisible();
    await expect(told(page, 'refused')).toContainText(plain ? 'set to "1"' : 'set to "aptos:mainnet"');
    await tell(page, { chain: 4 });
    await button(page, 'Continue with Test Wallet').click();
    await page.waitForURL('**/account');
    await ready(page);
    await expect(page.locator('main')).toContainText('Signed in by wallet');
    const address = addressOf(wallet);
    await expect(page.locator(`[title="${address}"]`).first()).toBeVisible();
    await page.locator('button', { hasText: /^Sign out$/ }).click();
    await page.waitForURL(url => url.pathname === '/');
    await open(page, '/sign-in?next=%2Faccount');
    await button(page, 'Continue with Test Wallet').click();
    await page.waitForURL('**/account');
    await expect(page.locator(`[title="${address}"]`).first()).toBeVisible();
  });
}

test('a deposit is signed in the wallet, which has nothing but IO, and pays for a job', async ({ page }) => {
  const wallet = newWallet();
  await mint(wallet, 3);
  await install(page, wallet);
  await open(page, '/sign-in?next=%2Fbilling');
  await button(page, 'Continue with Test Wallet').click();
  await page.waitForURL('**/billing');
  await ready(page);
  const block = page.locator('[data-key=wallet-deposit]');
  const said = (name: string) => block.locator(`[data-show="${name}"]`);
  await button(page, 'Deposit with Test Wallet').click();
  await expect(said('amount')).toBeVisible();
  await block.locator('[name=amount]').fill('9');
  await button(page, 'Deposit with Test Wallet').click();
  await expect(said('refused')).toContainText('The wallet holds 3.00 IO');
  await block.locator('[name=amount]').fill('2');
  await tell(page, { reject: true });
  await button(page, 'Deposit with Test Wallet').click();
  await expect(said('rejected')).toBeVisible();
  await tell(page, { reject: false });
  await button(page, 'Deposit with Test Wallet').click();
  await expect(page.locator('.figures').first()).toContainText('2.00 IO', { timeout: 30_000 });
  expect(await holding(addressOf(wallet))).toBe(100_000_000);
  await expect(page.locator('.data a[href*="/transaction/0x"]').first()).toBeVisible();
  await launch(page, { name: 'paid by a wallet', command: 'sleep 2' });
  await expect(page.locator('main [role=status] .state').first()).toHaveText('Finished', { timeout: 60_000 });
});

test('a wallet is linked to an account and unlinked again', async ({ page }) => {
  const wallet = newWallet('Second');
  await install(page, wallet);
  await signIn(page, 'owner');
  await open(page, '/account');
  await button(page, 'Link Second').click();
  const linked = page.locator(`[title="${addressOf(wallet)}"]`).first();
  await expect(linked).toBeVisible();
  await expectFits(page, '/account with a wallet');
  await expectAccessible(page, '/account with a wallet');
  const other = await page.context().browser()!.newContext();
  const visitor = await other.newPage();
  await install(visitor, wallet);
  await open(visitor, '/sign-in?next=%2Faccount');
  await button(visitor, 'Continue with Second').click();
  await visitor.waitForURL('**/account');
  await expect(visitor.locator('main')).toContainText(process.env.IOG_OWNER_EMAIL!);
  await other.close();
  await page.locator('tr, .row', { has: linked }).getByRole('button', { name: 'Unlink' }).click();
  await expect(linked).toHaveCount(0);
});

test('the block of wallets is good in both languages and themes', async ({ page }) => {
  const wallet = newWallet('A wallet with a name that is as long as wallets may have them');
  await install(page, wallet);
  for (const locale of ['en', 'zh'] as const) {
    for (const theme of ['light', 'dark'] as const) {
      await prefer(page, locale, theme);
      await open(page, '/sign-in');
      await expect(wallets(page).locator('button')).toBeVisible();
      await expectFits(page, `/sign-in ${locale} ${theme}`);
      await expectAccessible(page, `/sign-in ${locale} ${theme}`);
    }
  }
});

test('a channel is opened, pays for a job, and is asked to close', async ({ page }) => {
  const wallet = newWallet();
  await mint(wallet, 4);
  await install(page, wallet);
  await open(page, '/sign-in?next=%2Fbilling');
  await button(page, 'Continue with Test Wallet').click();
  await page.waitForURL('**/billing');
  await ready(page);
  const section = page.locator('[data-key=channels]');
  await section.locator('summary', { hasText: 'Open a channel' }).click();
  await section.locator('[name=amount]').fill('2');
  await button(page, 'Open with Test Wallet').click();
  const channel = page.locator('[data-channel]');
  await expect(channel).toContainText('2.00 IO', { timeout: 30_000 });
  await expect(page.locator('.figures').first()).toContainText('2.00 IO');
  await expectFits(page, '/billing with a channel');
  await expectAccessible(page, '/billing with a channel');
  await channel.locator('summary', { hasText: 'Add to it' }).click();
  await channel.locator('[name=amount]').fill('1');
  await button(page, 'Add with Test Wallet').click();
  await expect(channel).toContainText('3.00 IO', { timeout: 30_000 });
  await launch(page, { name: 'paid by a channel', command: 'sleep 2' });
  await expect(page.locator('main [role=status] .state').first()).toHaveText('Finished', { timeout: 60_000 });
  await open(page, '/billing');
  await channel.locator('summary', { hasText: 'Close it' }).click();
  await button(page, 'Ask for the close with Test Wallet').click();
  await expect(channel.locator('.tag, span', { hasText: 'Closing' }).first()).toBeVisible({ timeout: 30_000 });
  await expect(channel).toContainText('Owners can redeem until');
  await expectFits(page, '/billing with a channel that closes');
});

test('an owner keeps the voucher of a channel, and has it redeemed over the chain', async ({ page, browser }) => {
  // Where the owner's part goes has to be known before it is earned.
  await signIn(page, 'owner');
  await open(page, '/earnings');
  const set = await page.evaluate(async () => {
    const body = JSON.stringify({ address: '0xcafe' });
    return (await fetch('/api/v1/payout-address', { method: 'PUT', headers: { 'content-type': 'application/json' }, body })).status;
  });
  expect(set).toBe(200);

  const requester = await (await browser.newContext()).newPage();
  const wallet = newWallet();
  await mint(wallet, 2);
  await install(requester, wallet);
  await open(requester, '/sign-in?next=%2Fbilling');
  await button(requester, 'Continue with Test Wallet').click();
  await requester.waitForURL('**/billing');
  await ready(requester);
  const section = requester.locator('[data-key=channels]');
  await section.locator('summary', { hasText: 'Open a channel' }).click();
  await section.locator('[name=amount]').fill('1');
  await button(requester, 'Open with Test Wallet').click();
  const channel = requester.locator('[data-channel]');
  await expect(channel).toContainText('1.00 IO', { timeout: 30_000 });
  const address = (await channel.getAttribute('data-channel'))!;
  await launch(requester, { name: 'paid by a voucher', command: 'sleep 2' });
  await expect(requester.locator('main [role=status] .state').first()).toHaveText('Finished', { timeout: 60_000 });
  await open(requester, '/notices');
  await expect(requester.locator('.notices')).toContainText('is open with 1.00 IO');
  await requester.context().close();

  const row = page.locator('[data-key=vouchers] tbody tr', { has: page.locator(`[title="${address}"]`) });
  await expect(async () => {
    await open(page, '/earnings');
    await expect(row).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await expectFits(page, '/earnings with vouchers');
  await expectAccessible(page, '/earnings with vouchers');
  const download = page.waitForEvent('download');
  await row.locator('a[download]').click();
  const file = JSON.parse(readFileSync(await (await download).path(), 'utf8'));
  expect([file.format, file.channel]).toEqual(['iog.voucher.v1', address]);
  const due = Number(file.cumulative);
  expect(due).toBeGreaterThan(0);
  expect(await redeemed(file.contract, address, file.payee)).toBe(0);
  const before = await holding(file.payee);

  await row.getByRole('button', { name: 'Redeem now' }).click();
  await expect(page.locator('body')).toContainText('It is handed in');
  const link = row.locator('a[href*="/transaction/0x"]');
  await expect(async () => {
    await open(page, '/earnings');
    await expect(link).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await expect(row).toContainText('Redeemed');
  await expectFits(page, '/earnings with a voucher that was redeemed');
  expect(await redeemed(file.contract, address, file.payee)).toBe(due);
  // Other channels pay this address too.
  expect(await holding(file.payee)).toBeGreaterThanOrEqual(before + due);
  const shown = await page.request.get((await link.getAttribute('href'))!);
  expect(await shown.text()).toContain('escrow::redeem');
});
