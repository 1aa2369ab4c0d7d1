/** The examples in transformers.js's own documentation, as they stand in the package that it publishes. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** The version that our pipelines say they follow. */
export const VERSION = '4.3.1';

const run = promisify(execFile);

/**
 * Fetches the package into `folder` (not what it depends on) and returns the examples of a pipeline, each with what its comments promise:
 * `{code, model, promised}`.
 */
export async function examplesOf(pipeline, folder) {
  const { stdout } = await run('npm', ['pack', '--silent', '--prefer-offline', `@huggingface/transformers@${VERSION}`], { cwd: folder });
  await run('tar', ['xzf', stdout.trim(), '-C', folder], { cwd: folder });
  const source = await readFile(join(folder, `package/src/pipelines/${pipeline}.js`), 'utf8');
  const blocks = [...source.matchAll(/^ \* ```javascript\n([\s\S]*?)^ \* ```/gm)].map(([, block]) => block.replace(/^ \* ?/gm, ''));
  return blocks.map((code) => ({
    // One of them takes the import of the one before for granted.
    code: code.includes('import {') ? code : `import { pipeline } from '@huggingface/transformers';\n${code}`,
    model: /pipeline\('[\w-]+', '([\w/.-]+)'/.exec(code)[1],
    promised: {
      type: /type: '(\w+)'/.exec(code)?.[1],
      rank: /dims: \[([\d, ]+)\]/.exec(code)?.[1].split(',').length,
      fillings: code.match(/token_str:/g)?.length,
    },
  }));
}
