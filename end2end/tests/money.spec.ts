// Money as people meet it: budgets, receipts contested and refunded, payouts that two admins hold back, the ledger.
import { type Page } from '@playwright/test';
import { expect, expectAccessible, expectFits, launch, open, signIn, test, type Who } from './support';
import { holding } from './wallet';

/** Another person's own browser. */
async function as(page: Page, who: Who) {
  const context = await page.context().browser()!.newContext();
  const other = await context.newPage();
  await signIn(other, who);
  return other;
}

/** A job that ran for some seconds and left a receipt; its path. */
async function paidJob(page: Page) {
  const path = await launch(page, { name: 'paid', command: 'sleep 4' });
  await expect(page.locator('main [role=status] .state').first()).toHaveText('Finished', { timeout: 60_000 });
  return path;
}

const toast = (page: Page, text: string) => expect(page.locator('.toasts, [role=status]', { hasText: text }).first()).toBeVisible();

test('budgets are set, refused with a reason, and taken away', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/billing');
  await page.locator('#per_day').fill('many');
  await page.locator('button', { hasText: 'Save budgets' }).click();
  await expect(page.locator('.field', { has: page.locator('#per_day') }).locator('.field-error')).toContainText('not a number');
  // Each field that is wrong says so, and the first has the keyboard.
  await page.locator('#keep').fill('much');
  await page.locator('#per_month').fill('-1');
  await page.locator('button', { hasText: 'Save budgets' }).click();
  for (const field of ['keep', 'per_day', 'per_month']) {
    await expect(page.locator(`#${field}`)).toHaveAttribute('aria-describedby', `${field}-error`);
    await expect(page.locator(`#${field}-error`)).not.toBeEmpty();
  }
  await expect(page.locator('#keep')).toBeFocused();
  await page.locator('#per_month').fill('');
  await page.locator('#per_day').fill('40');
  await page.locator('#keep').fill('1');
  await page.locator('button', { hasText: 'Save budgets' }).click();
  await toast(page, 'Budgets saved');
  await page.reload();
  await expect(page.locator('#per_day')).toHaveValue('40.00');
  await expect(page.locator('#keep')).toHaveValue('1.00');
  await page.locator('#per_day').fill('');
  await page.locator('#keep').fill('');
  await page.locator('button', { hasText: 'Save budgets' }).click();
  await toast(page, 'Budgets saved');
});

test('spending is shown by day and job, and the books at any moment', async ({ page }) => {
  await signIn(page, 'requester');
  await paidJob(page);
  await open(page, '/billing?tab=days');
  await expect(page.locator('.chart rect').first()).toBeAttached();
  await expect(page.locator('.data', { hasText: 'paid' }).last()).toBeVisible();
  await page.locator('.tabs a', { hasText: 'Movements' }).click();
  await expect(page.locator('.data tbody tr').first()).toBeVisible();
  await page.locator('.tabs a', { hasText: 'Statements' }).click();
  await expect(page.locator('.data')).toContainText('Available');
  await expect(page.locator('.facts')).toContainText('0.00 IO');
  // Before there was anything, there was nothing.
  await page.locator('#at').fill('2020-01-01');
  await page.locator('button', { hasText: 'Show' }).click();
  await page.waitForURL(/at=2020-01-01/);
  await expect(page.locator('.data tbody tr').first()).toContainText('0.00 IO');
});

test('a receipt is contested, an admin refunds it, and both sides read why', async ({ page }) => {
  await signIn(page, 'requester');
  const job = await paidJob(page);
  await open(page, `${job}?tab=receipts`);
  await page.locator('a', { hasText: 'Contest' }).first().click();
  await page.waitForURL(/\/disputes\?/);
  await page.locator('#reason').fill('The machine did nothing.');
  await page.locator('#claimed').fill('1000');
  await page.locator('button', { hasText: 'Open the dispute' }).click();
  await expect(page.locator('.field-error')).toContainText('at most');
  await page.locator('#claimed').fill('');
  await page.locator('button', { hasText: 'Open the dispute' }).click();
  await page.waitForURL(/\/disputes$/);
  const card = page.locator('main section.card').first();
  await expect(card).toContainText('Open');
  await expect(card).toContainText("the worker's signature verifies, the platform's verifies");

  const admin = await as(page, 'admin');
  await open(admin, '/admin?tab=disputes');
  const open1 = admin.locator('form[data-key^=rule-]').first();
  await open1.locator('input[name=refund]').fill('0.0001');
  await open1.locator('textarea').fill('Its log shows nothing.');
  await open1.locator('button').click();
  await toast(admin, 'Decided');
  await admin.context().close();

  await page.reload();
  await expect(page.locator('main section.card').first()).toContainText('Refunded');
  await expect(page.locator('main section.card').first()).toContainText('Its log shows nothing.');
  await open(page, '/billing?tab=moves');
  await expect(page.locator('.data')).toContainText('Refund');
});

