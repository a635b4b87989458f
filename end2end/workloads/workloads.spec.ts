// Templates as people use them, at the size that two cores carry; `make workloads` fetches what their nodes lend. Pictures of what
// came out stay in target/workloads, to be looked at.
import { type Page } from '@playwright/test';
import { expect, expectAccessible, expectFits, open, prefer, signIn, test } from '../tests/support';

const KEPT = '../target/workloads';
const MINUTES = 60_000;

async function launch(page: Page, template: string, inputs: Record<string, string>) {
  await signIn(page, 'requester');
  const query = new URLSearchParams(Object.entries(inputs).map(([name, value]) => [`inputs[${name}]`, value]));
  await open(page, `/templates/${template}?${query}`);
  await expect(page.locator('[data-quote] .figure')).toContainText('IO/h');
  await page.locator('button[formmethod=post]').click();
  await page.waitForURL(/\/jobs\/job_/);
  return new URL(page.url()).pathname;
}

async function stop(page: Page, job: string) {
  await open(page, `${job}?confirm=stop`);
  await page.locator('dialog button[type=submit]').click();
  await expect(page.locator('[role=status]').first()).toContainText('Stopped', { timeout: MINUTES });
}

/** The page of one of a job's ports, as the portal opens it. */
async function port(page: Page, job: string) {
  await open(page, `${job}?tab=work`);
  const link = page.locator('a[target=_blank][href*="/ports/"]').first();
  await expect(link).toBeVisible({ timeout: MINUTES });
  const [shown] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
  return shown;
}

// What one test left running would take the machines from the next.
test.afterEach(async ({ request }) => {
  const headers = { authorization: `Bearer ${process.env.IOG_API_KEY}` };
  const { items } = await (await request.get('/api/v1/jobs?limit=20', { headers })).json();
  for (const job of items) {
    if (['finished', 'failed', 'stopped'].includes(job.state)) continue;
    await request.delete(`/api/v1/jobs/${job.id}`, { headers });
  }
});

const phone = { width: 360, height: 740 };
const desktop = { width: 1280, height: 800 };

test('training: PyTorch draws its curves, learns, and leaves model and checkpoint', async ({ page }) => {
  const job = await launch(page, 'pytorch', { epochs: '3' });
  await expect(page.locator('main')).toContainText('accuracy', { timeout: 2 * MINUTES });
  await expect(page.locator('[role=status]').first()).toContainText('Finished', { timeout: 3 * MINUTES });
  await page.screenshot({ path: `${KEPT}/pytorch-1280.png`, fullPage: true });
  await page.setViewportSize(phone);
  await expectFits(page, 'a training on a phone');
  await page.screenshot({ path: `${KEPT}/pytorch-360.png`, fullPage: true });
  await page.setViewportSize(desktop);
  const text = await logOf(page, job);
  const reached = Number(/.*accuracy=([0-9.]+)/s.exec(text)?.[1]);
  expect(reached, 'one in ten would be by chance').toBeGreaterThan(0.5);
  await open(page, `${job}?tab=files`);
  await expect(page.locator('main')).toContainText('checkpoint');
});

test('rendering: Blender sends each frame as it is done, and all of them as one moving picture', async ({ page }) => {
  const job = await launch(page, 'blender', { frames: '6', nodes: '2' });
  await open(page, `${job}?tab=files`);
  // The first one is there before the last.
  await expect(page.locator('.pictures img').first()).toBeVisible({ timeout: 2 * MINUTES });
  const moving = page.locator('.moving img');
  await expect(moving).toHaveAttribute('data-frames', '6', { timeout: 3 * MINUTES });
  const seen = await moving.evaluate(async (image: HTMLImageElement) => {
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const draw = canvas.getContext('2d')!;
    draw.drawImage(image, 0, 0);
    const { data } = draw.getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set<number>();
    for (let at = 0; at < data.length; at += 4) colours.add((data[at] >> 4 << 8) | (data[at + 1] >> 4 << 4) | data[at + 2] >> 4);
    return { width: image.naturalWidth, height: image.naturalHeight, colours: colours.size };
  });
  expect(seen).toMatchObject({ width: 320, height: 180 });
  expect(seen.colours, 'a scene has more colours than a floor').toBeGreaterThan(40);
  await expect(page.locator('[role=status]').first()).toContainText('Finished', { timeout: MINUTES });
  await page.screenshot({ path: `${KEPT}/blender-1280.png`, fullPage: true });
  await page.setViewportSize(phone);
  await prefer(page, 'zh', 'dark');
  await open(page, `${job}?tab=files`);
  await expect(page.locator('.moving img')).toBeVisible();
  await expectFits(page, 'pictures on a phone');
  await page.screenshot({ path: `${KEPT}/blender-zh-dark-360.png`, fullPage: true });
});

