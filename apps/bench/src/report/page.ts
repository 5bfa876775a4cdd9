/**
 * The report as one self-contained HTML page: a chart per number of processors, the claims, the environment and the raw
 * data. No script, no font and no style comes from elsewhere.
 */
import type { Claim } from '../cli/document.ts';
import type { Environment } from '../cli/environment.ts';
import { formatNumber } from '../cli/table.ts';
import type { PostmarkOptions } from '../postmark/options.ts';
import type { Cell } from './cell.ts';

export interface ReportContent {
  readonly environment: Environment;
  readonly options: PostmarkOptions;
  readonly cells: readonly Cell[];
  readonly claims: readonly Claim[];
  /** The whole JSON document. */
  readonly document: object;
}

const CHART = { width: 720, label: 110, numbers: 210, row: 34, bar: 18 };

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd }
.number { text-align: right; font-variant-numeric: tabular-nums } .no { color: #b00020; font-weight: 600 }
svg { width: 100%; height: auto } rect { fill: #4c78a8 } rect.plain { fill: #aaa } line { stroke: #222; stroke-width: 1.5 }
circle { fill: #fff; stroke: #222 } text { font-size: 13px } pre { overflow: auto; max-height: 30rem; background: #f6f6f6; padding: 1rem }
`;

export function renderPage(content: ReportContent): string {
  const { environment, options, cells, claims, document } = content;
  const processors = [...new Set(cells.map((cell) => cell.processors))];
  const charts = processors.map((count) => {
    const title = `${count} processor${count === 1 ? '' : 's'}`;
    return `<h2>${title}</h2>\n${chart(cells.filter((cell) => cell.processors === count))}`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>K42 for Node: PostMark</title>
<style>${STYLE}</style>
<h1>PostMark: who wins, and by how much</h1>
<p>One instance per processor, ${formatNumber(options.number)} files and ${formatNumber(options.transactions)} transactions
each, on ${escapeHtml(environment.files?.filesystem ?? 'unknown')}. The bar is the median of ${cells[0]?.samples.length ?? 0} interleaved
repeats, the line reaches from the least to the greatest, each circle is one repeat. Transactions per second of all
instances together: <strong>higher is better</strong>. The factor is the ratio to <em>plain</em> (node:fs directly) within
a repeat: median, and from the least to the greatest.</p>
${charts.join('\n')}
<h2>Claims</h2>
<table><tr><th>claim<th>value<th>target<th>spread<th>holds</tr>
${claims.map(claimRow).join('\n')}
</table>
<h2>Environment</h2>
<table>
${Object.entries(environment).map(environmentRow).join('\n')}
</table>
<h2>Raw data</h2>
<details><summary>the JSON document, every run in it (also in results.json)</summary>
<pre>${escapeHtml(JSON.stringify(document, null, 1))}</pre></details>
</html>
`;
}

function chart(cells: readonly Cell[]): string {
  const { width, label, numbers, row } = CHART;
  const scale = (width - label - numbers) / Math.max(1, ...cells.flatMap((cell) => cell.samples));
  const rows = cells.map((cell, index) => chartRow(cell, index * row, scale));
  const names = cells.map((cell) => `${cell.mode} ${formatNumber(cell.throughput.median)}`).join(', ');
  return `<svg viewBox="0 0 ${width} ${cells.length * row}" role="img" aria-label="${escapeHtml(names)}">${rows.join('')}</svg>`;
}

function chartRow(cell: Cell, top: number, scale: number): string {
  const { width, label, numbers, row, bar } = CHART;
  const middle = top + row / 2;
  const x = (value: number): string => (label + value * scale).toFixed(1);
  const { min, median, max } = cell.throughput;
  const ratio = cell.ratioToPlain;
  const factor = ratio ? `${two(ratio.median)} x (${two(ratio.min)} to ${two(ratio.max)})` : '';
  const circles = cell.samples.map((sample) => `<circle cx="${x(sample)}" cy="${middle}" r="2.5"/>`);
  return [
    `<text x="0" y="${middle + 4}">${escapeHtml(cell.mode)}</text>`,
    `<rect class="${cell.mode}" x="${label}" y="${middle - bar / 2}" width="${(median * scale).toFixed(1)}" height="${bar}"/>`,
    `<line x1="${x(min)}" x2="${x(max)}" y1="${middle}" y2="${middle}"/>`,
    ...circles,
    `<text x="${width - numbers + 12}" y="${middle + 4}">${formatNumber(median)} tps  ${factor}</text>`,
  ].join('');
}

function claimRow({ statement, value, unit, target, direction, spread, holds }: Claim): string {
  const range = spread ? `${compact(spread.min)} to ${compact(spread.max)} (${spread.samples})` : '';
  const verdict = target === null ? '<td>' : holds ? '<td>yes' : '<td class="no">no';
  const wanted = target === null ? 'none yet' : `${direction} ${compact(target)}`;
  return (
    `<tr><td>${escapeHtml(statement)}<td class="number">${compact(value)} ${escapeHtml(unit)}` +
    `<td class="number">${wanted}<td class="number">${range}${verdict}</tr>`
  );
}

function environmentRow([key, value]: [string, unknown]): string {
  const text = typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
  return `<tr><td>${escapeHtml(key)}<td>${escapeHtml(text)}</tr>`;
}

function two(value: number): string {
  return formatNumber(value, 2);
}

function compact(value: number): string {
  return Number.isInteger(value) ? formatNumber(value) : two(value);
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
