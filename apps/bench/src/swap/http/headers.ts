/**
 * What an answer says in its headers, by name. The process that makes the load reads them, and loads nothing of K42.
 */
export const HEADER = {
  SERVER: 'x-server',
  SESSION: 'x-session',
  COUNT: 'x-count',
  ERROR: 'x-error',
} as const;
