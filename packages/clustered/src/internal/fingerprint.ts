/**
 * A number that tells two definitions of one name apart: 32-bit FNV-1a of the definition as JSON.
 *
 * It is made of what is declared, not of source text, which differs between threads that load the same module in
 * different ways.
 */
export function fingerprint(definition: unknown): number {
  let hash = 0x811c9dc5;
  for (const char of JSON.stringify(definition))
    hash = Math.imul(hash ^ (char.codePointAt(0) as number), 0x01000193);
  return hash | 0;
}
