// What `turbo boundaries` does not see of the layering; see bin/boundaries.mjs.
//
// A module can be named in more places than import statements, and each new way to name one would be a hole. So the check
// turns it round: whatever string literal of a source file names a package of this workspace, or is a relative path into
// another package, counts as a reference, wherever it stands. Every reference must be to a dependency the manifest
// declares, and to what that dependency exports; and the manifest may only declare what the tags in turbo.json allow.
// Not seen: a name put together at run time. Those are for loading what a user names, and for that only.
import * as fs from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { parseSync, Visitor } from 'oxc-parser';

/**
 * @typedef {{ name: string, exports?: Record<string, unknown>, [section: string]: unknown }} Manifest
 * @typedef {{ name: string, directory: string, manifest: Manifest, tags: string[] }} Member
 * @typedef {{ root: string, packages: Map<string, Member>, allowed: Map<string, string[]> }} Workspace
 * @typedef {{ specifier: string, line: number, imported: boolean }} Reference
 */

const SHIPPED = ['dependencies', 'peerDependencies', 'optionalDependencies'];
const ALL = [...SHIPPED, 'devDependencies'];
const CHECKED_FILES = '**/{*.{ts,tsx,mts,cts,js,jsx,mjs,cjs},package.json,tsconfig*.json}';
const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', 'coverage', '.turbo', '.vitest']);

/** @param {string} file */
const readJson = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));

/**
 * Reads the packages, their tags and the rules about tags.
 *
 * @param {string} start a directory in the workspace
 * @returns {Workspace}
 */
export function readWorkspace(start) {
  let root = start;
  while (!fs.existsSync(join(root, 'pnpm-workspace.yaml'))) {
    if (root === dirname(root)) throw new Error(`${start} is not in a pnpm workspace`);
    root = dirname(root);
  }
  const packages = new Map();
  for (const file of fs.globSync('{packages,apps}/*/package.json', { cwd: root })) {
    const directory = join(root, dirname(file));
    const manifest = readJson(join(root, file));
    const settings = join(directory, 'turbo.json');
    const tags = fs.existsSync(settings) ? (readJson(settings).tags ?? []) : [];
    packages.set(manifest.name, { name: manifest.name, directory, manifest, tags });
  }
  /** @type {Record<string, { dependencies: { allow: string[] } }>} */
  const rules = readJson(join(root, 'turbo.json')).boundaries.tags;
  const allowed = new Map(Object.entries(rules).map(([tag, { dependencies }]) => [tag, dependencies.allow]));
  return { root, packages, allowed };
}

/**
 * What is wrong with the dependencies a package declares.
 *
 * @param {Member} member
 * @param {Workspace} workspace
 * @returns {string[]}
 */
export function checkManifest({ name, manifest, tags }, { packages, allowed }) {
  const [tag] = tags;
  if (tags.length !== 1 || tag === undefined || !allowed.has(tag)) {
    return [`${name}: its turbo.json must give it one tag that has a rule in the turbo.json of the root`];
  }
  return declared(manifest, ALL)
    .filter((dependency) => packages.has(dependency))
    .filter(
      (dependency) => !packages.get(dependency)?.tags.every((other) => allowed.get(tag)?.includes(other)),
    )
    .map((dependency) => `${name}: package.json declares ${dependency}, which ${name} may not depend on`);
}

/**
 * What is wrong with the references in the files of a package, or of one folder in it.
 *
 * @param {Member} member
 * @param {Workspace} workspace
 * @param {string} folder
 * @returns {string[]}
 */
export function checkFiles(member, workspace, folder = '.') {
  const problems = [];
  const exclude = (/** @type {string} */ path) => SKIPPED_FOLDERS.has(path.split(sep).at(-1) ?? '');
  for (const path of fs.globSync(CHECKED_FILES, { cwd: join(member.directory, folder), exclude })) {
    const file = join(member.directory, folder, path);
    for (const { line, ...reference } of references(file)) {
      const wrong = judge(reference, file, member, workspace);
      if (wrong)
        problems.push(`${relative(workspace.root, file)}:${line}: '${reference.specifier}' ${wrong}`);
    }
  }
  return problems;
}

/**
 * @param {Omit<Reference, 'line'>} reference
 * @param {string} file
 * @param {Member} member
 * @param {Workspace} workspace
 * @returns {string | undefined} what is wrong with it
 */
function judge({ specifier, imported }, file, member, { packages }) {
  if (/^\.\.?(\/|$)/.test(specifier) || specifier.startsWith('/')) {
    const target = resolve(dirname(file), specifier);
    if (within(member.directory, target)) return undefined;
    const other = [...packages.values()].find(({ directory }) => within(directory, target));
    return other || imported ? `leaves the package${other ? ` for ${other.name}` : ''}` : undefined;
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  const sibling = packages.get(name);
  if (!sibling && (!imported || specifier.startsWith('#') || isBuiltin(specifier))) return undefined;

  const inSource = within(join(member.directory, 'src'), file);
  if (name !== member.name && !declared(member.manifest, inSource ? SHIPPED : ALL).includes(name)) {
    return `is not among the ${inSource ? 'dependencies' : 'dependencies or devDependencies'} of ${member.name}`;
  }
  if (sibling && specifier !== name && !sibling.manifest.exports?.[`.${specifier.slice(name.length)}`]) {
    return `is not exported by ${name}`;
  }
  return undefined;
}

/**
 * All string literals of a file, and which of them stand where only a module's name can.
 *
 * @param {string} file
 * @returns {Reference[]}
 */
function references(file) {
  const text = fs.readFileSync(file, 'utf8');
  // JSON (with comments, in a tsconfig) is an expression of JavaScript: on the same line, with a prefix of its own.
  const [source, name] = file.endsWith('.json') ? [`(${text})`, `${file}.js`] : [text, file];
  const { program, comments, errors } = parseSync(name, source);
  if (errors.some(({ severity }) => severity === 'Error')) throw new Error(`${file}: ${errors[0]?.message}`);

  const line = (/** @type {number} */ offset) => source.slice(0, offset).split('\n').length;
  /** @type {Map<number, Reference>} */
  const found = new Map();
  const add = (/** @type {any} */ node, imported = false) => {
    const specifier = node?.type === 'TemplateLiteral' ? node.quasis[0].value.cooked : node?.value;
    if (typeof specifier !== 'string' || node.expressions?.length > 0) return;
    found.set(node.start, {
      specifier,
      line: line(node.start),
      imported: imported || !!found.get(node.start)?.imported,
    });
  };
  const addSource = (/** @type {any} */ node) => add(node.source, true);

  new Visitor({
    Literal: (node) => add(node),
    TemplateLiteral: (node) => add(node),
    ImportDeclaration: addSource,
    ExportAllDeclaration: addSource,
    ExportNamedDeclaration: addSource,
    ImportExpression: addSource,
    TSImportType: addSource,
    TSExternalModuleReference: (node) => add(node.expression, true),
  }).visit(program);

  for (const { value, start } of comments) {
    const specifier = /^\/\s*<reference\s+(?:path|types)=["'](.+?)["']/.exec(value)?.[1];
    if (specifier) found.set(start, { specifier, line: line(start), imported: true });
  }
  return [...found.values()];
}

/**
 * @param {Manifest} manifest
 * @param {string[]} sections
 */
const declared = (manifest, sections) => sections.flatMap((section) => Object.keys(manifest[section] ?? {}));

/**
 * @param {string} directory
 * @param {string} path
 */
const within = (directory, path) => path === directory || path.startsWith(directory + sep);
