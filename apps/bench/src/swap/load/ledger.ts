/**
 * The ledger: what became of every call that was made under load.
 *
 * Each caller numbers its calls from 0. Its page tells which of them ran, in the order in which they ran, whoever ran them;
 * which answer each call got, and how often; and how many calls the object itself counts in the end, in the state that went
 * through all swaps. From that, and from nothing that the swaps report, it is seen whether a call was lost, ran twice, ran
 * out of order, got another's answer or failed, and whether state was.
 */

export interface Page {
  readonly caller: string;
  /** Calls made: their numbers are 0, 1, ... below it. */
  made: number;
  /** Numbers of the calls that ran, in that order. */
  readonly ran: number[];
  /** For each answer that a caller got, the number of its call and the number that the answer names. */
  readonly answers: (readonly [call: number, answer: number])[];
  /** What calls failed with. */
  readonly failures: string[];
  /** Beginnings and ends of calls on an object that had been replaced. */
  misdirected: number;
  /** What the object counts at the end. */
  counted: number;
}

export interface Wrongs {
  lost: number;
  doubled: number;
  reordered: number;
  misdirected: number;
  failed: number;
  /** By how much the counts that the object carries are off. */
  miscounted: number;
}

export function emptyPage(caller: string): Page {
  return { caller, made: 0, ran: [], answers: [], failures: [], misdirected: 0, counted: 0 };
}

/** What is wrong on a page. */
export function auditPage(page: Page): Wrongs {
  const runs = occurrences(page.made, page.ran);
  const answers = occurrences(
    page.made,
    page.answers.map(([call]) => call),
  );
  // A call that ran without an answer is lost to its caller; a failed one has had its answer.
  const unanswered = answers.missing - page.failures.length;
  let reordered = 0;
  for (let next = 1; next < page.ran.length; next++)
    if ((page.ran[next] as number) < (page.ran[next - 1] as number)) reordered++;
  const strange = runs.strange + answers.strange;
  const exchanged = page.answers.filter(([call, answer]) => call !== answer).length;
  return {
    lost: Math.max(runs.missing, unanswered),
    doubled: Math.max(runs.repeated, answers.repeated),
    reordered,
    misdirected: page.misdirected + exchanged + strange,
    failed: page.failures.length,
    miscounted: Math.abs(page.counted - page.made),
  };
}

/** How many of the numbers below `made` do not occur, how many occur again, and how many others there are. */
function occurrences(
  made: number,
  numbers: readonly number[],
): { missing: number; repeated: number; strange: number } {
  const seen = new Set<number>();
  let [repeated, strange] = [0, 0];
  for (const number of numbers) {
    if (!Number.isInteger(number) || number < 0 || number >= made) strange++;
    else if (seen.has(number)) repeated++;
    else seen.add(number);
  }
  return { missing: made - seen.size, repeated, strange };
}

export function sumOfWrongs(wrongs: Wrongs): number {
  return Object.values(wrongs).reduce((sum: number, count: number) => sum + count, 0);
}

/** What is wrong in a whole ledger, in words: a line per page that is not as it must be. */
export function ledgerFaults(where: string, pages: readonly Page[]): string[] {
  return pages.flatMap((page) => {
    const wrongs = auditPage(page);
    if (sumOfWrongs(wrongs) === 0) return [];
    const counts = Object.entries(wrongs).filter(([, count]) => count !== 0);
    const words = counts.map(([what, count]) => `${count} ${what}`).join(', ');
    const first = page.failures[0] === undefined ? '' : ` (${page.failures[0]})`;
    return [`${where}, ${page.caller}: of ${page.made} calls ${words}${first}`];
  });
}
