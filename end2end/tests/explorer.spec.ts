// The chain for everybody, and for admins what goes over it.
import { credentials, expect, expectAccessible, expectFits, open, prefer, signIn, test } from './support';

const chain = process.env.IOG_DEVCHAIN_URL ?? '';

/** The development account does something on the chain. */
async function onChain(name: string, ...args: string[]) {
  const answer = await fetch(`${chain}/devchain/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ function: name, arguments: args }),
  });
  expect((await answer.json()).success).toBe(true);
}

test('the explorer shows what is on the chain beside the books', async ({ page, request, isMobile }) => {
  test.skip(!chain, 'only with a chain');
  await open(page, '/');
  await page.locator('footer a', { hasText: 'Explorer' }).click();
  await page.waitForURL('**/explorer');
  // An admin of the desktop's run has recorded a deposit by hand, which the chain knows nothing of.
  await expect(page.locator('[data-key=vault]')).toContainText(isMobile ? /Equal|differ/ : 'Equal', { timeout: 30_000 });
  await expect(page.locator('[data-key=token]')).toContainText(/800.000.000\.00 IO/);
  await expect(page.locator('[data-key=contract]')).toContainText('Same as compiled for this server');
  const contract = page.locator('[data-key=contract] a');
  const told = await (await request.get('/api/v1/explorer')).json();
  await expect(contract).toHaveText(told.chain.contract);
  expect(await contract.getAttribute('href')).toBe(`${chain}/account/${told.chain.contract}`);
  for (const [locale, theme] of [['en', 'light'], ['zh', 'dark']] as const) {
    await prefer(page, locale, theme);
    await open(page, '/explorer');
    await expect(page.locator('h1')).toHaveText(locale === 'en' ? 'Explorer' : '链上浏览');
    await expectAccessible(page, `/explorer, ${locale}`);
    await expectFits(page, `/explorer, ${locale}`);
  }
});

test('the explorer is read without scripts @nojs', async ({ page }) => {
  await page.goto('/explorer');
  await expect(page.locator('[data-key=network]')).toContainText('GPUs proven');
});

test('settlement: how it stands, batches, and a link for each transaction', async ({ page }) => {
  test.skip(!chain, 'only with a chain');
  await signIn(page, 'admin');
  await open(page, '/admin?tab=settlement');
  await expect(page.locator('[data-key=standing]')).toContainText('APT', { timeout: 30_000 });
  await expectAccessible(page, '/admin?tab=settlement');
  await expectFits(page, '/admin?tab=settlement');
  const first = page.locator('.data a[data-row]').first();
  if (!await first.count()) return;
  await first.click();
  await page.waitForURL(/batch=0x/);
  await expect(page.locator('.data').last().locator('tbody tr').first()).toBeVisible();
  const href = await page.locator('.data').first().locator('a[rel~=external]').first().getAttribute('href');
  expect((await fetch(href ?? '')).status).toBe(200);
  await expectAccessible(page, '/admin, a batch');
  await expectFits(page, '/admin, a batch');
});

test('a deposit that named nobody is given to its owner, once', async ({ page }) => {
  test.skip(!chain, 'only with a chain');
  await onChain('settlement::deposit', `0x${'07'.repeat(16)}`, '12345678');
  await signIn(page, 'admin');
  const card = page.locator('[data-key=unclaimed] .card', { hasText: '0.12345678 IO' }).first();
  await expect(async () => {
    await open(page, '/admin?tab=deposits');
    await expect(card).toBeVisible({ timeout: 2_000 });
  }).toPass({ timeout: 30_000 });
  await expectAccessible(page, '/admin?tab=deposits, unclaimed');
  await expectFits(page, '/admin?tab=deposits, unclaimed');
  await card.locator('input[name=email]').fill('nobody@example.org');
  await card.locator('button').click();
  await expect(card.locator('.field-error')).toContainText('no account has it');
  await card.locator('input[name=email]').fill(credentials('requester').email);
  await card.locator('button').click();
  await expect(page.locator('.toasts, [role=status]', { hasText: 'It was credited.' }).first()).toBeVisible();
  await expect(card).toBeHidden();
  const credited = page.locator('section.card', { hasText: credentials('requester').email }).first();
  await expect(credited.locator('a[rel~=external]')).toHaveAttribute('href', /\/transaction\/0x/);
});
