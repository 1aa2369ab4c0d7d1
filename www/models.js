/** The list of models, `models/models.json`, as the folders in `public/models` say what they are. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('./public/models', import.meta.url));

/** Every model in `folder`, by name: a folder that `native convert --to web` wrote, or a folder of such folders, one a precision. */
export function listModels(folder) {
  if (!existsSync(folder)) return [];
  const variantIn = (path) => {
    const { encoding, bytes } = JSON.parse(readFileSync(`${folder}/${path}/manifest.json`, 'utf8'));
    return { dtype: encoding, path: `models/${path}`, bytes };
  };
  const hasManifest = (path) => existsSync(`${folder}/${path}/manifest.json`);
  const foldersIn = (path) => readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name).sort();
  return foldersIn(folder)
    .map((name) => {
      const paths = hasManifest(name) ? [name] : foldersIn(`${folder}/${name}`).map((inner) => `${name}/${inner}`).filter(hasManifest);
      // The smallest is fetched first.
      return { name, variants: paths.map(variantIn).sort((a, b) => a.bytes - b.bytes) };
    })
    .filter(({ variants }) => variants.length > 0);
}

/** Writes the list into the built page, and answers with it while developing. */
export function models() {
  return {
    name: 'models',
    configureServer(server) {
      server.middlewares.use('/models/models.json', (_, response) => {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(listModels(FOLDER)));
      });
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'models/models.json', source: `${JSON.stringify(listModels(FOLDER), null, 2)}\n` });
    },
  };
}
