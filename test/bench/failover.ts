// How long no write is accepted after the leader was killed with -9 under writes: three managers of fresh clusters, one
// killed a try and started again. Not the proof that no write is lost (test/e2e/cluster.test.ts).
import { SwarmError } from '../../proto/errors.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { type BenchClient, type BenchCluster, rounds, seen } from './cluster.ts'
import { measurement } from './figures.ts'
import { type BenchContext, type BenchResult, sideBySide } from './side-by-side.ts'

export interface FailoverBenchOptions {
  /** Leaders killed. Default 5. */
  readonly tries?: number
}

const managers = ['m1', 'm2', 'm3']
const probeGapMs = 20
const probesMax = 100
const acceptedWithinMs = 60_000

/** Measures on fresh clusters of three managers. */
export async function runFailoverBench(
  context: BenchContext,
  { tries = 5 }: FailoverBenchOptions = {},
): Promise<BenchResult> {
  return await sideBySide(
    'failover',
    { managers: 3, workers: 0 },
    context,
    async (cluster, tell) => {
      const ms = await rounds(tries, () => killLeader(cluster))
      tell(measurement('leader killed (-9) to first write accepted', 1_000, ms))
    },
  )
}

async function killLeader(cluster: BenchCluster): Promise<number> {
  const leader = await leaderOf(cluster)
  const [first = '', second = ''] = managers.filter((host) => host !== leader)
  const ms = await cluster.onHost(first, (one) =>
    cluster.onHost(second, (other) => killUnderWrites(cluster, leader, [one, other])),
  )
  await cluster.restart(leader)
  return ms
}

async function leaderOf(cluster: BenchCluster): Promise<string> {
  return await cluster.onHost('m1', async (client) => {
    let leader: string | undefined
    await seen('there is a leader', probeGapMs, async () => {
      leader = await client.leader()
      return leader !== undefined
    })
    return leader ?? ''
  })
}

async function killUnderWrites(
  cluster: BenchCluster,
  leader: string,
  clients: readonly BenchClient[],
): Promise<number> {
  const writing = { stop: false, acknowledged: 0 }
  const writers = Promise.all(clients.map((client) => keepWriting(client, writing)))
  // Looked at below; a writer that fails meanwhile must not end the process unheard.
  writers.catch(() => {})
  try {
    await seen('writes go through', 5, async () => writing.acknowledged > 20)
    const startMs = systemClock.monotonicMs()
    await cluster.kill(leader)
    // Only writes begun from here on count: none of them can have been accepted by the old leader.
    return (await firstAcceptedAtMs(clients)) - startMs
  } finally {
    writing.stop = true
    await writers
  }
}

/** A user's writes: one after the other, repeated by the client while their outcome is unknown. */
async function keepWriting(
  client: BenchClient,
  writing: { readonly stop: boolean; acknowledged: number },
): Promise<void> {
  while (!writing.stop) {
    await client.createService(aName(), 0)
    writing.acknowledged += 1
    await wait(systemClock, 10)
  }
}

/** Begins a new write every 20 ms, in turns at each manager left, until one of them is accepted. */
async function firstAcceptedAtMs(clients: readonly BenchClient[]): Promise<number> {
  const endsAtMs = systemClock.monotonicMs() + acceptedWithinMs
  const open = new Set<Promise<void>>()
  let acceptedAtMs: number | undefined
  let refusal: unknown
  for (let at = 0; acceptedAtMs === undefined; at++) {
    const client = clients[at % clients.length]
    if (client !== undefined && open.size < probesMax) {
      const probe = client
        .createService(aName(), 0, { once: true })
        .then(
          () => {
            acceptedAtMs ??= systemClock.monotonicMs()
          },
          // Refused for want of a leader: a later one is accepted, or this is the cause below.
          (err: unknown) => {
            refusal = err
          },
        )
        .finally(() => open.delete(probe))
      open.add(probe)
    }
    if (systemClock.monotonicMs() > endsAtMs) {
      const text = `no write was accepted within ${acceptedWithinMs} ms of the leader's end`
      throw new SwarmError('DEADLINE_EXCEEDED', text, { cause: refusal })
    }
    await wait(systemClock, probeGapMs)
  }
  await Promise.all(open)
  return acceptedAtMs
}

function aName(): string {
  return `w-${newId(systemRandom)}`
}
