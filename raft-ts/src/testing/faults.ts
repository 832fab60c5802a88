// What goes wrong in a simulated cluster, drawn at random: crashes, stops, partitions, bad weather on network
// and disk, skewed clocks; and what operators do meanwhile: membership changes and transfers.
import type { ConfChangeStep, NodeId } from '../core/types.ts'
import { voteName } from '../storage/vote-copy.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { Member } from './sim-member.ts'
import { calmDisk } from './virtual-disk.ts'
import { calmNetwork } from './virtual-network.ts'

const membersMax = 7

interface Fault {
  readonly name: string
  readonly weight: number
  readonly strike: (cluster: SimCluster, member: Member) => void
}

const faults: readonly Fault[] = [
  { name: 'crash', weight: 3, strike: crash },
  { name: 'crash-all', weight: 0.2, strike: crashAll },
  { name: 'stop', weight: 1, strike: stop },
  { name: 'cut-some', weight: 1, strike: cutSome },
  { name: 'cut-off', weight: 1, strike: cutOff },
  { name: 'heal', weight: 2, strike: (cluster) => cluster.network.healAll() },
  { name: 'bad-network', weight: 1, strike: badNetwork },
  { name: 'calm-network', weight: 1, strike: calmTheNetwork },
  { name: 'slow-disk', weight: 1, strike: slowDisk },
  { name: 'failing-disk', weight: 0.3, strike: failingDisk },
  { name: 'rot', weight: 0.3, strike: rot },
  { name: 'calm-disk', weight: 1, strike: (_cluster, member) => calmTheDisk(member) },
  { name: 'rotate-keys', weight: 1, strike: (_cluster, member) => member.rotateKeys() },
  { name: 'skew', weight: 1, strike: skew },
  { name: 'transfer', weight: 1, strike: transfer },
  { name: 'change', weight: 2, strike: change },
  { name: 'join', weight: 0.7, strike: join },
]
const weightSum = faults.reduce((sum, fault) => sum + fault.weight, 0)

/** Strikes now and then until it is stopped; then everything is put right. */
export class Faults {
  readonly #cluster: SimCluster
  readonly #pauseMs: number
  #isRunning = true
  #struck = 0

  constructor(cluster: SimCluster, pauseMs: number) {
    this.#cluster = cluster
    this.#pauseMs = pauseMs
    cluster.world.after(pauseMs, () => this.#next())
  }

  get struck(): number {
    return this.#struck
  }

  /** No more faults; what is broken is mended: connections, disks, clocks, dead and stopped members. */
  end(): void {
    this.#isRunning = false
    const { network, members } = this.#cluster
    network.healAll()
    network.weather = calmNetwork
    for (const member of members.values()) {
      calmTheDisk(member)
      member.resume()
      member.start()
    }
  }

  #next(): void {
    if (!this.#isRunning) return
    const { random, members, world } = this.#cluster
    const member = random.pick([...members.values()])
    const fault = this.#draw()
    if (member !== undefined) {
      this.#struck += 1
      this.#cluster.trace(() => `fault ${fault.name} at ${member.id}`)
      fault.strike(this.#cluster, member)
    }
    world.after(random.between(0, 2 * this.#pauseMs), () => this.#next())
  }

  #draw(): Fault {
    let left = this.#cluster.random.float() * weightSum
    const drawn = faults.find((fault) => {
      left -= fault.weight
      return left < 0
    })
    if (drawn === undefined) throw new Error('the weights of faults do not add up')
    return drawn
  }
}

function crash(cluster: SimCluster, member: Member): void {
  if (!member.isUp) return
  member.crash()
  // Half of them come back at once: what was under way then meets the new life.
  const { random } = cluster
  const downMs = random.chance(0.5) ? random.between(0, 50) : random.between(50, 4000)
  cluster.world.after(downMs, () => member.start())
}

function crashAll(cluster: SimCluster): void {
  for (const member of cluster.members.values()) crash(cluster, member)
}

function stop(cluster: SimCluster, member: Member): void {
  member.stop()
  const { life } = member
  cluster.world.after(cluster.random.between(10, 3000), () => {
    if (member.life === life) member.resume()
  })
}

function cutSome({ network, random, members }: SimCluster, member: Member): void {
  for (const other of members.keys()) {
    if (random.chance(0.4)) network.cut(member.id, other)
    if (random.chance(0.4)) network.cut(other, member.id)
  }
}

/** Two sides, one of which holds the member. */
function cutOff({ network, random, members }: SimCluster, member: Member): void {
  const ids = [...members.keys()]
  const side = new Set([member.id, ...ids.filter(() => random.chance(0.3))])
  for (const one of side) {
    for (const other of ids) {
      if (side.has(other)) continue
      network.cut(one, other)
      network.cut(other, one)
    }
  }
}

function badNetwork({ network, random }: SimCluster): void {
  network.weather = {
    delayMs: [0.2, random.between(1, 60)],
    losing: random.between(0, 0.2),
    repeating: random.between(0, 0.2),
    reordering: random.between(0, 0.3),
    reorderMs: random.between(1, 1000),
  }
}

function calmTheNetwork({ network }: SimCluster): void {
  network.weather = calmNetwork
}

function slowDisk({ random }: SimCluster, member: Member): void {
  const syncMs = random.chance(0.5) ? 20 : 400
  member.disk.weather = { ...calmDisk, syncMs: [0.1, syncMs] }
}

function failingDisk(_cluster: SimCluster, member: Member): void {
  member.disk.weather = { ...calmDisk, failing: 0.05 }
}

/**
 * Bits flip on one member's disk; found when it is read or opened. No cluster is safe when that happens to more
 * than one member, or to one of two voters.
 */
function rot(cluster: SimCluster, member: Member): void {
  const { oracle, members } = cluster
  if (oracle.conf === undefined || cluster.fewestVoters < 3) return
  if ([...members.values()].some((other) => other !== member && other.disk.hasRotted)) return
  // The copy of the vote or anything else, never both: who lost both is not repaired but joined anew.
  const { rotten } = member.disk
  const isCopy = rotten.size === 0 ? cluster.random.chance(0.2) : rotten.has(voteName)
  member.disk.rot((name) => name.startsWith(voteName) === isCopy)
  if (cluster.random.chance(0.7)) crash(cluster, member)
}

function calmTheDisk(member: Member): void {
  member.disk.weather = calmDisk
}

function skew({ random }: SimCluster, member: Member): void {
  member.setRate(random.between(0.7, 1.5))
}

function transfer(cluster: SimCluster, member: Member): void {
  cluster.leader()?.transfer(member.id)
}

function change(cluster: SimCluster): void {
  const { random } = cluster
  const leader = cluster.leader()
  const conf = leader?.conf
  if (leader === undefined || conf === undefined) return
  // The operator's own care: with a bad disk about, the cluster is not made smaller.
  const kinds = [...cluster.members.values()].some((member) => member.disk.hasRotted)
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
  const kept = conf.voters.filter((id) => (steps.get(id)?.kind ?? 'add-voter') === 'add-voter')
  // Whether or not this becomes the configuration: some log may hold it from now on.
  cluster.fewestVoters = Math.min(cluster.fewestVoters, kept.length)
  leader.change([...steps.values()])
}

function join(cluster: SimCluster): void {
  cluster.forgetRemoved()
  const leader = cluster.leader()
  if (leader === undefined || cluster.members.size >= membersMax) return
  leader.change([{ kind: 'add-learner', id: cluster.join().id }])
}
