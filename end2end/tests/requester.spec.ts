// A requester: from the market to a paid job, watched live.
import { expect, expectAccessible, expectFits, launch, open, signIn, step, test } from './support';

test('the market shows devices with a price per hour, and its filter lives in the address', async ({ page }) => {
  await open(page, '/');
  const rows = page.locator('.data tbody tr');
  await expect(rows.first()).toBeVisible();
  await expect(rows.first()).toContainText('IO/h');
  await page.locator('#q').fill('nothing like this');
  await page.locator('search button[type=submit]').click();
  await expect(page).toHaveURL(/q=nothing/);
  await expect(page.locator('.empty')).toBeVisible();
  await page.locator('.empty a').click();
  await expect(rows.first()).toBeVisible();
  // A chip puts its term into the query and takes it off again.
  await page.locator('.chip', { hasText: 'class=cpu' }).click();
  await expect(page.locator('#q')).toHaveValue('class=cpu');
  await expect(page.locator('.chip[aria-current]')).toHaveText('class=cpu');
  await expect(rows.first()).toBeVisible();
  await page.locator('.chip[aria-current]').click();
  await expect(page.locator('#q')).toHaveValue('');
});

test('a model shows its index, its history and its order book', async ({ page }) => {
  await open(page, '/');
  const name = page.locator('.data tbody a[href^="/model"]').first();
  const model = await name.textContent();
  await name.click();
  await page.waitForURL(/\/model\?/);
  await expect(page.locator('main h2').first()).toContainText(model ?? '');
  await expect(page.locator('main .figure')).toContainText('IO/h');
  await expect(page.locator('.data tbody tr').first()).toContainText('IO/h');
  await page.locator('.chip', { hasText: '30' }).click();
  await expect(page).toHaveURL(/days=30/);
  await expectAccessible(page, 'a model');
  await expectFits(page, 'a model');
});

test('a query that cannot be read is marked at its place, and what matches is rented from the market', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/?q=class%3Dcpu%20vrm%3E%3D24');
  await expect(page.locator('main pre')).toContainText('^^^');
  await expect(page.locator('main')).toContainText('vram');
  await page.locator('#q').fill('class=cpu cpus>=1');
  await page.locator('#q').press('Enter');
  await page.locator('a[href^="/launch?filter="]').click();
  await page.waitForURL(/filter=/);
  await expect(page.locator('#filter')).toHaveValue('class=cpu cpus>=1');
  await step(page, 4);
  await expect(page.locator('aside .figure')).toContainText('IO/h');
});

test('a quote is held, counts down, explains its lines and is used', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/launch?template=hello');
  await step(page, 4);
  await expect(page.locator('aside .facts')).toContainText('Lowest ask for this model');
  await expect(page.locator('aside.pane')).toContainText('Your balance lasts');
  await expect(page.locator('aside.pane')).toContainText(/holds for \d+ s/);
  await expect(page.locator('input[name=quote]')).toHaveValue(/^quote_/);
  await expectAccessible(page, 'the last step');
  await page.locator('aside button[type=submit]').click();
  await page.waitForURL(/\/jobs\/job_/);
});

test('the launch page says at once that the server is away', async ({ page, complaints }) => {
  await signIn(page, 'requester');
  await open(page, '/launch?template=hello');
  await page.route('**/fn/quote', route => route.abort());
  await page.locator('#name').fill('away');
  await step(page, 4);
  await expect(page.locator('aside .notice')).toContainText('cannot be reached');
  await page.unroute('**/fn/quote');
  await expect(page.locator('aside .notice')).toHaveCount(0);
  await expect(page.locator('input[name=quote]')).toHaveValue(/^quote_/);
  complaints.length = 0; // The browser notes each request that the test broke.
});