test('earnings are withdrawn: refused, frozen by two, thawed, and paid over the chain', async ({ page }) => {
  const requester = await as(page, 'requester');
  await paidJob(requester);
  await requester.context().close();

  // The cheapest machine is hired first, so it is Bo who earned.
  await signIn(page, 'owner');
  await open(page, '/earnings');
  const amount = page.locator('#payout-amount');
  await expect(amount).toBeVisible({ timeout: 15_000 });
  // The first payout names the address; it stays the account's.
  const to = page.locator('#payout-first');
  if (await to.isVisible()) {
    await to.fill('0x1');
    await page.locator('button', { hasText: 'Withdraw' }).click();
    await expect(page.locator('.field-error')).toContainText('an Aptos address');
    // All that is wrong at once, whether it cannot be read or cannot be paid.
    for (const [typed, said] of [['some', 'not a number'], ['1000000', 'at most']]) {
      await amount.fill(typed);
      await page.locator('button', { hasText: 'Withdraw' }).click();
      await expect(page.locator('#payout-amount-error')).toContainText(said);
      await expect(page.locator('#payout-first-error')).toContainText('an Aptos address');
      await expect(amount).toBeFocused();
    }
    await to.fill('0xcafe');
  } else {
    await expect(page.locator('[data-key=withdraw]')).toContainText('cafe');
  }
  await amount.fill('0.0001');
  await page.locator('button', { hasText: 'Withdraw' }).click();
  await toast(page, 'Payout requested');
  const mine = page.locator('.data tbody tr', { hasText: 'Waits for an admin' });
  await expect(mine.first()).toBeVisible();

  const [one, two] = [await as(page, 'admin'), await as(page, 'admin2')];
  const first = (admin: Page) => admin.locator('section.card', { hasText: 'bo@example.com' }).first();
  await open(one, '/admin?tab=payouts');
  await first(one).locator('summary').click();
  const freeze = first(one).locator('form', { hasText: 'Propose to freeze' });
  await freeze.locator('input[name=reason]').fill('Looks odd.');
  await freeze.locator('button').click();
  await toast(one, 'Proposed');
  // The one who proposed cannot confirm.
  const proposal = (admin: Page) => admin.locator('.card', { hasText: 'Freeze payout' }).first();
  await proposal(one).locator('button', { hasText: 'Confirm' }).click();
  await expect(one.locator('.notice.bad')).toContainText('another admin');
  await open(two, '/admin?tab=payouts');
  await proposal(two).locator('button', { hasText: 'Confirm' }).click();
  await expect(first(two)).toContainText('Frozen');
  await first(two).locator('summary').click();
  const thaw = first(two).locator('form', { hasText: 'Propose to thaw' });
  await thaw.locator('input[name=reason]').fill('It is fine.');
  await thaw.locator('button').click();
  await toast(two, 'Proposed');
  await one.reload();
  await one.locator('.card', { hasText: 'Thaw payout' }).locator('button', { hasText: 'Confirm' }).click();
  await expect(first(one)).toContainText('Waits for an admin');
  await first(one).locator('button', { hasText: 'Approve' }).click();
  // The chain takes it from there.
  await expect(async () => {
    await one.reload();
    await expect(first(one)).toContainText('Paid');
  }).toPass({ timeout: 30_000 });
  await Promise.all([one.context().close(), two.context().close()]);
  await page.reload();
  const paid = page.locator('.data tbody tr', { hasText: 'Paid' }).first();
  await expect(paid).toBeVisible();
  await expect(paid.locator('a[href*="/transaction/0x"]')).toBeVisible();
  expect(await holding(`0x${'cafe'.padStart(64, '0')}`)).toBeGreaterThanOrEqual(10_000);
});

test('another payout address waits, and is taken back', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/earnings');
  const card = page.locator('[data-key=payout-address]');
  await expect(card).toContainText('cafe');
  await page.locator('#payout-address').fill('nowhere');
  await card.locator('button', { hasText: 'Change' }).click();
  await expect(card.locator('.field-error')).toContainText('an Aptos address');
  await page.locator('#payout-address').fill('0xbeef');
  await card.locator('button', { hasText: 'Change' }).click();
  await expect(card.locator('.notice.warn')).toContainText('beef');
  await expectFits(page, '/earnings with a change that waits');
  await expectAccessible(page, '/earnings with a change that waits');
  await card.locator('button', { hasText: 'Keep the present one' }).click();
  await expect(card.locator('.notice.warn')).toHaveCount(0);
  await open(page, '/notices');
  await expect(page.locator('main')).toContainText('Your payouts are to go to');
  await expect(page.locator('main')).toContainText('was taken back');
});

test('earnings are spent here', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/earnings');
  await page.locator('#convert-amount').fill('0.00001');
  await page.locator('button', { hasText: 'Move to balance' }).click();
  await toast(page, 'Moved to the balance');
  await open(page, '/billing?tab=moves');
  await expect(page.locator('.data')).toContainText('Made spendable');
});

