// Every page in both languages and both themes: axe finds nothing, nothing sticks out, the browser is content.
import { mkdirSync } from 'node:fs';
import { expect, expectAccessible, expectFits, launch, open, prefer, ready, signIn, step, test } from './support';

const PUBLIC = ['/', '/?q=none', '/?q=kind%3Dspot', '/?q=price%3C%3D0.01', '/?q=vrm%3E%3D24', '/model?class=gpu&name=none', '/rounds', '/rounds/1', '/rounds/1?replay=1', '/explorer', '/verify', '/reports', '/sign-in', '/sign-up', '/launch', '/launch?template=own', '/templates', '/templates?kind=inference', '/templates/blender', '/templates/llm', '/simulator', '/no/such/page'];
const SIGNED_IN = ['/', '/searches', '/launch', '/jobs', '/account', '/billing', '/billing?tab=days', '/billing?tab=moves', '/billing?tab=statement', '/disputes', '/notices', '/notifications', '/nodes', '/earnings', '/activity', '/jobs/job_none'];
const CONSOLE = ['/admin', '/admin?tab=payouts', '/admin?tab=deposits', '/admin?tab=disputes', '/admin?tab=audit', '/admin?tab=audit&action=shell.opened', '/admin?tab=ledger', '/admin?tab=ledger&book=platform%3Afees'];
const TABS = ['metrics', 'logs', 'cost', 'receipts', 'files', 'work'];

for (const locale of ['en', 'zh'] as const) {
  for (const theme of ['light', 'dark'] as const) {
    test(`public pages, ${locale}, ${theme}`, async ({ page }) => {
      await prefer(page, locale, theme);
      for (const path of PUBLIC) {
        await open(page, path);
        await expect(page.locator('html')).toHaveAttribute('data-theme', theme);
        await expect(page.locator('html')).toHaveAttribute('lang', locale === 'zh' ? 'zh-Hans' : 'en');
        await expect(page.locator('h1')).toHaveCount(1);
        await expectAccessible(page, path);
        await expectFits(page, path);
      }
    });

    test(`pages of an account, ${locale}, ${theme}`, async ({ page }) => {
      await signIn(page, 'requester');
      await prefer(page, locale, theme);
      const job = await aJob(page);
      for (const path of [...SIGNED_IN, ...TABS.map(tab => `${job}?tab=${tab}`)]) {
        await open(page, path);
        await expect(page.locator('h1')).toHaveCount(1);
        await expectAccessible(page, path);
        await expectFits(page, path);
      }
    });

    test(`the console, ${locale}, ${theme}`, async ({ page }) => {
      await signIn(page, 'admin');
      await prefer(page, locale, theme);
      for (const path of CONSOLE) {
        await open(page, path);
        await expect(page.locator('h1')).toHaveCount(1);
        await expectAccessible(page, path);
        await expectFits(page, path);
      }
    });

    test(`an owner's pages, ${locale}, ${theme}`, async ({ page }) => {
      await signIn(page, 'owner');
      await prefer(page, locale, theme);
      for (const path of ['/nodes', '/earnings']) {
        await open(page, path);
        await expectAccessible(page, path);
        await expectFits(page, path);
      }
      await open(page, '/nodes');
      await page.locator('a[href^="/machine"]').first().click();
      await expect(page.locator('main table').first()).toBeVisible();
      await expectAccessible(page, '/machine');
      await expectFits(page, '/machine');
      await open(page, '/nodes');
      await page.locator('a[href^="/price"]').first().click();
      await expect(page.locator('input[name=per_hour]')).toBeVisible();
      await expectAccessible(page, '/price');
      await expectFits(page, '/price');
    });
  }
}

/** The newest job of the list, or a short one made for this. */
async function aJob(page: Parameters<typeof open>[0]) {
  await open(page, '/jobs');
  const first = page.locator('.data a[data-row]').first();
  if (await first.count()) return new URL(await first.getAttribute('href') ?? '', page.url()).pathname;
  return launch(page, { name: 'short', command: 'sleep 2' });
}

