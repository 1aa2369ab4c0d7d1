/** Starts the browser named in `CHROMIUM`, and opens the page while everything that goes wrong is written down. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** With a GPU it is one in software. */
export function launch({ gpu = false } = {}) {
  return chromium.launch(options(gpu));
}

/** A context with a profile on disk, as users have one; what a test's page keeps is in memory otherwise, where Chromium enforces no quota. */
export function launchOnDisk(contextOptions = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'clinicalbert-profile-'));
  // The browser still writes when its context is closed.
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return chromium.launchPersistentContext(folder, { ...options(false), ...contextOptions });
}

function options(gpu) {
  const executablePath = process.env.CHROMIUM;
  if (!executablePath) throw new Error('CHROMIUM must name the browser; `cargo xtask test web` sets it');
  return {
    executablePath,
    args: [
      // Tests run as root in containers, where Chromium's sandbox cannot start.
      '--no-sandbox',
      ...(gpu ? ['--ignore-gpu-blocklist', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : ['--disable-gpu']),
      // The browser's own requests (updates, sync, field trials) are none of the page's.
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-quic',
      '--disable-sync',
      '--no-first-run',
    ],
  };
}

/** Opens the page and waits until it is ready. */
export async function open(browser, address, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  const troubles = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) troubles.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => troubles.push(`uncaught: ${error.message}`));
  page.on('requestfailed', (request) => troubles.push(`failed: ${request.url()}`));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => {
      window.violations.push(`${event.effectiveDirective}: ${event.blockedURI}`);
    });
  });
  await page.goto(address);
  await page.locator('html[data-ready=true]').waitFor();
  return { page, troubles, violations: () => page.evaluate(() => window.violations) };
}