test('the console shows incidents, books and transfers, and nobody else sees it', async ({ page }) => {
  await signIn(page, 'admin');
  await open(page, '/admin');
  await page.locator('button', { hasText: 'Look now' }).click();
  await toast(page, 'Compared');
  await expect(page.locator('main')).toContainText('No incidents');
  await page.locator('.tabs a', { hasText: 'Ledger' }).click();
  await page.locator('#ledger-search').fill('ada@');
  await page.locator('form', { has: page.locator('#ledger-search') }).locator('button').click();
  await page.waitForURL(/search=/);
  await page.locator('.data a', { hasText: 'available:' }).first().click();
  await page.waitForURL(/book=/);
  await expect(page.locator('.data tbody tr').first()).toBeVisible();
  await open(page, '/admin?tab=ledger&book=rubbish');
  await expect(page.locator('.notice.bad')).toBeVisible();

  const other = await as(page, 'requester');
  await open(other, '/admin');
  await expect(other.locator('.notice.bad')).toContainText('Only an admin can do this.');
  await other.context().close();
});

test('a deposit is recorded once and credited once', async ({ page }) => {
  await signIn(page, 'admin');
  await open(page, '/admin?tab=deposits');
  const reference = `0x${Date.now().toString(16)}`;
  const record = async () => {
    await page.locator('#email').fill('ada@example.com');
    await page.locator('#amount').fill('2.5');
    await page.locator('#reference').fill(reference);
    await page.locator('form', { has: page.locator('#reference') }).locator('button').click();
  };
  await record();
  await toast(page, 'Recorded');
  const card = page.locator('section.card', { hasText: '2.50 IO' }).first();
  await expect(card).toContainText('In transit');
  await record();
  await expect(page.locator('.notice.bad')).toContainText('recorded already');
  await card.locator('button', { hasText: 'Credit it' }).click();
  await expect(card).toContainText('Credited');
});

test('what happened is told, counted and read', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/notices');
  const list = page.locator('.notices li');
  await expect(list.first()).toBeVisible();
  const read = page.locator('button', { hasText: 'Mark all as read' });
  if (await read.isVisible()) await read.click();
  await expect(page.locator('.bell .count')).toBeHidden();
});

test('a webhook is made, tested, and its receiver can check the signature', async ({ page }) => {
  const { createServer } = await import('node:http');
  const { createHmac } = await import('node:crypto');
  type Got = { headers: Record<string, string | string[] | undefined>; body: string };
  const got: Got[] = [];
  const receiver = createServer((request, answer) => {
    let body = '';
    request.on('data', piece => { body += piece; });
    request.on('end', () => { got.push({ headers: request.headers, body }); answer.end('ok'); });
  });
  await new Promise<void>(ready => receiver.listen(0, '127.0.0.1', ready));
  const { port } = receiver.address() as { port: number };
  try {
    await signIn(page, 'requester');
    await open(page, '/notifications');
    const events = page.getByRole('group', { name: 'Events' });
    await expect(events).toContainText('None ticked: all of them');
    await expect(events.getByRole('checkbox')).toHaveCount(18);
    await expect(events.getByRole('checkbox', { checked: true })).toHaveCount(0);
    // By its words, with the keyboard; what is refused leaves it ticked.
    const started = events.getByRole('checkbox', { name: 'A job runs job.started' });
    await started.focus();
    await page.keyboard.press('Space');
    await page.locator('#url').fill('http://example.com/hook');
    await page.locator('button', { hasText: 'Make it' }).click();
    await expect(page.locator('#url-error')).toContainText('https://');
    await expect(started).toBeChecked();
    await page.locator('#url').fill(`http://127.0.0.1:${port}/hook`);
    await page.locator('button', { hasText: 'Make it' }).click();
    const secret = page.locator('.copy code');
    await expect(secret).toContainText('whsec_');
    const key = Buffer.from((await secret.textContent() ?? '').trim().replace('whsec_', ''), 'base64');
    const card = page.locator('section.card', { hasText: `:${port}/hook` });
    await expect(card.locator('.tag')).toHaveText(['job.started']);
    await expect(started).not.toBeChecked();
    await card.locator('button', { hasText: 'Send a test' }).click();
    await expect.poll(() => got.length, { timeout: 15_000 }).toBeGreaterThan(0);
    const { headers, body } = got[0];
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    const expected = `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
    expect(String(headers['webhook-signature']).split(' ')).toContain(expected);
    await card.locator('a', { hasText: 'Deliveries' }).click();
    await page.waitForURL(/webhook=/);
    await expect(page.locator('.data tbody tr').first()).toContainText('webhook.test');
    await card.locator('summary').click();
    await card.locator('button', { hasText: 'Delete' }).click();
    await expect(card).toBeHidden();
  } finally {
    receiver.close();
  }
});

test('warnings of the runway are chosen, and rubbish is refused', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/notifications');
  await page.locator('#runway').fill('soon');
  await page.locator('button', { hasText: 'Save' }).click();
  await expect(page.locator('.field-error')).toContainText('times such as');
  await page.locator('#runway').fill('2h 20m');
  await page.locator('button', { hasText: 'Save' }).click();
  await toast(page, 'Saved');
  await page.reload();
  await expect(page.locator('#runway')).toHaveValue('2h 20m');
});
