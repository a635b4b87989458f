// Reading and the forms work without scripts. The project `nojs` has them switched off.
import { expect, test, type Page } from '@playwright/test';
import { credentials } from './support';

async function signIn(page: Page) {
  const { email, password } = credentials('requester');
  await page.goto('/sign-in?next=%2Fjobs');
  await page.locator('#email').fill(email);
  await page.locator('#password').fill(password);
  await page.locator('main form button[type=submit]').click();
  await page.waitForURL('**/jobs');
}

test('the market is read and filtered @nojs', async ({ page }) => {
  await page.goto('/');
  await expect(page.locator('.data tbody tr').first()).toContainText('IO/h');
  await page.locator('#q').fill('nothing like this');
  await page.locator('search button[type=submit]').click();
  await expect(page).toHaveURL(/q=nothing/);
  await expect(page.locator('.empty')).toBeVisible();
});

test('offers are put side by side by links @nojs', async ({ page }) => {
  await page.goto('/?q=class%3Dcpu');
  await page.locator('a.chip', { hasText: 'Compare' }).first().click();
  await expect(page).toHaveURL(/compare=dev_/);
  await expect(page.locator('.compare-bar')).toBeVisible();
});

test('a wrong password comes back with the reason @nojs', async ({ page }) => {
  await page.goto('/sign-in');
  await page.locator('#email').fill('nobody@example.org');
  await page.locator('#password').fill('not the password');
  await page.locator('main form button[type=submit]').click();
  await expect(page.locator('[role=alert]')).toContainText('not right');
});

test('language and theme are switched by a form @nojs', async ({ page }) => {
  await page.goto('/');
  await page.locator('button[name=locale][value=zh]').click();
  await expect(page.locator('h1')).toHaveText('市场');
  await page.locator('button[name=theme][value=dark]').click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});

test('a job is launched, read and stopped @nojs', async ({ page }) => {
  await signIn(page);
  await page.goto('/launch?template=own');
  await page.locator('#name').fill('without scripts');
  await page.locator('#command').fill('sleep 300');
  const last = page.locator('.stepper label').nth(3);
  if (await last.isVisible()) await last.click();
  await page.locator('aside button[type=submit]').click();
  await page.waitForURL(/\/jobs\/job_/);
  await expect(page.locator('main')).toContainText('without scripts');
  const path = new URL(page.url()).pathname;
  await page.goto('/jobs');
  await expect(page.locator(`a[href="${path}"]`)).toBeVisible();
  await page.goto(`${path}?tab=cost`);
  await expect(page.locator('.figures')).toBeVisible();
  await page.goto(path);
  await page.locator('a.btn.danger').click();
  await page.locator('dialog button[type=submit]').click();
  // Nothing on the page moves by itself: it is loaded again until the machine has answered.
  await expect(async () => {
    await page.goto(path);
    await expect(page.locator('main [role=status] .state').first()).toHaveText('Stopped', { timeout: 500 });
  }).toPass({ timeout: 20_000 });
});

test('a webhook is made for the events that are ticked, or for all @nojs', async ({ page }) => {
  await signIn(page);
  await page.goto('/notifications');
  const make = page.locator('[data-key=new-hook] form');
  await make.locator('#url').fill('http://127.0.0.1:9/two');
  await make.locator('input[value="job.ended"]').check();
  await make.locator('input[value="search.matched"]').check();
  await make.locator('button').click();
  await expect(page.locator('.copy code')).toContainText('whsec_');
  const two = page.locator('section.card', { hasText: '127.0.0.1:9/two' });
  await expect(two.locator('.tag')).toHaveText(['job.ended', 'search.matched']);
  await page.locator('#url').fill('http://127.0.0.1:9/all');
  await make.locator('button').click();
  const all = page.locator('section.card', { hasText: '127.0.0.1:9/all' });
  await expect(all).toContainText('all events');
  for (const card of [two, all]) {
    await card.locator('summary').click();
    await card.locator('button', { hasText: 'Delete' }).click();
    await expect(card).toHaveCount(0);
  }
});

test('a matching round is read and replayed @nojs', async ({ page }) => {
  await page.goto('/rounds');
  await page.locator('.data tbody a').first().click();
  await page.waitForURL(/\/rounds\/\d+$/);
  await page.locator('a.btn.primary', { hasText: 'Replay it now' }).click();
  await expect(page.locator('#replay .notice')).toContainText('Everything was found as it is stated');
  await expect(page.locator('#replay .checklist li')).not.toHaveCount(0);
});
