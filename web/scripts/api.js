/** The API reference, `API.md`, from the compiled types: everything that `index.d.ts` exports, and what that refers to. `npm run api` writes it. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const DIST = new URL('../dist/', import.meta.url);
export const API = new URL('../API.md', import.meta.url);

const INTRODUCTION = `# API of \`clinicalbert\`

Written from the types by \`npm run api\`; [README.md](README.md) shows how it is used.
`;

/** Statements of a file: `{doc, code}`, in their order. A statement ends where all its brackets are closed. */
function statements(text) {
  const found = [];
  let [doc, code, depth] = ['', '', 0];
  for (const line of text.split('\n')) {
    const isComment = /^\s*(\/\*\*|\*)/.test(line);
    if (code === '' && isComment) {
      doc = line.startsWith('/**') ? line : `${doc}\n${line}`;
      continue;
    }
    if (code === '' && line.trim() === '') continue;
    code += `${line}\n`;
    if (isComment) continue;
    const bare = line.replace(/\/\*.*?\*\/|'[^']*'/g, '').replaceAll('=>', '');
    for (const character of bare) depth += '{(['.includes(character) ? 1 : '})]'.includes(character) ? -1 : 0;
    if (depth > 0 || !/[;}]\s*$/.test(line)) continue;
    found.push({ doc, code: code.trimEnd() });
    [doc, code] = ['', ''];
  }
  // What stands above imports is said of the file.
  if (found[0] !== undefined && /^(import|export) /.test(found[0].code) && found[0].code.includes(' from ')) found[0].doc = '';
  return found;
}

/** A compiled file: its declarations by name, and where its imported names come from: `{from, name}`. */
async function read(file) {
  const [declared, imported, exported] = [new Map(), new Map(), []];
  for (const { doc, code } of statements(await readFile(new URL(file, DIST), 'utf8'))) {
    const [, kind, list, from] = /^(import|export)(?: type)? \{([^}]*)\} from '(.*)\.js';$/s.exec(code) ?? [];
    if (kind !== undefined) {
      for (const item of list.split(',').filter((item) => item.trim() !== '')) {
        const [name, alias = name] = item.trim().replace(/^type /, '').split(' as ');
        const entry = { from: new URL(`${from}.d.ts`, new URL(file, DIST)).href.slice(DIST.href.length), name, doc };
        if (kind === 'import') imported.set(alias, entry);
        else exported.push({ ...entry, alias });
      }
      continue;
    }
    const name = /^(?:export )?(?:declare )?(?:abstract )?(?:class|function|const|interface|type) (\w+)/.exec(code)?.[1];
    // Overloads of a function have one name.
    if (name !== undefined) declared.set(name, [...(declared.get(name) ?? []), { doc, code }]);
  }
  return { declared, imported, exported };
}

/** The text of the reference. */
export async function reference() {
  const files = new Map();
  const open = async (file) => {
    if (!files.has(file)) files.set(file, await read(file));
    return files.get(file);
  };
  const seen = new Set();
  const sections = [];
  const add = async ({ from, name, alias = name, doc = '' }, level) => {
    if (seen.has(`${from} ${name}`)) return;
    seen.add(`${from} ${name}`);
    const { declared, imported } = await open(from);
    const own = declared.get(name);
    if (own === undefined) throw new Error(`${from} declares no ${name}`);
    const code = own.map((one, index) => (index > 0 && one.doc ? `${one.doc}\n` : '') + one.code.replace(/^export (declare )?/, '')).join('\n');
    const words = prose(doc) || prose(own[0].doc);
    sections.push({ level, alias, text: `### ${alias}\n\n${words ? `${words}\n\n` : ''}\`\`\`ts\n${code}\n\`\`\`\n` });
    for (const word of new Set(code.replace(/\/\*[\s\S]*?\*\//g, '').match(/\b[A-Z]\w+/g))) {
      const entry = imported.get(word) ?? (declared.has(word) ? { from, name: word } : undefined);
      if (entry !== undefined) later.push({ ...entry, doc: '' });
    }
  };
  const later = [];
  for (const entry of (await open('index.d.ts')).exported) await add(entry, 'exported');
  while (later.length > 0) await add(later.shift(), 'referred');
  const of = (level) => sections.filter((section) => section.level === level).map(({ text }) => text);
  return [INTRODUCTION, '## Exports\n', ...of('exported'), '## Types that these refer to\n', ...of('referred')].join('\n');
}

/** A comment's words. */
function prose(doc) {
  return doc.replace(/^\s*(\/\*\*|\*\/|\* ?)/gm, '').replace(/\s*\*\/$/, '').trim();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(API, await reference());
