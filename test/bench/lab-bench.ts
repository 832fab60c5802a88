// What the benchmarks on a lab share: a fresh lab, services by way of the API, medians, and whether a peer is there.
// Not for benchmarks without daemons (scheduler.ts, raft.ts).
import { setMaxListeners } from 'node:events'
import { existsSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { withDaemon } from '../../cli/lab/lab.ts'
import { serviceSpecToProto } from '../../proto/codec/service.ts'
import { SwarmError } from '../../proto/errors.ts'
import {
  ControlService,
  type CreateServiceRequest,
  type TaskView,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { TaskState } from '../../proto/gen/tsswarm/v1/objects.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { newId } from '../../proto/lib/ids.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { serviceSpec } from '../../proto/spec/service-spec.ts'
import { TestLab, type TestLabOptions } from '../support/test-lab.ts'

/** A client of one daemon, as withDaemon hands it out. */
export type LabClient = Parameters<Parameters<typeof withDaemon>[3]>[0]

export interface LabFigure {
  readonly what: string
  /** Median of the rounds. */
  readonly ms: number
  readonly goalMs: number | undefined
  /** Every round, shortest first. */
  readonly roundsMs: string
}

export interface LabBenchResult {
  /** Load is the one-minute average at the start: other work on the machine lengthens every figure. */
  readonly machine: { readonly cpus: number; readonly load: number }
  readonly peer: string
  readonly figures: readonly LabFigure[]
}

/** Runs measure on a lab of its own, which is removed afterwards. Errors: FAILED_PRECONDITION before `npm run build`. */
export async function onFreshLab(
  name: string,
  options: TestLabOptions,
  measure: (lab: TestLab) => Promise<readonly LabFigure[]>,
): Promise<LabBenchResult> {
  if (!existsSync('dist/tsswarm.js')) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `benchmark ${name}: dist/tsswarm.js is missing: run \`npm run build\` first, in the repository`,
    )
  }
  const machine = { cpus: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
  const peer = await peerState()
  const lab = await TestLab.up(`bench-${name}`, options)
  // Every open call listens to it, and the benchmarks bound their calls themselves.
  setMaxListeners(0, lab.deps.signal)
  try {
    return { machine, peer, figures: await measure(lab) }
  } finally {
    await lab.down()
  }
}

async function peerState(): Promise<string> {
  const { code } = await runCommand(['dockerd', '--version'])
  return code === 0 ? 'installed, not measured by this benchmark' : 'not installed'
}

/** Runs fn with a client of the host's daemon. */
export function onHost<T>(
  lab: TestLab,
  host: string,
  fn: (client: LabClient) => Promise<T>,
): Promise<T> {
  return withDaemon(lab.deps, lab.record, host, fn)
}

/** A figure of rounds in ms; needs one at least. */
export function figure(
  what: string,
  goalMs: LabFigure['goalMs'],
  rounds: readonly number[],
): LabFigure {
  const sorted = rounds.map(Math.round).sort((a, b) => a - b)
  return { what, ms: sorted[sorted.length >> 1] ?? Number.NaN, goalMs, roundsMs: sorted.join(' ') }
}

/** Calls fn so often, one call after the other. */
export async function rounds<T>(count: number, fn: (round: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let round = 0; round < count; round++) results.push(await fn(round))
  return results
}

/** ms that fn took. */
export async function timed(fn: () => Promise<unknown>): Promise<number> {
  const startMs = systemClock.monotonicMs()
  await fn()
  return systemClock.monotonicMs() - startMs
}

/** A request for a service of lab/hello, with a request id of its own. */
export function createRequest(name: string, replicas: number): CreateServiceRequest {
  const spec = serviceSpec.parse({
    name,
    mode: { kind: 'replicated', replicas },
    task: { container: { image: 'lab/hello' } },
  })
  return { requestId: newId(systemRandom), spec: serviceSpecToProto(spec) }
}

/** Tasks of all services that run and shall run. */
export async function runningTasks(client: LabClient): Promise<readonly TaskView[]> {
  const { tasks } = await client.call(ControlService.listTasks, { filters: [] })
  return tasks.filter(
    ({ task }) => task?.state === TaskState.RUNNING && task.desiredState === TaskState.RUNNING,
  )
}

/** Removes the services and waits until nothing of their tasks is left. */
export async function removeServices(lab: TestLab, ...names: readonly string[]): Promise<void> {
  await lab.cli('m1', 'service', 'rm', ...names)
  await onHost(lab, 'm1', (client) =>
    lab.until(
      'all tasks are gone',
      async () => (await client.call(ControlService.listTasks, { filters: [] })).tasks.length === 0,
      120_000,
    ),
  )
}

/** Looks until fn is true, every gapMs; costs what fn costs. Errors: DEADLINE_EXCEEDED after two minutes. */
export async function seen(what: string, gapMs: number, fn: () => Promise<boolean>): Promise<void> {
  const endsAtMs = systemClock.monotonicMs() + 120_000
  while (!(await fn())) {
    if (systemClock.monotonicMs() > endsAtMs) {
      throw new SwarmError('DEADLINE_EXCEEDED', `not within two minutes: ${what}`)
    }
    await wait(systemClock, gapMs)
  }
}
