/**
 * The modes PostMark runs in: three ways to go through our file cache, and one around it.
 */

/** Through our file cache: every file managed by the shared manager, by the distributed one, or swapped between them. */
export const CACHE_MODES = ['shared', 'distributed', 'hotswap'] as const;

/** `plain` is `node:fs` directly, the baseline. */
export const MODES = ['shared', 'distributed', 'hotswap', 'plain'] as const;

export type Mode = (typeof MODES)[number];
