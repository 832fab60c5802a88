// How long it takes from a host's network being cut until a manager tells it is down, and until its tasks run elsewhere.
// Three managers and two workers of fresh clusters, one worker cut a try and healed. Not the proof
// (test/e2e/cluster.test.ts).
import { systemClock } from '../../proto/lib/clock.ts'
import { type BenchClient, type BenchCluster, removeServices, rounds, seen } from './cluster.ts'
import { measurement } from './figures.ts'
import { type BenchContext, type BenchResult, sideBySide } from './side-by-side.ts'

export interface NodelossBenchOptions {
  /** Hosts cut. Default 3. */
  readonly tries?: number
}

interface Loss {
  readonly downMs: number
  readonly replacedMs: number
}

const lost = 'w2'
const replicas = 10
const gapMs = 20

/** Measures on fresh clusters of three managers and two workers. */
export async function runNodelossBench(
  context: BenchContext,
  { tries = 3 }: NodelossBenchOptions = {},
): Promise<BenchResult> {
  return await sideBySide(
    'nodeloss',
    { managers: 3, workers: 2 },
    context,
    async (cluster, tell) => {
      const losses = await rounds(tries, (round) => loseNode(cluster, `web-${round}`))
      const down = losses.map(({ downMs }) => downMs)
      const replaced = losses.map(({ replacedMs }) => replacedMs)
      tell(measurement('host cut off to seen down', 3_000, down))
      tell(measurement('host cut off to replacements running', 4_000, replaced))
    },
  )
}

async function loseNode(cluster: BenchCluster, name: string): Promise<Loss> {
  const loss = await cluster.onHost('m1', async (client) => {
    await client.createService(name, replicas)
    await seen('tasks run, some of them on the host to lose', gapMs, async () => {
      const hosts = await client.runningHosts()
      return hosts.length === replicas && hosts.includes(lost)
    })
    return await cutAndWatch(cluster, client)
  })
  await cluster.heal(lost)
  await removeServices(cluster, name)
  return loss
}

async function cutAndWatch(cluster: BenchCluster, client: BenchClient): Promise<Loss> {
  const startMs = systemClock.monotonicMs()
  await cluster.cut(lost)
  await seen(`${lost} is down`, gapMs, async () => (await client.downHosts()).includes(lost))
  const downMs = systemClock.monotonicMs() - startMs
  await seen('all run elsewhere', gapMs, async () => {
    const hosts = await client.runningHosts()
    return hosts.filter((host) => host !== lost).length === replicas
  })
  return { downMs, replacedMs: systemClock.monotonicMs() - startMs }
}
