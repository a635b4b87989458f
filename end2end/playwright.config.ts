import { defineConfig } from '@playwright/test';

// scripts/stack.py starts server, workers and accounts and says where they are; `make e2e` runs all of it:
//   BASE_URL                                       the portal
//   IOG_REQUESTER_EMAIL, IOG_REQUESTER_PASSWORD    has a balance
//   IOG_OWNER_EMAIL, IOG_OWNER_PASSWORD            has one of the two nodes
//   IOG_API_KEY                                    the requester's, scopes read and jobs
// To repeat one test against a running `make run`, export the same from what it printed.
if (!process.env.BASE_URL) throw new Error('BASE_URL is not set: run `make e2e`, or export the address that `make run` printed');

// Reading pages must work without scripts; those tests carry the tag @nojs and run only there.
const withScripts = { grepInvert: /@nojs/ };
// What `make workloads` fetches first; nothing else can run there.
const workloads = process.env.IOG_WORKLOADS
  ? [{ name: 'workloads', testDir: './workloads', timeout: 600_000, use: { viewport: { width: 1280, height: 800 } } }]
  : [];

export default defineConfig({
  testDir: './tests',
  outputDir: './test-results',
  timeout: 90_000,
  expect: { timeout: 10_000 },
  // One market, one balance: journeys would see each other's jobs.
  workers: 1,
  fullyParallel: false,
  forbidOnly: true,
  retries: 0,
  reporter: [['list'], ['json', { outputFile: process.env.IOG_E2E_REPORT ?? 'test-results/report.json' }]],
  use: {
    baseURL: process.env.BASE_URL,
    locale: 'en-GB',
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    },
  },
  projects: [
    { name: 'desktop', ...withScripts, use: { viewport: { width: 1280, height: 800 } } },
    { name: 'phone', ...withScripts, use: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true } },
    { name: 'nojs', grep: /@nojs/, use: { viewport: { width: 360, height: 740 }, javaScriptEnabled: false } },
    ...workloads,
  ],
});
