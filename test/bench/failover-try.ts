// One loss of the leader under writes, and all that is looked at in it: how long no write was accepted, whether the old
// leader stepped down by itself, whether anything acknowledged is lost. Used by the benchmark (failover.ts) and by
// test/e2e/failover.test.ts.
import { SwarmError } from '../../proto/errors.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { type BenchClient, type BenchCluster, seen } from './cluster.ts'
import { removeWrites, WriteLoad } from './write-load.ts'

export interface Fault {
  readonly what: string
  begin(cluster: BenchCluster, host: string): Promise<void>
  /** Resolves when the cluster is whole again. */
  end(cluster: BenchCluster, host: string): Promise<void>
  /** Whether the old leader can be asked: `cut` at once, `stopped` when it is continued, a killed one never. */
  readonly oldLeader: 'cut' | 'stopped' | 'killed'
}

export interface FailoverTry {
  /** From the fault until a write that was begun after it was accepted. */
  readonly acceptedMs: number
  /** Until the old leader took itself for none: since the fault, of a stopped one since it went on. */
  readonly steppedDownMs: number | undefined
  /** The longest that a user's write took which was under way at the loss, or begun after it. */
  readonly longestWriteMs: number
  readonly acknowledged: number
}

export const faults: readonly Fault[] = [
  {
    what: 'killed (-9)',
    oldLeader: 'killed',
    begin: (cluster, host) => cluster.kill(host),
    end: (cluster, host) => cluster.restart(host),
  },
  {
    what: 'cut off both ways',
    oldLeader: 'cut',
    begin: (cluster, host) => cluster.cut(host),
    end: (cluster, host) => cluster.heal(host),
  },
  {
    what: 'cut off, not heard any more',
    oldLeader: 'cut',
    begin: (cluster, host) => cluster.cut(host, 'out'),
    end: (cluster, host) => cluster.heal(host),
  },
  {
    what: 'cut off, hears no more',
    oldLeader: 'cut',
    begin: (cluster, host) => cluster.cut(host, 'in'),
    end: (cluster, host) => cluster.heal(host),
  },
  {
    what: 'stopped (SIGSTOP)',
    oldLeader: 'stopped',
    begin: (cluster, host) => cluster.pause(host),
    end: (cluster, host) => cluster.resume(host),
  },
]

const managers = ['m1', 'm2', 'm3']
const pollMs = 10
/** Of the slowest side; what ours may take is the goal of its figure. */
const stepDownWithinMs = 60_000

/** Makes a whole cluster of m1, m2 and m3 lose its leader once. Errors: DATA_LOSS, DEADLINE_EXCEEDED. */
export async function failOver(cluster: BenchCluster, fault: Fault): Promise<FailoverTry> {
  const old = await leaderOf(cluster)
  const [first = '', second = ''] = managers.filter((host) => host !== old)
  return await cluster.onHost(first, (one) =>
    cluster.onHost(second, (other) =>
      cluster.onHost(old, (own) => underWrites(cluster, fault, { old, own, others: [one, other] })),
    ),
  )
}

/** Host of the leader, once there is one. */
export async function leaderOf(cluster: BenchCluster): Promise<string> {
  return await cluster.onHost('m1', async (client) => {
    let leader: string | undefined
    await seen('there is a leader', 20, async () => {
      leader = await client.leader()
      return leader !== undefined
    })
    return leader ?? ''
  })
}

interface Parties {
  /** Host of the leader to lose, and its own daemon. */
  readonly old: string
  readonly own: BenchClient
  readonly others: readonly BenchClient[]
}

async function underWrites(
  cluster: BenchCluster,
  fault: Fault,
  parties: Parties,
): Promise<FailoverTry> {
  const { others, own } = parties
  const load = new WriteLoad()
  load.keepWriting(others)
  load.keepTrying(own)
  try {
    await seen('writes go through', 5, async () => load.acknowledged.length > 50)
    const times = await lose(cluster, fault, parties, load)
    await load.stop()
    const [one = own] = others
    await load.checkNoneLost(one)
    await removeWrites(one)
    const { acknowledged, longestWriteMs } = load
    return { ...times, longestWriteMs, acknowledged: acknowledged.length }
  } finally {
    await load.stop()
  }
}

async function lose(
  cluster: BenchCluster,
  fault: Fault,
  { old, own, others }: Parties,
  load: WriteLoad,
): Promise<Pick<FailoverTry, 'acceptedMs' | 'steppedDownMs'>> {
  const startMs = systemClock.monotonicMs()
  await fault.begin(cluster, old)
  const cutOff = fault.oldLeader === 'cut' ? untilNoLeader(own, startMs) : undefined
  // Only writes begun from here on count: none of them can have been accepted by the old leader.
  const accepted = load.firstAcceptedAtMs(others)
  const [acceptedAtMs, cutOffMs] = await Promise.all([accepted, cutOff])
  // Another one leads: what the old one says now, it says falsely, unless it is found in the end.
  if (fault.oldLeader === 'cut') await load.tryOnce(own)
  const endMs = systemClock.monotonicMs()
  const ended = fault.end(cluster, old)
  const stopped = fault.oldLeader === 'stopped' ? untilNoLeader(own, endMs) : undefined
  const [stoppedMs] = await Promise.all([stopped, ended])
  return { acceptedMs: acceptedAtMs - startMs, steppedDownMs: cutOffMs ?? stoppedMs }
}

/** ms since startMs until the daemon does not take itself for the leader any more. */
async function untilNoLeader(own: BenchClient, startMs: number): Promise<number> {
  while (await own.leads()) {
    const ms = systemClock.monotonicMs() - startMs
    if (ms > stepDownWithinMs) {
      throw new SwarmError('DEADLINE_EXCEEDED', `the old leader leads on after ${ms} ms`)
    }
    await wait(systemClock, pollMs)
  }
  return systemClock.monotonicMs() - startMs
}
