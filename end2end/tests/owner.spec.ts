// An owner: machines, their price, why they earn or not, and a join line.
import { readFileSync } from 'node:fs';
import { expect, expectAccessible, open, signIn, test } from './support';

test('the fleet shows the machine, its device and each rule of earning', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  const machine = page.locator('article.card').first();
  await expect(machine).toContainText('Online');
  await expect(machine).toContainText('CPU');
  await expect(machine.locator('.checklist li').first()).toBeVisible();
});

test('a price is set and shown, and rubbish is refused with a reason', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  const field = page.locator('input[name=per_hour]').first();
  const before = await field.inputValue();
  const button = page.locator('form', { has: field }).locator('button[type=submit]');
  await field.fill('cheap');
  await button.click();
  await expect(page.locator('.field-error')).toContainText('not a number');
  await expect(field).toBeFocused();
  await field.fill(before);
  await button.click();
  await expect(page.locator('.toast')).toBeVisible();
  await expect(page.locator('.field-error')).toHaveCount(0);
  await expect(page.locator('[aria-invalid]')).toHaveCount(0);
});

test('a price is weighed before it is set, and all rents of a device are edited in one place', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  await page.locator('a', { hasText: 'Prices and hours' }).first().click();
  await expect(page.locator('h1')).toHaveText('Prices and hours');
  const price = page.locator('input[name=per_hour]');
  const before = await price.inputValue();
  // What was typed is weighed, and nothing is stored yet.
  await price.fill('0.361');
  await page.locator('input[name=spot]').fill('0.18');
  await page.locator('button', { hasText: 'What would it bring?' }).click();
  await expect(page.locator('[role=status] dl')).toContainText('10027 base units a second');
  await expect(page.locator('[role=status] dl')).toContainText(/number \d+ of \d+/);
  await expect(price).toHaveValue('0.361');
  await expect(page.locator('input[name=spot]')).toHaveValue('0.18');
  // A spot price above it is refused, and so is a length that is none: each beside its field, the first with the keyboard.
  await page.locator('input[name=spot]').fill('5');
  await page.locator('input[name=longest]').fill('x');
  await page.locator('button', { hasText: 'Save' }).click();
  await expect(page.locator('.field', { has: page.locator('input[name=spot]') })).toContainText('at most the on-demand price');
  await expect(page.locator('.field', { has: page.locator('input[name=longest]') })).toContainText('a number, such as');
  await expect(page.locator('input[name=spot]')).toBeFocused();
  await expect(page.locator('input[name=spot]')).toHaveAttribute('aria-describedby', 'spot-error');
  await expect(page.locator('[aria-invalid]')).toHaveCount(2);
  await expectAccessible(page, 'a refused price');
  await page.locator('input[name=spot]').fill('0.18');
  await page.locator('input[name=longest]').fill('');
  await page.locator('textarea[name=hours]').fill('mon-sun 00:00-24:00');
  await page.locator('button', { hasText: 'Save' }).click();
  await expect(page.locator('.toast')).toBeVisible();
  // What was weighed is out of the address, and the page shows what is stored.
  await expect(page).toHaveURL(/price\?device=[^&]+$/);
  await expect(page.locator('input[name=spot]')).toHaveValue('0.18');
  await open(page, '/nodes');
  await expect(page.locator('article.card').first()).toContainText('spot 0.18');
  // Back as it was.
  await page.locator('a', { hasText: 'Prices and hours' }).first().click();
  await expect(page.locator('textarea[name=hours]')).toHaveValue(/mon 00:00-24:00/);
  await price.fill(before);
  await page.locator('input[name=spot]').fill('');
  await page.locator('textarea[name=hours]').fill('');
  await page.locator('button', { hasText: 'Save' }).click();
  await expect(page.locator('.toast')).toBeVisible();
});

test('a device is paused, leaves the market, and comes back', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  const machine = page.locator('article.card').first();
  await machine.locator('button', { hasText: 'Pause' }).click();
  await expect(machine).toContainText('Paused');
  await machine.locator('button', { hasText: 'Offer again' }).click();
  await expect(machine.locator('.state', { hasText: 'Free' })).toBeVisible();
});

test('what is opened and focused stays so while the fleet is written anew', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  const machine = page.locator('article.card').first();
  const details = machine.locator('details[id^=more-]');
  const summary = details.locator('summary');
  await summary.focus();
  await page.keyboard.press('Enter');
  await expect(details).toHaveAttribute('open', '');
  // The load is another one with nearly every heartbeat.
  const load = machine.locator('.hint.num').first();
  const before = (await load.textContent()) ?? '';
  await expect(load).not.toHaveText(before, { timeout: 30_000 });
  await expect(details).toHaveAttribute('open', '');
  await expect(summary).toBeFocused();
});

test('a join line is made and the page waits for the machine', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  await page.locator('button', { hasText: 'Make a join line' }).click();
  await expect(page.locator('.copy code')).toContainText('/install.sh');
  await expect(page.locator('.prose', { hasText: 'it joins and takes jobs' })).toBeVisible();
  await expect(page.locator('.card .checklist').first()).toContainText('Join line made');
  await expect(page.locator('[role=status]', { hasText: 'Waiting for the machine' })).toBeVisible();
});

test('earnings are shown by device', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/earnings');
  // Nothing was rented on a fresh machine; afterwards there are figures.
  await expect(page.locator('main .figures, main .empty').first()).toBeVisible();
});

test('an owner reads why a device was not hired', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  const missed = page.locator('#missed');
  await expect(missed).toContainText('Why not hired');
  await expect(missed.locator('dt', { hasText: 'Requests' })).toBeVisible();
});

test('a machine is taken into maintenance and offered again', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  const machine = page.locator('article.card').first();
  await machine.locator('details[id^=maintain] summary').click();
  await machine.locator('details[id^=maintain] button[type=submit]').click();
  await expect(page.locator('.toast')).toContainText('In maintenance');
  await expect(machine.locator('button', { hasText: 'End maintenance' })).toBeVisible();
  await expect(machine).toContainText('Maintenance');
  await machine.locator('button', { hasText: 'End maintenance' }).click();
  await expect(machine.locator('details[id^=maintain]')).toBeVisible();
  await expect(machine).toContainText('Online');
});

test('a machine has a page of its own: what it measures, what its reputation is made of, what it ran', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/nodes');
  await page.locator('a[href^="/machine"]').first().click();
  const main = page.locator('main');
  // The workers of the stack lend this machine's processor.
  const maker = /Intel|AMD/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[0] ?? 'CPU';
  await expect(main).toContainText(maker, { timeout: 15_000 });
  await expect(main.getByRole('heading', { name: 'Measured' })).toBeVisible();
  await expect(main).toContainText('Reputation');
});

test('the simulator says what a device would earn, or that too little is known, and refuses rubbish', async ({ page }) => {
  await open(page, '/simulator');
  const main = page.locator('main');
  await expect(main).toContainText(/Too little is known|A quarter of the devices did worse/);
  await main.locator('input[name=hours]').fill('25');
  await main.locator('button[type=submit]').click();
  await expect(page.locator('[aria-invalid=true]')).toHaveCount(1);
  await expectAccessible(page, 'a simulator that was given rubbish');
});
