// What is done to the service while clients ask it: updates, a drained node, scaling, lost managers. Not where (site.ts), nor how
// it is asked (load.ts).
import { systemClock } from '../../proto/lib/clock.ts'
import type { Generator, GeneratorResult } from './generator.ts'
import { type LossLoad, type LossSite, service, workerHost } from './site.ts'

export interface LossPlan {
  readonly replicas: number
  /** Scaled down to in between. */
  readonly fewer: number
  /** How often all tasks are replaced; the leader is killed in the middle of the one in the middle. */
  readonly rollings: number
  readonly load: LossLoad
}

/** What a step took, of all clients together. */
export interface StepResult {
  readonly name: string
  readonly seconds: number
  readonly sent: number
  readonly failed: number
  readonly retried: number
  /** Of the failed ones, so far. */
  readonly causes: Readonly<Record<string, number>>
}

export interface LossResult {
  readonly steps: readonly StepResult[]
  readonly clients: readonly GeneratorResult[]
}

interface Step {
  readonly name: string
  readonly act: () => Promise<void>
}

/** Runs all steps under load. `tell`: hears of each step when it is over. */
export async function runLoss(
  site: LossSite,
  plan: LossPlan,
  tell: (step: StepResult) => void = () => {},
): Promise<LossResult> {
  const generators = site.clients(plan.load)
  try {
    await site.lab.until('clients are answered', async () =>
      generators.every(({ line }) => (line?.answered.fresh ?? 0) > 0),
    )
    const results: StepResult[] = []
    for (const step of stepsOf(site, plan)) {
      const result = await measure(step, generators)
      tell(result)
      results.push(result)
    }
    return { steps: results, clients: await Promise.all(generators.map((one) => one.end())) }
  } finally {
    for (const generator of generators) generator.kill()
  }
}

/** How many requests were sent, failed and were asked again. */
export function sums(clients: readonly Pick<GeneratorResult, 'sent' | 'failed' | 'retried'>[]) {
  const all = (counts: Readonly<Record<string, number>>): number =>
    Object.values(counts).reduce((sum, n) => sum + n, 0)
  const sumOf = (key: 'sent' | 'failed' | 'retried'): number =>
    clients.reduce((sum, client) => sum + all(client[key]), 0)
  return { sent: sumOf('sent'), failed: sumOf('failed'), retried: sumOf('retried') }
}

async function measure(step: Step, generators: readonly Generator[]): Promise<StepResult> {
  const counted = () => sums(generators.flatMap(({ line }) => line ?? []))
  const before = counted()
  const startMs = systemClock.monotonicMs()
  await step.act()
  const after = counted()
  return {
    name: step.name,
    seconds: (systemClock.monotonicMs() - startMs) / 1000,
    sent: after.sent - before.sent,
    failed: after.failed - before.failed,
    retried: after.retried - before.retried,
    causes: Object.assign({}, ...generators.map(({ line }) => line?.failed)),
  }
}

function stepsOf(site: LossSite, { replicas, fewer, rollings }: LossPlan): readonly Step[] {
  const { lab } = site
  const middle = Math.floor(rollings / 2)
  return [
    ...Array.from({ length: rollings }, (_, i) =>
      i === middle
        ? { name: `replacement ${i + 1}, leader killed`, act: () => replaceWithout(site, replicas) }
        : { name: `replacement ${i + 1}`, act: () => replaceAll(site, replicas) },
    ),
    {
      name: `drain of ${workerHost}`,
      act: async () => {
        await lab.cli('m1', 'node', 'update', '--availability', 'drain', workerHost)
        await site.converged('m1', replicas, ({ node }) => node !== workerHost)
        await lab.cli('m1', 'node', 'update', '--availability', 'active', workerHost)
      },
    },
    ...[fewer, replicas].map((n) => ({
      name: `scale to ${n}`,
      act: async () => {
        await lab.cli('m1', 'service', 'scale', '--detach', `${service}=${n}`)
        await site.converged('m1', n)
      },
    })),
    { name: 'all managers killed, and started', act: () => withoutManagers(site, replicas) },
  ]
}

async function beginReplacing(site: LossSite, host: string): Promise<ReadonlySet<string>> {
  const before = await site.running(host)
  await site.lab.cli(host, 'service', 'update', '--detach', '--force', service)
  return new Set(before.map(({ id }) => id))
}

async function replaceAll(site: LossSite, replicas: number): Promise<void> {
  const old = await beginReplacing(site, 'm1')
  await site.converged('m1', replicas, ({ id }) => !old.has(id))
}

async function replaceWithout(site: LossSite, replicas: number): Promise<void> {
  const { lab } = site
  const leader = await lab.leader('m1')
  const other = ['m1', 'm2', 'm3'].find((host) => host !== leader) ?? ''
  const old = await beginReplacing(site, other)
  await lab.until(
    'some tasks are new',
    async () => {
      const tasks = await site.running(other)
      return tasks.filter(({ id }) => !old.has(id)).length >= Math.min(3, replicas / 2)
    },
    120_000,
  )
  await lab.kill(leader)
  await lab.leader(other)
  await lab.start(leader)
  await site.converged(other, replicas, ({ id }) => !old.has(id))
}

async function withoutManagers(site: LossSite, replicas: number): Promise<void> {
  const { lab } = site
  const managers = ['m1', 'm2', 'm3']
  for (const host of managers) await lab.kill(host)
  for (const host of managers) await lab.start(host)
  await lab.leader('m1')
  await site.converged('m1', replicas)
}
