// Checking an invoice in the browser: nothing of it is sent, and what was changed is found.
import { readFileSync } from 'node:fs';
import { expect, expectAccessible, expectFits, launch, open, signIn, test } from './support';

const choose = (text: string) => ({ name: 'invoice.json', mimeType: 'application/json', buffer: Buffer.from(text) });

test('an invoice is checked without being sent, and a changed one is refused', async ({ page }) => {
  await signIn(page, 'requester');
  const job = (await launch(page, { name: 'billed', command: 'sleep 3' })).split('/').pop();
  const headers = { authorization: `Bearer ${process.env.IOG_API_KEY}` };
  let invoice = '';
  await expect(async () => {
    const answer = await page.request.get(`/api/v1/jobs/${job}/invoice`, { headers });
    invoice = await answer.text();
    expect(JSON.parse(invoice).is_final).toBe(true);
  }).toPass({ timeout: 60_000 });

  await open(page, '/verify');
  await page.waitForFunction(() => performance.getEntriesByType('resource').some(entry => /verify\.[0-9a-f]+\.wasm/.test(entry.name)));
  const sent: string[] = [];
  page.on('request', request => { if (request.method() !== 'GET') sent.push(request.url()); });
  const file = page.locator('input[type=file]');
  await file.setInputFiles(choose(invoice));
  await expect(page.locator('[data-show=fits]')).toBeVisible();
  await expect(page.locator('[data-value=charged]')).toHaveText(/^0\.\d+$/);
  await expectAccessible(page, '/verify, fits');
  await expectFits(page, '/verify, fits');

  const price = JSON.parse(invoice).leases[0].gross as string;
  await file.setInputFiles(choose(invoice.replace(`"gross":"${price}"`, `"gross":"${price}1"`)));
  await expect(page.locator('[data-show=wrong]')).toBeVisible();
  await expect(page.locator('[data-findings] li')).not.toHaveCount(0);
  await expect(page.locator('[data-findings]')).toContainText('the document was changed');
  await expectAccessible(page, '/verify, wrong');
  await expectFits(page, '/verify, wrong');

  // Another platform's.
  await file.setInputFiles(choose(readFileSync('../examples/invoice.json', 'utf8')));
  await expect(page.locator('[data-findings] li')).toHaveCount(1);
  await expect(page.locator('[data-findings]')).toContainText("not this platform's");

  await file.setInputFiles(choose('hello'));
  await expect(page.locator('[data-findings]')).toContainText('not an invoice');
  expect(sent).toEqual([]);
});