test('the language and the theme are switched in the footer and stay', async ({ page }) => {
  await open(page, '/');
  await page.locator('button[name=locale][value=zh]').click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-Hans');
  await expect(page.locator('h1')).toHaveText('市场');
  await page.locator('button[name=theme][value=dark]').click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.reload();
  await ready(page);
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.locator('h1')).toHaveText('市场');
});

test('the policy has a nonce and names no other host but the node of the chain', async ({ page }) => {
  const answer = await open(page, '/');
  const policy = answer?.headers()['content-security-policy'] ?? '';
  expect(policy).toMatch(/script-src [^;]*'nonce-[\w-]+'/);
  // A proof is checked by asking the node; nothing else of its host may be asked.
  const chain = process.env.IOG_DEVCHAIN_URL;
  const own = chain ? policy.replace(`connect-src 'self' ${chain}/v1/;`, "connect-src 'self';") : policy;
  expect(own).not.toMatch(/unsafe-inline|'unsafe-eval'|https?:/);
});

test('what can be touched is large enough', async ({ page, isMobile }) => {
  test.skip(!isMobile, 'a phone');
  await open(page, '/');
  const small = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>('a, button, input:not([type=hidden]), select')]
    .filter(element => element.offsetParent !== null && !element.closest('.sr, p, .skip, thead'))
    .map(element => ({ element, box: (element.closest('label') ?? element).getBoundingClientRect() }))
    .filter(({ box }) => box.height > 0 && box.height < 44)
    .map(({ element, box }) => `${element.outerHTML.slice(0, 80)} ${box.height}`));
  expect(small).toEqual([]);
});

test('screenshots of the main pages', async ({ page, isMobile }) => {
  test.skip(!process.env.SCREENSHOTS, 'only with SCREENSHOTS=1');
  const folder = '../docs/screenshots';
  mkdirSync(folder, { recursive: true });
  const size = isMobile ? '360' : '1280';
  const shoot = async (name: string, path: string) => {
    await open(page, path);
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: `${folder}/${name}-${size}.png` });
  };
  await prefer(page, 'en', 'light');
  await shoot('market', '/');
  await signIn(page, 'requester');
  // A real training, a third of the way: its curves are what the page is for.
  await open(page, '/launch?template=digits');
  await step(page, 4);
  await page.locator('aside button[type=submit]').click();
  await page.waitForURL(/\/jobs\/job_/);
  const job = new URL(page.url()).pathname;
  await expect(page.locator('.chart')).toHaveCount(5, { timeout: 60_000 });
  await page.waitForTimeout(12_000);
  await shoot('launch', '/launch');
  // A picture of each step would be much; the last one shows the quote.
  await open(page, '/launch?template=digits');
  await step(page, 4);
  await page.screenshot({ path: `${folder}/launch-quote-${size}.png` });
  await shoot('searches', '/searches');
  await shoot('rounds', '/rounds');
  await page.locator('a[href^="/rounds/"]').first().click();
  await page.waitForURL(/\/rounds\/\d+$/);
  await page.screenshot({ path: `${folder}/round-${size}.png`, fullPage: true });
  await open(page, '/');
  for (let n = 0; n < 2; n += 1) {
    await page.locator('a.chip:not([aria-current])', { hasText: 'Compare' }).first().click();
    await page.waitForURL(/compare=/);
    await page.waitForTimeout(800);
  }
  await page.screenshot({ path: `${folder}/market-compare-${size}.png` });
  await shoot('jobs', '/jobs');
  await shoot('job', job);
  await shoot('billing', '/billing');
  await prefer(page, 'zh', 'dark');
  await shoot('market-zh-dark', '/');
  await shoot('job-zh-dark', job);
  await page.context().clearCookies();
  await signIn(page, 'owner');
  await prefer(page, 'en', 'light');
  await shoot('machines', '/nodes');
  await page.locator('a[href^="/price"]').first().click();
  await page.waitForURL(/\/price/);
  await page.waitForTimeout(800);
  await page.screenshot({ path: `${folder}/price-${size}.png` });
  await shoot('earnings', '/earnings');
});
