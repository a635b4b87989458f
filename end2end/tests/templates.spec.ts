// Templates: found, filled in, launched; their curves and their pictures are looked at.
import { expect, expectAccessible, expectFits, open, signIn, test } from './support';

test('a rendering is found, priced by what is typed, launched, and its pictures come', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/templates');
  await expectAccessible(page, 'the templates');
  await expectFits(page, 'the templates');
  await page.locator('.chip', { hasText: 'Rendering' }).click();
  await expect(page).toHaveURL(/kind=rendering/);
  await page.locator('a[href="/templates/raytrace"]').click();
  await page.waitForURL(/\/templates\/raytrace/);
  await expect(page.locator('[data-quote] .figure')).toContainText('IO/h');
  await expect(page.locator('main')).toContainText('On a real GPU');
  await expectAccessible(page, 'a template');
  await expectFits(page, 'a template');
  // The estimate follows what is typed; what cannot be is told there too.
  const estimate = page.locator('[data-estimate]');
  const before = await estimate.textContent();
  const frames = page.locator('input[name="inputs[frames]"]');
  await frames.fill('240');
  await frames.press('Tab');
  await expect(estimate).not.toHaveText(before ?? '');
  await frames.fill('0');
  await frames.press('Tab');
  await expect(page.locator('[data-quote]')).toContainText('from 1 to 240');
  await frames.fill('6');
  await page.locator('button[formmethod=post]').click();
  await page.waitForURL(/\/jobs\/job_.*tab=files/);
  // Each picture is one that the browser can draw, and the moving one has all frames at the end.
  const moving = page.locator('.moving img');
  await expect(moving).toHaveAttribute('data-frames', '6', { timeout: 60_000 });
  const drawn = (image: HTMLImageElement) => image.decode().then(() => [image.naturalWidth, image.naturalHeight]);
  expect(await moving.evaluate(drawn)).toEqual([160, 120]);
  expect(await page.locator('.pictures img').first().evaluate(drawn)).toEqual([160, 120]);
  await expectAccessible(page, 'pictures of a job');
  await expectFits(page, 'pictures of a job');
});

test('a training is launched from its template and draws its curves', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/templates/digits?inputs%5Bseconds%5D=4');
  await expect(page.locator('input[name="inputs[seconds]"]')).toHaveValue('4');
  await page.locator('button[formmethod=post]').click();
  await page.waitForURL(/\/jobs\/job_/);
  await expect(page.locator('main')).toContainText('accuracy', { timeout: 30_000 });
  await expect(page.locator('[role=status]').first()).toContainText('Finished', { timeout: 60_000 });
  await page.locator('a[href$="tab=files"]').click();
  await expect(page.locator('main')).toContainText('report.json');
});

test('a model is served, asked on its page, and stopped', async ({ page }) => {
  await signIn(page, 'requester');
  await open(page, '/templates/tiny-chat');
  await page.locator('button[formmethod=post]').click();
  await page.waitForURL(/\/jobs\/job_/);
  const job = new URL(page.url()).pathname;
  // The card follows by itself.
  await expect(page.locator('[data-endpoint] .chips li')).toContainText('· answers', { timeout: 30_000 });
  await page.locator('[data-endpoint] a[href$="tab=work"]').click();
  const asking = page.locator('[data-ask]');
  await asking.locator('textarea').fill('What does a receipt prove?');
  await asking.locator('textarea').press('Enter');
  await expect(asking.locator('[data-show=done]')).toContainText('ms', { timeout: 30_000 });
  await expect(asking.locator('li[data-who=user]')).toHaveText('What does a receipt prove?');
  expect((await asking.locator('li[data-who=assistant]').textContent())?.length).toBeGreaterThan(10);
  await expectAccessible(page, 'asking a model');
  await expectFits(page, 'asking a model');
  await asking.locator('[data-ask-anew]').click();
  await expect(asking.locator('li')).toHaveCount(0);
  await open(page, `${job}?confirm=stop`);
  await page.locator('dialog button[type=submit]').click();
  await expect(page.locator('[role=status]').first()).toContainText('Stopped', { timeout: 30_000 });
});
