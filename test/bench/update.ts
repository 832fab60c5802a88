// How long it takes to roll 100 replicas ten at a time over five hosts, and how many requests of a steady load are lost
// meanwhile: through the published port, and by the names of the tasks. Real daemons and containers on fresh clusters.
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { enterNamespace } from '../../worker/network/data-plane.ts'
import { type BenchCluster, seen, timed } from './cluster.ts'
import { measurement } from './figures.ts'
import { BenchChild } from './raft/child.ts'
import { type BenchContext, type BenchResult, sideBySide } from './side-by-side.ts'
import type { LoadAnswer, LoadQuestion, LoadTarget } from './update/load-process.ts'
import type { LoadCount } from './update/steady-load.ts'

/** A load during one update. */
export interface LoadFigure {
  readonly side: string
  readonly update: string
  readonly way: string
  readonly sent: number
  /** Undefined: it was not sent, `note` says why. */
  readonly lost: number | undefined
  readonly note: string
}

const replicas = 100
const parallelism = 10
const hosts = ['m1', 'm2', 'm3', 'w1', 'w2']
const orders = ['stop-first', 'start-first'] as const
const publishedPort = 8_080
/** Each way. Every request costs the two cores a few ms, as an answer is a script. */
const perSecond = 20

/** Measures on fresh clusters of three managers and two workers. */
export async function runUpdateBench(
  context: BenchContext,
): Promise<BenchResult & { readonly requests: readonly LoadFigure[] }> {
  const requests: LoadFigure[] = []
  const rounds = context.tries ?? 1
  const size = { managers: 3, workers: 2 }
  const result = await sideBySide('update', size, context, async (cluster, tell) => {
    const loads = await startService(cluster)
    try {
      for (const order of orders) {
        const times: number[] = []
        for (let round = 1; round <= rounds; round++) {
          const { ms, figures } = await underLoad(cluster, order, round, loads)
          times.push(ms)
          requests.push(...figures)
        }
        tell(
          measurement(`${replicas} replicas, ${parallelism} at a time, ${order}`, undefined, times),
        )
      }
    } finally {
      for (const { child } of loads) await child.end()
    }
  })
  return { ...result, requests }
}

interface Load {
  readonly way: string
  readonly to: LoadTarget
  readonly child: BenchChild
  /** Why it gets no answers at all. */
  readonly failure: string | undefined
}

async function startService(cluster: BenchCluster): Promise<readonly Load[]> {
  const network = ['--network', 'bench']
  const common = ['--detach', ...network, ...cluster.createFlags]
  await cluster.type('m1', 'network', 'create', '--driver', 'overlay', 'bench')
  const client = ['--name', 'client', '--constraint', 'node.hostname==m1']
  await cluster.type('m1', 'service', 'create', ...common, ...client, 'lab/hello')
  const web = [
    ...['--name', 'web', '--replicas', `${replicas}`, '--update-parallelism', `${parallelism}`],
    ...['--publish', `published=${publishedPort},target=80`],
  ]
  await cluster.type('m1', 'service', 'create', ...common, ...web, 'lab/hello')
  await cluster.onHost('m1', (api) =>
    seen(`${replicas} tasks run`, 100, async () => {
      const counts = [await api.runningCount('web'), await api.runningCount('client')]
      return counts[0] === replicas && counts[1] === 1
    }),
  )
  const addresses = hosts.map((host) => cluster.address(host))
  const inClient = enterNamespace(`/proc/${await cluster.taskPid('m1', 'client')}/ns/net`)
  return [
    await startLoad('published port', { hosts: addresses, port: publishedPort }, []),
    await startLoad(
      'names',
      { hosts: ['tasks.web'], port: 80, nameServer: '127.0.0.11' },
      inClient,
    ),
  ]
}

/** A try may come before every node leads to the tasks. */
const triesMax = 20
const triesGapMs = 500

async function startLoad(way: string, to: LoadTarget, enter: readonly string[]): Promise<Load> {
  const child = new BenchChild('../update/load-process.js', enter)
  let failure: string | undefined
  for (let tries = 0; tries < triesMax; tries++) {
    if (tries > 0) await wait(systemClock, triesGapMs)
    const answer = await ask(child, { kind: 'try', to })
    failure = 'failure' in answer ? answer.failure : undefined
    if (failure === undefined) break
  }
  return { way, to, child, failure }
}

function ask(child: BenchChild, question: LoadQuestion): Promise<LoadAnswer> {
  return child.ask<LoadAnswer>(question)
}

async function underLoad(
  cluster: BenchCluster,
  order: string,
  round: number,
  loads: readonly Load[],
): Promise<{ readonly ms: number; readonly figures: readonly LoadFigure[] }> {
  await eachAnswering(loads, ({ child, to }) => ask(child, { kind: 'start', to, perSecond }))
  const ms = await timed(() => update(cluster, order, `${order}-${round}`))
  const counts = await eachAnswering(loads, ({ child }) => ask(child, { kind: 'end' }))
  const figures = loads.map((load, at) => loadFigure(cluster.side, order, load, counts[at]))
  return { ms, figures }
}

async function eachAnswering(
  loads: readonly Load[],
  fn: (load: Load) => Promise<LoadAnswer>,
): Promise<readonly (LoadAnswer | undefined)[]> {
  return await Promise.all(loads.map((one) => (one.failure === undefined ? fn(one) : undefined)))
}

/** Until the update is told to be completed: that is a monitor time of five seconds after the last task, on both sides. */
async function update(cluster: BenchCluster, order: string, message: string): Promise<void> {
  const change = ['--update-order', order, '--env-add', `MESSAGE=${message}`]
  const flags = ['--detach', ...cluster.createFlags, ...change]
  await cluster.type('m1', 'service', 'update', ...flags, 'web')
  await cluster.onHost('m1', async (api) => {
    await seen('the update is completed', 100, async () => {
      const state = await api.updateState('web')
      if (state === 'paused') throw new Error(`${cluster.side}: the update to ${message} is paused`)
      return state === 'completed'
    })
    await seen('all run', 100, async () => (await api.runningCount('web')) === replicas)
  })
}

/** What a load says of itself, as a row. Pure. */
export function loadFigure(
  side: string,
  update: string,
  { way, failure }: Pick<Load, 'way' | 'failure'>,
  answer: LoadAnswer | undefined,
): LoadFigure {
  if (answer === undefined || !('sent' in answer)) {
    return { side, update, way, sent: 0, lost: undefined, note: `no answer: ${failure ?? ''}` }
  }
  const { sent, lost }: LoadCount = answer
  const reasons = Object.entries(lost).map(([why, times]) => `${times} ${why}`)
  const total = Object.values(lost).reduce((sum, times) => sum + times, 0)
  return { side, update, way, sent, lost: total, note: reasons.join(', ') }
}