test('offers are compared side by side, by an address that can be shared', async ({ page }) => {
  await open(page, '/?q=class%3Dcpu');
  const toggles = page.locator('a.chip', { hasText: 'Compare' });
  const count = Math.min(await toggles.count(), 2);
  await toggles.first().click();
  await expect(page).toHaveURL(/compare=dev_/);
  await expect(page.locator('.compare-bar')).toBeVisible();
  if (count > 1) {
    await page.locator('a.chip:not([aria-current])', { hasText: 'Compare' }).first().click();
    await expect(page.locator('#compare tbody tr').first()).toBeVisible();
    await expect(page.locator('.compare-bar')).toContainText('Compare 2');
    await expectAccessible(page, 'offers side by side');
    await expectFits(page, 'offers side by side');
  }
  await page.locator('.compare-bar a', { hasText: 'Clear' }).click();
  await expect(page.locator('.compare-bar')).toHaveCount(0);
});

test('a search is saved, listed, renamed and deleted', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/?q=class%3Dcpu%20cpus%3E%3D1');
  await page.locator('#save-search summary').click();
  const name = `journey ${Date.now()}`;
  await page.locator('#search-name').fill(name);
  await page.locator('#save-search button').click();
  await expect(page.locator('.toast')).toContainText('Search saved');
  await open(page, '/searches');
  const card = page.locator('.card', { hasText: name });
  await expect(card).toContainText('class=cpu cpus>=1');
  await expectAccessible(page, 'saved searches');
  await expectFits(page, 'saved searches');
  await card.locator('summary').click();
  await card.locator('input[name=name]').fill(`${name} b`);
  await card.locator('button', { hasText: 'Rename' }).click();
  await expect(page.locator('h2', { hasText: `${name} b` })).toBeVisible();
  await card.locator('summary').click();
  await card.locator('button', { hasText: 'Delete' }).click();
  await expect(card).toHaveCount(0);
});

test('an order that waits is listed with its reason and withdrawn', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/launch?template=own');
  const name = `order ${Date.now()}`;
  await page.locator('#name').fill(name);
  await page.locator('#command').fill('true');
  await step(page, 2);
  await page.locator('#filter').fill('class=cpu price<=0.00000001');
  await step(page, 3);
  await page.locator('#wait').fill('30');
  await step(page, 4);
  await expect(page.locator('aside .figure')).toContainText('would wait');
  await page.locator('aside button[type=submit]').click();
  await page.waitForURL(/\/jobs\/job_/);
  await open(page, '/jobs');
  const row = page.locator('#orders tbody tr', { hasText: name });
  await expect(row).toContainText('price');
  await row.locator('button').click();
  await expect(page.locator('#orders tbody tr', { hasText: name })).toHaveCount(0);
});

test('a wrong password is refused with a sentence, and what was typed stays', async ({ page }) => {
  await open(page, '/sign-in');
  await page.locator('#email').fill('nobody@example.org');
  await page.locator('#password').fill('not the password');
  await page.locator('main form button[type=submit]').click();
  await expect(page.locator('[role=alert]')).toContainText('not right');
  await expect(page.locator('#email')).toHaveValue('nobody@example.org');
});

