// Work in a running job: a shell and files, on a desktop and on a phone.
import { expect, expectAccessible, expectFits, launch, open, prefer, signIn, test } from './support';

test('a shell is opened in a running job, typed into and closed; files go in and are listed', async ({ page }) => {
  await signIn(page, 'requester');
  const job = await launch(page, { name: 'work', command: "sh -c 'echo kept > out/note.txt; exec sleep 90'" });
  await open(page, `${job}?tab=work`);
  const work = page.locator('[data-work]');
  await expect(work).toHaveAttribute('data-open', '', { timeout: 30_000 });
  await expect(work.locator('[data-list] li')).toContainText(['out/']);

  await work.locator('[data-shell-open]').click();
  const shell = work.locator('[data-shell]');
  await expect(shell.locator('[data-show=open]')).toBeVisible({ timeout: 20_000 });
  // It opens where it is seen, on a phone too.
  await expect(shell.locator('[data-terminal]')).toBeInViewport({ ratio: 0.9 });
  const rows = shell.locator('.xterm-rows');
  await shell.locator('[data-terminal]').click();
  await page.keyboard.type('echo "sum=$((40 + 2)) in $PWD"; cat in.txt || touch made\n');
  await expect(rows).toContainText('sum=42 in /job');
  await expectAccessible(page, 'a shell');
  await expectFits(page, 'a shell');

  // What one does, the other sees.
  await work.locator('[data-again]').click();
  await expect(work.locator('[data-list]')).toContainText('made');
  await work.locator('input[type=file]').setInputFiles({ name: 'in.txt', mimeType: 'text/plain', buffer: Buffer.from('from the page') });
  await expect(work.locator('[data-upload] [data-show=done]')).toContainText('in.txt');
  await shell.locator('[data-terminal]').click();
  await page.keyboard.type('clear; cat in.txt\n');
  await expect(rows).toContainText('from the page');
  await work.locator('[data-list] button', { hasText: 'out/' }).click();
  const file = work.locator('[data-list] a', { hasText: 'note.txt' });
  const fetched = await page.request.get(new URL((await file.getAttribute('href')) ?? '', page.url()).href);
  expect(await fetched.text()).toBe('kept\n');

  // It ends with its own end, and with a button.
  await shell.locator('[data-terminal]').click();
  await page.keyboard.type('exit 7\n');
  await expect(shell.locator('[data-show=ended]')).toContainText('7');
  await shell.locator('[data-shell-open]').click();
  await expect(shell.locator('[data-show=open]')).toBeVisible();
  await shell.locator('[data-shell-close]').click();
  await expect(shell.locator('[data-terminal]')).toBeHidden();
  await expect(page.locator('.timeline').first()).toContainText('A shell was opened in it');

  // What it showed was recorded, for its owner to read.
  await open(page, `${job}?tab=files`);
  await page.locator('main a[href*="recording="]').last().click();
  await expect(page.locator('main pre')).toContainText('sum=42 in /job');
  await expectAccessible(page, 'a recording of a shell');
  await expectFits(page, 'a recording of a shell');
  await open(page, '/activity');
  await expect(page.locator('main table')).toContainText('Shell opened');

  await prefer(page, 'zh', 'dark');
  await open(page, `${job}?tab=work`);
  await expect(page.locator('[data-shell-open]')).toHaveText('打开 Shell');
  await expectFits(page, 'work in Chinese');
  await open(page, `${job}?confirm=stop`);
  await page.locator('dialog button[type=submit]').click();
});

test('no tab of a job is out of sight, and a job that is not there leads back to the list', async ({ page }) => {
  await signIn(page, 'requester');
  const job = await launch(page, { name: 'tabs', command: 'true' });
  await open(page, `${job}?tab=work`);
  const width = page.viewportSize()?.width ?? 0;
  const tabs = page.locator('nav.tabs a');
  await expect(tabs).toHaveCount(6);
  for (const tab of await tabs.all()) {
    const box = await tab.boundingBox();
    expect((box?.x ?? width) + (box?.width ?? 0)).toBeLessThanOrEqual(width);
  }
  await open(page, '/jobs/job_00000000000000000000000000000000');
  await expect(page.locator('main')).toContainText('Not found');
  await page.locator('main a', { hasText: 'Back' }).click();
  await expect(page).toHaveURL(/\/jobs$/);
});

test('a text is found in the log, place by place', async ({ page }) => {
  await signIn(page, 'requester');
  const job = await launch(page, { name: 'find', command: "sh -c 'seq 1 400; echo Needle one; seq 1 400; echo the NEEDLE two; exec sleep 20'" });
  await expect(async () => {
    await open(page, `${job}?tab=logs&q=needle`);
    await expect(page.locator('main')).toContainText('1 of 2', { timeout: 1_000 });
  }).toPass({ timeout: 30_000 });
  await expect(page.locator('.log mark[aria-current]')).toHaveText('Needle');
  await page.locator('main a', { hasText: 'Next' }).click();
  await expect(page.locator('main')).toContainText('2 of 2');
  await expect(page.locator('.log mark[aria-current]')).toHaveText('NEEDLE');
  await page.locator('#log-q').fill('nothing like this');
  await page.locator('#log-q').press('Enter');
  await expect(page.locator('main')).toContainText('Nothing in the log has this text');
  await expectAccessible(page, 'a search in a log');
  await expectFits(page, 'a search in a log');
});
