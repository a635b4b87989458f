// What every journey needs: somebody signed in, a page that complains about nothing, and axe.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test as base, type BrowserContext, type Page } from '@playwright/test';

const need = (name: string): string => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run \`make e2e\``);
  return value;
};

export type Who = 'requester' | 'owner' | 'admin' | 'admin2';

export const credentials = (who: Who) => ({
  email: need(`IOG_${who.toUpperCase()}_EMAIL`),
  password: need(`IOG_${who.toUpperCase()}_PASSWORD`),
});

type Cookies = Awaited<ReturnType<BrowserContext['cookies']>>;
// One sign-in for each person and process: the server bounds how often one may try.
const sessions = new Map<Who, Cookies>();

/** The page is taken over by the browser's module. */
export const ready = (page: Page) => expect(page.locator('body[data-ready]')).toBeAttached({ timeout: 30_000 });

export async function open(page: Page, path: string) {
  const answer = await page.goto(path);
  await ready(page);
  return answer;
}

export async function signIn(page: Page, who: Who) {
  const known = sessions.get(who);
  if (known) {
    await page.context().addCookies(known);
    return;
  }
  const { email, password } = credentials(who);
  await open(page, '/sign-in?next=%2Faccount');
  await page.locator('#email').fill(email);
  await page.locator('#password').fill(password);
  await page.locator('main form button[type=submit]').click();
  await page.waitForURL('**/account');
  await ready(page);
  const cookies = await page.context().cookies();
  sessions.set(who, cookies.filter(cookie => cookie.name.includes('session')));
}

/** Language and theme as the footer's forms would set them. */
export async function prefer(page: Page, locale: 'en' | 'zh', theme: 'auto' | 'light' | 'dark') {
  const url = need('BASE_URL');
  await page.context().addCookies([
    { name: 'iog_lang', value: locale, url },
    { name: 'iog_theme', value: theme, url },
  ]);
}

/** Fails the test for anything a browser would complain about: errors, warnings, and breaches of the policy. */
export const test = base.extend<{ complaints: string[] }>({
  complaints: [async ({ page }, use) => {
    const complaints: string[] = [];
    page.on('pageerror', error => complaints.push(`error: ${error}`));
    page.on('console', message => {
      const refused = /Failed to load resource.*\b(401|404|409|422)\b/.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !refused) complaints.push(`${message.type()}: ${message.text()}`);
    });
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', event =>
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    });
    await use(complaints);
    expect(complaints, 'the browser has nothing to complain about').toEqual([]);
  }, { auto: true }],
});

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** No violation of WCAG 2.2 A and AA, nor of axe's best practices. */
export async function expectAccessible(page: Page, where: string) {
  // Evaluated through the debugger: a script element would (rightly) be refused by the page's policy.
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: (root: Document) => Promise<{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] }> } };
    const found = await axe.run(document);
    return found.violations.map(v => `${v.id}: ${v.nodes.map(n => `${n.html} (${n.failureSummary ?? ''})`).join(' | ')}`);
  });
  expect(violations, where).toEqual([]);
}

/** Nothing sticks out sideways: a phone must not scroll in two directions. */
export async function expectFits(page: Page, where: string) {
  const [over, who] = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const out = [...document.querySelectorAll<HTMLElement>('main *')].filter(element => element.getBoundingClientRect().right > width + 1);
    // The last one is the innermost.
    return [document.documentElement.scrollWidth - width, out.at(-1)?.outerHTML.slice(0, 200) ?? ''] as const;
  });
  expect(over, `${where} is wider than the screen: ${who}`).toBeLessThanOrEqual(0);
}

/** On a phone the launch form has its steps one after the other; on a wide screen all of them are there. */
export async function step(page: Page, n: 1 | 2 | 3 | 4) {
  const chip = page.locator('.stepper label').nth(n - 1);
  if (await chip.isVisible()) await chip.click();
}

/** Starts a job from the launch form and answers with its path. */
export async function launch(page: Page, fields: Record<string, string>) {
  await open(page, '/launch?template=own');
  for (const [name, value] of Object.entries(fields)) await page.locator(`#${name}`).fill(value);
  await step(page, 4);
  await expect(page.locator('aside .figure')).toContainText('IO/');
  await page.locator('aside button[type=submit]').click();
  await page.waitForURL(/\/jobs\/job_/);
  return new URL(page.url()).pathname;
}

export { expect };
