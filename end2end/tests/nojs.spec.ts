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

test('a matching round is read and replayed @nojs', async ({ page }) => {
  await page.goto('/rounds');
  await page.locator('.data tbody a').first().click();
  await page.waitForURL(/\/rounds\/\d+$/);
  await page.locator('a.btn.primary', { hasText: 'Replay it now' }).click();
  await expect(page.locator('#replay .notice')).toContainText('Everything was found as it is stated');
  await expect(page.locator('#replay .checklist li')).not.toHaveCount(0);
});
