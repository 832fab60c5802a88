// Draws the next fault of a run by chance, from how the cluster stands. Carrying it out is fault-strike.ts.
import type { ConfChangeStep, NodeId } from '../core/types.ts'
import type { AimedCrash, CrashMoment, Fault, Who } from './fault.ts'
import type { SimRandom } from './random.ts'
import type { SimCluster } from './sim-cluster.ts'
import { calmDisk } from './virtual-disk.ts'
import { calmNetwork } from './virtual-network.ts'

const membersMax = 7

/** What a draw looks at. */
interface Sight {
  readonly cluster: SimCluster
  readonly random: SimRandom
  /** Mean time between two faults: what lasts, lasts a few of them. */
  readonly pauseMs: number
  /** A member by chance. */
  readonly id: NodeId
}

interface Kind {
  readonly weight: number
  /** In a run that hunts its leaders; as otherwise, when absent. */
  readonly huntWeight?: number
  /** Only in a run whose members are of different priority. */
  readonly isOfRanks?: true
  readonly draw: (sight: Sight) => Fault | undefined
}

const kinds: readonly Kind[] = [
  { weight: 2.5, draw: (sight) => ({ kind: 'crash', who: sight.id, downMs: downMs(sight) }) },
  { weight: 1.5, draw: (sight) => ({ kind: 'crash', who: 'leader', downMs: downMs(sight) }) },
  { weight: 2.5, draw: (sight) => ({ kind: 'crash-at', who: who(sight), ...aimed(sight) }) },
  { weight: 1.5, huntWeight: 30, draw: ambush },
  { weight: 0.2, draw: ({ random }) => ({ kind: 'crash-all', downMs: random.below(200) }) },
  { weight: 1, draw: (sight) => ({ kind: 'stop', who: who(sight), forMs: lastingMs(sight) }) },
  { weight: 1, draw: cutSome },
  { weight: 1.2, draw: cutOff },
  { weight: 2, huntWeight: 1, draw: () => ({ kind: 'heal' }) },
  { weight: 1, draw: badNetwork },
  { weight: 1, draw: () => ({ kind: 'network', weather: calmNetwork }) },
  { weight: 1, huntWeight: 3, draw: slowDisk },
  {
    weight: 0.3,
    draw: ({ id }) => ({ kind: 'disk', who: id, weather: { ...calmDisk, failing: 0.05 } }),
  },
  { weight: 1, draw: ({ id }) => ({ kind: 'disk', who: id, weather: calmDisk }) },
  { weight: 0.3, draw: rot },
  { weight: 1, draw: ({ id, random }) => ({ kind: 'skew', who: id, rate: rate(random) }) },
  { weight: 0.5, draw: (sight) => ({ kind: 'compact', who: who(sight) }) },
  { weight: 1, draw: rotateKeys },
  { weight: 1.2, draw: transfer },
  { weight: 2, isOfRanks: true, draw: prefer },
  { weight: 2, draw: change },
  { weight: 0.9, draw: join },
  { weight: 0.5, draw: promote },
]

/** How often faults strike, and at whom. */
export interface FaultPace {
  /** Mean time between two faults. */
  readonly pauseMs: number
  /** Mostly at new leaders. */
  readonly isHunt: boolean
  /** Members are of different priority. */
  readonly isRanked: boolean
}

function weightOf({ weight, huntWeight = weight, isOfRanks }: Kind, pace: FaultPace): number {
  if (isOfRanks === true && !pace.isRanked) return 0
  return pace.isHunt ? huntWeight : weight
}

/** Undefined: what was drawn does not apply now. */
export function drawFault(
  cluster: SimCluster,
  random: SimRandom,
  pace: FaultPace,
): Fault | undefined {
  const id = random.pick([...cluster.members.keys()])
  if (id === undefined) return undefined
  const weights = kinds.map((kind) => weightOf(kind, pace))
  let left = random.float() * weights.reduce((sum, weight) => sum + weight, 0)
  const drawn = kinds.find((_, i) => {
    left -= weights[i] ?? 0
    return left < 0
  })
  return drawn?.draw({ cluster, random, pauseMs: pace.pauseMs, id })
}

/** Everything but one member is lost for good. Undefined: none that could go on alone. */
export function drawLoss(cluster: SimCluster, random: SimRandom): Fault | undefined {
  const whole = [...cluster.members.values()].filter(
    ({ disk, view }) => view?.isRepairing === false && !disk.hasRotted && view.lastIndex > 0,
  )
  const survivor = random.pick(whole)?.id
  return survivor === undefined ? undefined : { kind: 'lose-quorum', survivor }
}

/** Half of what is struck is the leader: that is where it hurts. */
function who({ random, id }: Sight): Who {
  return random.chance(0.5) ? 'leader' : id
}

/** Half of them come back at once: what was under way then meets the new life. */
function downMs({ random, pauseMs }: Sight): number {
  return random.chance(0.5) ? random.below(50) : 50 + random.below(10 * pauseMs)
}

