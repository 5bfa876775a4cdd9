/**
 * Where the entries of this package are: all of them lie beside this file, as sources and bundled.
 */
import { extname } from 'node:path';

/** An entry by its name, which is that of its file without its ending. */
export function entryUrl(name: string): URL {
  return new URL(`./${name}${extname(import.meta.url)}`, import.meta.url);
}
