/** The list of models, `models/models.json`, as the folders in `public/models` say what they are. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('./public/models/', import.meta.url));

/** Every folder that `native convert --to web` wrote, by name. */
function listModels() {
  if (!existsSync(FOLDER)) return [];
  const folders = readdirSync(FOLDER).filter((name) => existsSync(`${FOLDER}${name}/manifest.json`));
  return folders.sort().map((name) => {
    const { encoding, bytes } = JSON.parse(readFileSync(`${FOLDER}${name}/manifest.json`, 'utf8'));
    return { name, variants: [{ dtype: encoding, path: `models/${name}`, bytes }] };
  });
}

/** Writes the list into the built page, and answers with it while developing. */
export function models() {
  return {
    name: 'models',
    configureServer(server) {
      server.middlewares.use('/models/models.json', (_, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(listModels()));
      });
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'models/models.json', source: `${JSON.stringify(listModels(), null, 2)}\n` });
    },
  };
}
