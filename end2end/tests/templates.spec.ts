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

test('frames that are computed again are told to who pays and to who delivered them', async ({ page }) => {
  await signIn(page, 'requester');
  // Larger than the usual: what takes no whole second costs nothing, and nothing of it is drawn.
  const inputs = { frames: 3, checked: 100, width: 320, height: 320 };
  const query = Object.entries(inputs).map(([name, value]) => `inputs%5B${name}%5D=${value}`).join('&');
  await open(page, `/templates/raytrace?${query}`);
  await expect(page.locator('[data-besides]')).toContainText('100 % of its 3 slices');
  await page.locator('button[formmethod=post]').click();
  await page.waitForURL(/\/jobs\/job_/);
  const job = new URL(page.url()).pathname;
  await open(page, `${job}?tab=cost`);
  const checks = page.locator('section', { has: page.getByRole('heading', { name: 'Computed again' }) });
  const rows = checks.locator('tbody tr');
  await expect(rows).toHaveCount(3, { timeout: 60_000 });
  for (const row of await rows.all()) await expect(row).toContainText('The same', { timeout: 60_000 });
  await expectAccessible(page, 'slices that were computed again');
  await expectFits(page, 'slices that were computed again');
  // The job that did it is the requester's, says whose slice it computed, and rings no bell.
  await rows.first().locator('a', { hasText: 'second machine' }).click();
  await page.waitForURL(url => url.pathname.startsWith('/jobs/job_') && url.pathname !== job);
  await expect(page.locator('.timeline').first()).toContainText(`computes slice`);
  await open(page, '/notices');
  await expect(page.locator('main')).toContainText('Animation, 3 frames');
  await expect(page.locator('main')).not.toContainText('again: Animation, 3 frames');
  // Whoever delivered them (the cheapest machine is this owner's) sees the same, without a way into the requester's jobs.
  await signIn(page, 'owner');
  await open(page, '/nodes');
  await page.locator('a[href^="/machine"]').first().click();
  await expect(rows.first()).toContainText('frames/000', { timeout: 15_000 });
  await expect(checks.locator('a')).toHaveCount(0);
  await expectAccessible(page, 'slices of a machine');
  await expectFits(page, 'slices of a machine');
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