function lastingMs({ random, pauseMs }: Sight): number {
  return 10 + random.below(8 * pauseMs)
}

const moments: readonly CrashMoment[] = ['append', 'sync', 'sync', 'synced', 'send', 'send']
const rareMoments: readonly CrashMoment[] = ['rename', 'snapshot']

function aimed(sight: Sight): AimedCrash {
  const { random } = sight
  const moment = random.pick(random.chance(0.3) ? rareMoments : moments) ?? 'sync'
  // A snapshot has few pieces.
  return { moment, skip: random.below(moment === 'snapshot' ? 2 : 6), downMs: downMs(sight) }
}

const acts = ['crash', 'cut', 'cut-out', 'roll', 'roll', 'roll'] as const

function ambush(sight: Sight): Fault {
  const { random } = sight
  const blows = Array.from({ length: 1 + random.below(4) }, () => ({
    after: random.below(random.chance(0.4) ? 2 : 16),
    act: random.pick(acts) ?? 'crash',
    downMs: downMs(sight),
  }))
  return { kind: 'ambush', blows }
}

function cutSome({ cluster, random, id }: Sight): Fault {
  const links: [NodeId, NodeId][] = []
  for (const other of cluster.members.keys()) {
    if (other === id) continue
    if (random.chance(0.4)) links.push([id, other])
    if (random.chance(0.4)) links.push([other, id])
  }
  return { kind: 'cut', links }
}

function cutOff(sight: Sight): Fault {
  const { cluster, random } = sight
  const together = [...cluster.members.keys()].filter(() => random.chance(0.3))
  const way = random.pick(['both', 'both', 'in', 'out'] as const) ?? 'both'
  return { kind: 'cut-off', who: who(sight), together, way }
}

function badNetwork({ random }: Sight): Fault {
  const weather = {
    delayMs: [0.2, 1 + random.below(60)] as const,
    losing: random.below(20) / 100,
    repeating: random.below(20) / 100,
    reordering: random.below(30) / 100,
    reorderMs: 1 + random.below(1000),
  }
  return { kind: 'network', weather }
}

function slowDisk(sight: Sight): Fault {
  const syncMs = sight.random.chance(0.5) ? 20 : 400
  return { kind: 'disk', who: who(sight), weather: { ...calmDisk, syncMs: [0.1, syncMs] } }
}

function rot(sight: Sight): Fault {
  const { random, id } = sight
  const ofVote = random.chance(0.2)
  return { kind: 'rot', who: id, ofVote, downMs: random.chance(0.7) ? downMs(sight) : undefined }
}

function rotateKeys({ id, random }: Sight): Fault {
  return { kind: 'rotate-keys', who: id, which: random.chance(0.5) ? 'data' : 'wrapping' }
}

function transfer({ id, random }: Sight): Fault {
  const to = random.chance(0.8) ? id : undefined
  return { kind: 'transfer', to, abortAfterMs: random.chance(0.5) ? random.below(40) : undefined }
}

function prefer({ id, random }: Sight): Fault {
  return { kind: 'prefer', who: id, priority: random.below(3) }
}

function promote({ cluster, random }: Sight): Fault | undefined {
  const id = random.pick(cluster.leader()?.conf?.learners ?? [])
  return id === undefined ? undefined : { kind: 'promote', id }
}

function rate(random: SimRandom): number {
  return (70 + random.below(80)) / 100
}

function change(sight: Sight): Fault | undefined {
  const { cluster, random } = sight
  const conf = cluster.leader()?.conf
  if (conf === undefined) return undefined
  const isRotten = [...cluster.members.values()].some(({ disk }) => disk.hasRotted)
  const kinds = isRotten
    ? (['add-voter'] as const)
    : // Voters rather stay voters: a cluster that shrinks to one proves little.
      (['add-voter', 'add-voter', 'add-learner', 'remove'] as const)
  const present = [...conf.voters, ...conf.learners]
  const steps = new Map<NodeId, ConfChangeStep>()
  for (let i = 0; i < 1 + random.below(2); i++) {
    const id = random.pick(present)
    const kind = random.pick(kinds)
    if (id !== undefined && kind !== undefined) steps.set(id, { kind, id })
  }
  const crash = random.chance(0.3) ? aimed(sight) : undefined
  return { kind: 'change', steps: [...steps.values()], crash }
}

function join({ cluster, random }: Sight): Fault | undefined {
  // One that is just being added was in no configuration yet.
  const removed = [...cluster.members.keys()].filter(
    (id) => cluster.oracle.wasMember(id) && !cluster.isConfigured(id),
  )
  const forgotten = removed.filter(() => random.chance(0.5))
  if (cluster.members.size - forgotten.length >= membersMax) return undefined
  const as = random.pick(['add-learner', 'add-voter', 'caught-up'] as const) ?? 'caught-up'
  return { kind: 'join', id: cluster.nextId(), as, forgotten }
}