test('an example is launched, watched live, paid by the second, and leaves receipts and a file', async ({ page, isMobile }) => {
  await signIn(page, 'requester');
  await open(page, '/launch?template=hello');
  await step(page, 4);
  await expect(page.locator('aside .figure')).toContainText('IO/h');
  await page.locator('aside button[type=submit]').click();
  await page.waitForURL(/\/jobs\/job_/);
  const path = new URL(page.url()).pathname;

  // The state advances by itself, over the socket.
  const state = page.locator('main [role=status] .state').first();
  await expect(state).toHaveText('Running', { timeout: 60_000 });
  await expect(page.locator(isMobile ? '.bottom .meter' : '.top .meter')).toBeVisible();
  await page.locator('.tabs a', { hasText: 'Logs' }).click();
  await expect(page.locator('.log')).toContainText('count=1', { timeout: 15_000 });
  await expect(state).toHaveText('Finished', { timeout: 60_000 });
  await expect(page.locator('.log')).toContainText('count=5');

  await page.locator('.tabs a', { hasText: 'Metrics' }).click();
  await expect(page.locator('.chart').first()).toBeVisible();
  await expect(page.locator('.chart .line').first()).toHaveAttribute('d', /^M/);
  // A size is read in whole units.
  const ticks = page.locator('.chart', { hasText: 'Memory' }).first().locator('.ylabels span');
  await expect(ticks.first()).toHaveText(/^\d+\s[KMGT]iB$/);
  await expect(ticks.nth(1)).toHaveText(/^\d+\s([KMGT]i)?B$/);
  await page.locator('.tabs a', { hasText: 'Receipts' }).click();
  await expect(page.locator('.data tbody tr').first()).toBeVisible({ timeout: 15_000 });
  // A hash is one short line; the whole is copied, or shown where the browser does not let a page copy.
  const hash = page.locator('.data tbody tr').first().locator('.copy');
  const whole = await hash.locator('code').getAttribute('title') ?? '';
  expect(whole).toMatch(/^[0-9a-f]{64}$/);
  await expect(hash.locator('code')).toHaveText(`${whole.slice(0, 8)}…${whole.slice(-6)}`);
  expect((await hash.locator('code').boundingBox())?.height ?? 0).toBeLessThan(30);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await hash.getByRole('button', { name: 'Copy the hash' }).focus();
  await page.keyboard.press('Enter');
  await expect(page.locator('.toast')).toContainText('Copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(whole);
  await page.evaluate(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await hash.getByRole('button', { name: 'Copy the hash' }).click();
  await expect(page.locator('.toast').last()).toContainText('Select the text');
  await expect(hash.locator('code')).toHaveText(whole);
  await expectFits(page, 'a whole hash');
  await page.locator('.tabs a', { hasText: 'Files' }).click();
  await expect(page.locator('.data')).toContainText('hello.txt');
  await page.locator('.tabs a', { hasText: 'Cost' }).click();
  const spent = page.locator('.figures dd').first();
  await expect(spent).not.toHaveText('0.00 IO');

  // The same is there after a reload, from the server.
  const text = await spent.textContent();
  await page.reload();
  await expect(page.locator('.figures dd').first()).toHaveText(text ?? '');
  await open(page, '/jobs');
  await expect(page.locator(`a[href="${path}"]`)).toBeVisible();
});

test('a running job is stopped after a question, and says by whom', async ({ page }) => {
  await signIn(page, 'requester');
  await launch(page, { name: 'sleeper', command: 'sleep 300' });
  const state = page.locator('main [role=status] .state').first();
  await expect(state).toHaveText('Running', { timeout: 60_000 });
  await page.locator('a.btn.danger').click();
  const dialog = page.locator('dialog');
  await expect(dialog).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await expect(page).not.toHaveURL(/confirm/);
  await page.locator('a.btn.danger').click();
  await dialog.locator('button[type=submit]').click();
  await expect(dialog).toBeHidden();
  await expect(page).not.toHaveURL(/confirm/);
  await expect(state).toHaveText('Stopped', { timeout: 30_000 });
  await expect(page.locator('.notice').first()).toContainText('Stopped by you');
});

test('a device that is gone is not asked for by the form', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/launch?template=hello&device=device_gone');
  await expect(page.locator('.notice', { hasText: 'not offered any more' })).toBeVisible();
  await expect(page.locator('input[name=device]')).toHaveCount(0);
  await step(page, 4);
  await expect(page.locator('aside .figure')).toContainText('IO/h');
});

test('a chosen device is let go of, and what was typed stays', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/?q=class%3Dcpu');
  const link = await page.locator('a[href^="/launch?device="]').first().getAttribute('href');
  await open(page, link!);
  await page.locator('#name').fill('typed before');
  await step(page, 4);
  const only = page.getByLabel('Only on the device you chose');
  await expect(only).toBeChecked();
  await expect(only).toHaveValue(/^dev_/);
  const asked = page.waitForRequest(one => one.url().endsWith('/fn/quote') && !one.postData()?.includes('device='));
  await only.uncheck();
  await asked;
  await expect(page.locator('aside .figure')).toContainText('IO/h');
  await expect(page.locator('#name')).toHaveValue('typed before');
});

