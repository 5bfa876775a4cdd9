/**
 * Few objects and many: what the repeats on the processor have found, as rows and claims.
 */
import { measuredClaim } from '../../cli/document.ts';
import { formatNumber } from '../../cli/table.ts';
import { type Finding, type Row, ratios, row } from '../../measure/finding.ts';
import { ORDERS, type Order, WAYS, type Way } from '../../objects/calls.ts';
import { STEPS, type Step } from '../../objects/life.ts';
import type { MemoryUse } from '../../objects/memory.ts';
import type { PopulationTimes, StageSamples } from '../../objects/populations.ts';
import { onMachine } from '../../onMachine.ts';
import type { ObjectsSizes } from './sizes.ts';

type Program = typeof import('../../objects.ts');

const WORKER = 1;
const GROWTH_MAX = 1.5;

export async function measurePopulations(sizes: ObjectsSizes): Promise<Finding> {
  const repeats: PopulationTimes[] = [];
  for (let repeat = 0; repeat < sizes.repeats; repeat++) {
    const times = await onMachine<Program, PopulationTimes>(
      { processors: 2, program: 'objects' },
      (program) => program.run(WORKER, 'measurePopulations', [sizes]),
    );
    repeats.push(times);
  }
  return judge(sizes, repeats);
}

/** @param repeats at least one */
export function judge(sizes: ObjectsSizes, repeats: readonly PopulationTimes[]): Finding {
  const [few, many] = [repeats.map((times) => times.few), repeats.map((times) => times.many)];
  const rows = [
    ...describeStage(sizes.few, sizes, few),
    ...describeStage(sizes.many, sizes, many),
    ...describeGrowth(few, many),
    ...describeBulk(sizes, repeats),
    ...describeMemory(repeats),
  ];
  const faults = repeats.flatMap(({ left: { objects, reps, bytes } }) => {
    if (objects === 0 && reps === 0 && bytes === 0) return [];
    return [`${objects} objects, ${reps} Reps and ${bytes} bytes are left when all are destroyed`];
  });
  return { rows, claims: claims(sizes, few, many), faults };
}

const STEP_NAMES: Record<Step, string> = {
  create: 'create',
  handle: 'handle, made',
  firstCall: 'first call',
  destroy: 'destroy',
};

const WAY_NAMES: Record<Way, string> = {
  handle: 'call through handles',
  dref: 'call by DREF',
  plain: 'call on plain objects',
};

/** All samples of one size, repeat after repeat. */
type Stages = readonly StageSamples[];

function lifeSamples(stages: Stages, step: Step): number[] {
  return stages.flatMap(({ life }) => life.map((times) => times[step]));
}

function callSamples(stages: Stages, order: Order, way: Way): number[] {
  return stages.flatMap(({ calls }) => calls[order][way]);
}

function describeStage(existing: number, sizes: ObjectsSizes, stages: Stages): Row[] {
  const measure = `with ${formatNumber(existing)} objects`;
  const oneByOne = stages.flatMap(({ destroyOneByOne }) => destroyOneByOne);
  return [
    ...STEPS.map((step) => {
      const together = step === 'destroy' ? `, ${formatNumber(sizes.cycleObjects)} together` : '';
      return row(
        measure,
        `${STEP_NAMES[step]}${together}`,
        'per s',
        lifeSamples(stages, step).map(perSecond),
      );
    }),
    row(measure, 'destroy, one at a time', 'per s', oneByOne.map(perSecond)),
    ...ORDERS.flatMap((order) =>
      WAYS.map((way) =>
        row(measure, `${WAY_NAMES[way]}, ${order} order`, 'ns', callSamples(stages, order, way)),
      ),
    ),
  ];
}

function perSecond(nanoseconds: number): number {
  return 1e9 / nanoseconds;
}

function describeGrowth(few: Stages, many: Stages): Row[] {
  const measure = 'many over few';
  return [
    ...STEPS.map((step) => row(measure, STEP_NAMES[step], 'x', lifeGrowth(few, many, step))),
    ...ORDERS.flatMap((order) => [
      ...WAYS.map((way) =>
        row(measure, `${WAY_NAMES[way]}, ${order} order`, 'x', callGrowth(few, many, order, way)),
      ),
      ...WAYS.filter((way) => way !== 'plain').map((way) =>
        row(
          measure,
          `${WAY_NAMES[way]}, over plain objects, ${order} order`,
          'x',
          overPlain(few, many, order, way),
        ),
      ),
    ]),
  ];
}

function lifeGrowth(few: Stages, many: Stages, step: Step): number[] {
  return ratios(lifeSamples(many, step), lifeSamples(few, step));
}

function callGrowth(few: Stages, many: Stages, order: Order, way: Way): number[] {
  return ratios(callSamples(many, order, way), callSamples(few, order, way));
}

/** Without what the machine's caches do to plain objects too. */
function overPlain(few: Stages, many: Stages, order: Order, way: Way): number[] {
  return ratios(callGrowth(few, many, order, way), callGrowth(few, many, order, 'plain'));
}

function describeBulk({ few, many, batch }: ObjectsSizes, repeats: readonly PopulationTimes[]): Row[] {
  const measure = `from ${formatNumber(few)} to ${formatNumber(many)} objects, and to none`;
  return STEPS.map((step) => {
    const together = step === 'destroy' ? `, ${formatNumber(batch)} together` : '';
    const samples = repeats.map(({ bulk }) => perSecond(bulk[step]));
    return row(measure, `${STEP_NAMES[step]}${together}`, 'per s', samples);
  });
}

const USES = {
  heap: 'heap',
  machine: 'machine memory',
  reserved: 'machine memory set aside',
} as const satisfies Record<keyof MemoryUse, string>;

function describeMemory(repeats: readonly PopulationTimes[]): Row[] {
  const of = (state: string, uses: readonly MemoryUse[]): Row[] =>
    (['heap', 'machine', 'reserved'] as const).map((kind) => {
      const samples = uses.map((use) => use[kind]);
      return row('memory per object', `${state}, ${USES[kind]}`, 'bytes', samples);
    });
  const [created, handled, called] = [
    repeats.map((times) => times.created),
    repeats.map((times) => times.handled),
    repeats.map((times) => times.called),
  ];
  return [...of('created', created), ...of('with a handle', handled), ...of('called', called)];
}

function claims(sizes: ObjectsSizes, few: Stages, many: Stages): Finding['claims'] {
  const [fewObjects, manyObjects] = [formatNumber(sizes.few), formatNumber(sizes.many)];
  const spread = `(lower is better; median and spread over samples, ${sizes.samples} on each of ${sizes.repeats} machines)`;
  return [
    measuredClaim(
      'objects.call-growth',
      `Time of a call through handles of ${manyObjects} objects in turn over that of ${fewObjects}, divided by the same ` +
        `ratio of the same loop over plain objects of the same class, in the order of their creation ${spread}`,
      overPlain(few, many, 'creation', 'handle'),
      'ratio',
      'at most',
      GROWTH_MAX,
    ),
    measuredClaim(
      'objects.create-growth',
      `Time of a create when ${manyObjects} objects exist over that when ${fewObjects} exist ${spread}`,
      lifeGrowth(few, many, 'create'),
      'ratio',
      'at most',
      GROWTH_MAX,
    ),
  ];
}