test('inference: a language model is asked on its page, by two replicas, and by a program', async ({ page }) => {
  const job = await launch(page, 'llm', { replicas: '2' });
  await expect(page.locator('[data-endpoint]')).toBeVisible({ timeout: MINUTES });
  await expect(page.locator('[data-endpoint] .chips li', { hasText: /· answers/ })).toHaveCount(2, { timeout: 3 * MINUTES });
  await page.locator('[data-endpoint] a[href$="tab=work"]').click();
  const asking = page.locator('[data-ask]');
  await asking.locator('textarea').fill('What is the capital of France? Answer in one word.');
  await asking.locator('textarea').press('Enter');
  await expect(asking.locator('[data-show=done]')).toBeVisible({ timeout: 2 * MINUTES });
  await expect(asking.locator('li[data-who=assistant]')).toContainText('Paris');
  await expectAccessible(page, 'asking a model');
  await page.screenshot({ path: `${KEPT}/llm-1280.png`, fullPage: true });
  await page.setViewportSize(phone);
  await expectFits(page, 'asking on a phone');
  await page.screenshot({ path: `${KEPT}/llm-360.png` });
  await page.setViewportSize(desktop);
  const key = process.env.IOG_API_KEY;
  const body = { messages: [{ role: 'user', content: 'Name a colour.' }], max_tokens: 16 };
  const answers = await Promise.all(Array.from({ length: 4 }, () => page.request.post(`/api/v1/endpoints/${job.split('/').at(-1)}/v1/chat/completions`,
    { data: body, headers: { authorization: `Bearer ${key}` } }).then(answer => answer.json())));
  for (const answer of answers) expect(answer.choices[0].message.content.length).toBeGreaterThan(2);
  await open(page, job);
  await expect(page.locator('[data-endpoint] .figures')).toContainText('5');
  await stop(page, job);
});

async function logOf(page: Page, job: string) {
  const log = await page.request.get(`/api/v1${job}/logs?limit=2000`);
  return (await log.json()).lines.map((line: { text: string }) => line.text).join('') as string;
}

test('training over two nodes: their processes average their gradients over a network of their own', async ({ page }) => {
  const job = await launch(page, 'pytorch', { epochs: '2', nodes: '2', images: '2048' });
  await expect(page.locator('[role=status]').first()).toContainText('Finished', { timeout: 4 * MINUTES });
  const log = await logOf(page, job);
  expect(log).toContain('2 process(es) on 2 node(s)');
  expect(log).toContain('epoch=2 ');
  await open(page, `${job}?tab=logs`);
  await page.screenshot({ path: `${KEPT}/pytorch-two-nodes-1280.png`, fullPage: true });
});

test('Jupyter: a cell is run in the browser', async ({ page }) => {
  const job = await launch(page, 'jupyter', {});
  const book = await port(page, job);
  // The port's page looks again until the server listens.
  await expect(book).toHaveTitle(/Home/, { timeout: MINUTES });
  await book.locator('#new-dropdown-button').click();
  const [sheet] = await Promise.all([page.context().waitForEvent('page'), book.locator('#new-menu [id^=kernel-python3] a').click()]);
  await sheet.locator('.code_cell .CodeMirror').first().click();
  await sheet.keyboard.type('print("six by seven is", 6 * 7)');
  await sheet.keyboard.press('Shift+Enter');
  await expect(sheet.locator('.output_stdout').first()).toContainText('six by seven is 42', { timeout: MINUTES });
  await sheet.screenshot({ path: `${KEPT}/jupyter-1280.png` });
  await stop(page, job);
});

test('Ray: its squares are summed on both machines and its dashboard answers', async ({ page }) => {
  const job = await launch(page, 'ray', { nodes: '2' });
  await expect(async () => expect(await logOf(page, job)).toContain('computed on 10.77.0.1, 10.77.0.2')).toPass({ timeout: 3 * MINUTES });
  const board = await port(page, job);
  await expect(board).toHaveTitle(/Ray/, { timeout: 2 * MINUTES });
  await board.screenshot({ path: `${KEPT}/ray-1280.png` });
  await stop(page, job);
});

test('Container: an image of a registry runs its command and leaves its file', async ({ page }) => {
  const image = process.env.IOG_IMAGE ?? '';
  expect(image, 'the script pushes one').toContain('@sha256:');
  const job = await launch(page, 'container', { image });
  await expect(page.locator('[role=status]').first()).toContainText('Finished', { timeout: MINUTES });
  await open(page, `${job}?tab=files`);
  await expect(page.locator('main')).toContainText('when.txt');
  await open(page, `${job}?tab=logs`);
  await expect(page.locator('.log')).toContainText('Linux');
  await page.screenshot({ path: `${KEPT}/container-1280.png`, fullPage: true });
});