test('the examples stand beside each other over the whole page', async ({ page, isMobile }) => {
  test.skip(isMobile, 'there they stand below each other');
  await page.setViewportSize({ width: 1280, height: 800 });
  await open(page, '/launch');
  const cards = page.locator('.examples .choice');
  const boxes = await Promise.all((await cards.all()).map(card => card.boundingBox()));
  expect(boxes.length).toBeGreaterThan(2);
  for (const box of boxes) {
    expect(box!.width).toBeGreaterThan(240);
    expect(box!.y).toBe(boxes[0]!.y);
  }
});

test('the page is live again after the network was away for a moment', async ({ page }) => {
  await open(page, '/');
  const live = page.locator('.live').first();
  await expect(live).toHaveText('Live');
  // As a browser tells it; the socket itself outlives a short loss.
  await page.evaluate(() => window.dispatchEvent(new Event('offline')));
  await expect(live).toHaveText('Offline');
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
  await expect(live).toHaveText('Live');
});

test('a bad form says what is wrong at each field', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/launch?template=own');
  await page.locator('#name').fill('x');
  await page.locator('#command').fill("echo 'open");
  await step(page, 3);
  await page.locator('#cpus').fill('many');
  await step(page, 4);
  await page.locator('aside button[type=submit]').click();
  // A phone goes back to the first step that needs a change.
  await expect(page.locator('#command-error')).toContainText('quote');
  await expect(page.locator('#command')).toBeVisible();
  await expect(page.locator('#cpus-error')).toContainText('whole number');
  await expect(page.locator('#command')).toHaveAttribute('aria-invalid', 'true');
  await expect(page.locator('#command')).toHaveValue("echo 'open");
});

test('keys walk through rows, focus follows the route, and the title is announced', async ({ page, isMobile }) => {
  test.skip(isMobile, 'a keyboard');
  await signIn(page, 'requester');
  await open(page, '/');
  await page.keyboard.press('/');
  await expect(page.locator('#q')).toBeFocused();
  await page.keyboard.press('Escape');
  await page.keyboard.press('j');
  await expect(page.locator('[data-row]').first()).toBeFocused();
  await page.locator('.topnav a', { hasText: 'Jobs' }).click();
  await expect(page.locator('h1')).toBeFocused();
  await expect(page).toHaveTitle(/Jobs · IOG/);
  await expect(page.locator('[aria-live=polite].sr')).toHaveText('Jobs');
  // A page whose head is waited for has it too.
  await page.locator('.data a[data-row]').first().press('Enter');
  await page.waitForURL(/\/jobs\/job_/);
  await expect(page.locator('h1')).toContainText('job_');
  await expect(page.locator('h1')).toBeFocused();
  // Whoever presses a filter or puts an offer beside the others stands there still, though all of it is written anew.
  await open(page, '/');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/q=class%3Dcpu/);
  await expect(page.locator('a.chip', { hasText: 'class=cpu' })).toBeFocused();
  const toggle = page.locator('.data a.chip').first();
  await toggle.press('Enter');
  await expect(page).toHaveURL(/compare=dev_/);
  await expect(toggle).toHaveAttribute('aria-current', 'true');
  await expect(toggle).toBeFocused();
});

test('a key is made once, shown once, and revoked', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/account');
  const name = `journey ${Date.now()}`;
  await page.locator('#name').fill(name);
  await page.locator('main form', { has: page.locator('#name') }).locator('button[type=submit]').click();
  await expect(page.locator('.copy code')).toContainText(/\w{16}/);
  const row = page.locator('.data tbody tr', { hasText: name });
  await expect(row).toBeVisible();
  await row.locator('button').click();
  await expect(row).toHaveCount(0);
});
