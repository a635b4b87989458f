// The weekly earnings reports: a proof is checked in the browser, and the chain's node is asked by the browser itself.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, expectAccessible, expectFits, open, signIn, test } from './support';

const choose = (text: string) => ({ name: 'iog-earnings.json', mimeType: 'application/json', buffer: Buffer.from(text) });
/** True in itself, of a week that the development chain of this run has no report of. */
const PROOF = readFileSync('../examples/earnings.json', 'utf8');

test('a proof is checked against the chain, and a changed one is refused', async ({ page }) => {
  await open(page, '/reports');
  await page.waitForFunction(() => performance.getEntriesByType('resource').some(entry => /verify\.[0-9a-f]+\.wasm/.test(entry.name)));
  const node = await page.locator('[data-report]').getAttribute('data-node');
  const asked: string[] = [];
  page.on('request', request => { if (request.method() === 'POST') asked.push(request.url()); });

  const file = page.locator('input[type=file]');
  await file.setInputFiles(choose(PROOF.replace('"amount": "', '"amount": "1')));
  await expect(page.locator('[data-show=changed]')).toBeVisible();
  await expect(page.locator('[data-show~=right]').last()).toBeHidden();
  await expectAccessible(page, '/reports, changed');
  await expectFits(page, '/reports, changed');
  expect(asked, 'nobody is asked about a changed file').toEqual([]);

  await file.setInputFiles(choose('hello'));
  await expect(page.locator('[data-show=unreadable]')).toBeVisible();

  await page.locator('textarea').fill(PROOF);
  await page.locator('[data-report-check]').click();
  await expect(page.locator('[data-show=absent]')).toBeVisible();
  await expect(page.locator('[data-value=week]')).toHaveText('2020-01-06');
  await expectAccessible(page, '/reports, not published');
  await expectFits(page, '/reports, not published');
  expect(asked).toEqual([`${node}/view`]);

  await file.setInputFiles(choose(PROOF.replace('"chain": 4', '"chain": 1')));
  await expect(page.locator('[data-show=other-chain]')).toBeVisible();
  await expect(page.locator('[data-show=absent]')).toBeHidden();
});

test('owners find their weeks and the table for taxes', async ({ page }) => {
  await signIn(page, 'owner');
  await open(page, '/earnings');
  const table = page.locator('a[href^="/api/v1/earnings/tax?year="]').first();
  await expect(table).toBeVisible();
  const answer = await page.request.get(await table.getAttribute('href') ?? '');
  expect(answer.headers()['content-disposition']).toContain('attachment');
  expect(await answer.text()).toContain('paid_at,payout,amount_io,rate,currency,value,address,transaction');
  await page.locator('main a[href="/reports"]').click();
  await expect(page.locator('h1')).toHaveCount(1);
  await expect(page.locator('[data-report]')).toBeVisible();
});

test("the server's own report of a week that is over is proven with the owner's file", async ({ page }) => {
  test.skip(!process.env.IOG_DEVCHAIN_URL, 'with the development chain');
  await signIn(page, 'owner');
  await open(page, '/earnings');
  const week = page.locator('a[href^="/api/v1/reports/"][href$="/proof"]').first();
  await expect(async () => {
    await page.reload();
    await expect(week).toBeVisible({ timeout: 2_000 });
  }).toPass({ timeout: 60_000 });
  const file = await (await page.request.get(await week.getAttribute('href') ?? '')).text();
  const proof = JSON.parse(file);
  expect(BigInt(proof.amount)).toBeGreaterThan(0n);

  await open(page, '/reports');
  await expect(page.locator('main')).toContainText(proof.root);
  await page.waitForFunction(() => performance.getEntriesByType('resource').some(entry => /verify\.[0-9a-f]+\.wasm/.test(entry.name)));
  await page.locator('input[type=file]').setInputFiles(choose(file));
  await expect(page.locator('[data-show~=right]').first()).toBeVisible();
  await expect(page.locator('[data-show=stale]')).toBeHidden();
  await expect(page.locator('[data-value=week]')).toHaveText(proof.monday);
  await expectFits(page, '/reports, own');
  await expectAccessible(page, '/reports, own');
  await page.screenshot({ path: test.info().outputPath('own-report.png'), fullPage: true });
  await page.locator('input[type=file]').setInputFiles(choose(file.replace(`"amount": "${proof.amount}"`, `"amount": "${proof.amount}0"`)));
  await expect(page.locator('[data-show=changed]')).toBeVisible();
});

/** A report with one line is that line's hash. */
function proofOf(version: number, amount: bigint) {
  const owner = '11'.repeat(32);
  const head = Buffer.alloc(17);
  head.writeBigUInt64LE(18_274n, 1);
  head.writeBigUInt64LE(BigInt(version), 9);
  const tail = Buffer.alloc(8);
  tail.writeBigUInt64LE(amount);
  const root = createHash('sha3-256').update(Buffer.concat([head, Buffer.from(owner, 'hex'), tail])).digest('hex');
  return {
    ...JSON.parse(PROOF), week: 18_274, monday: '2020-01-13', version, owner: `0x${owner}`, amount: String(amount), proof: [],
    root: `0x${root}`, total: String(amount), owners: 1,
  };
}

// Reports that this server did not make are incidents, rightly: after this test the console has some.
test('on a phone a proof is right, and stale once a correction is on the chain', async ({ page, isMobile }) => {
  const chain = process.env.IOG_DEVCHAIN_URL ?? '';
  test.skip(!chain || !isMobile, 'once, on a phone, with the development chain');
  const publish = async (proof: ReturnType<typeof proofOf>) => {
    const args = [String(proof.week), String(proof.version), proof.root, proof.total, String(proof.owners)];
    const answer = await fetch(`${chain}/devchain/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ function: 'reports::publish', arguments: args }),
    });
    const done = await answer.json();
    expect(done.success, JSON.stringify(done)).toBe(true);
  };
  const first = proofOf(1, 250_000_000n);
  await publish(first);
  await open(page, '/reports');
  await page.waitForFunction(() => performance.getEntriesByType('resource').some(entry => /verify\.[0-9a-f]+\.wasm/.test(entry.name)));
  const file = page.locator('input[type=file]');
  await file.setInputFiles(choose(JSON.stringify(first)));
  await expect(page.locator('[data-show~=right]').first()).toBeVisible();
  await expect(page.locator('[data-show=stale]')).toBeHidden();
  await expectFits(page, '/reports, right');
  await expectAccessible(page, '/reports, right');
  await file.setInputFiles(choose(JSON.stringify({ ...first, owners: 2 })));
  await expect(page.locator('[data-show~=right]').first()).toBeHidden();
  await publish(proofOf(2, 200_000_000n));
  await file.setInputFiles(choose(JSON.stringify(first)));
  await expect(page.locator('[data-show~=stale]').first()).toBeVisible();
});
