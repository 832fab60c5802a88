// Carries out a fault. What no longer applies, because a script was shortened, does nothing.
import type { NodeId } from '../core/types.ts'
import { voteName } from '../storage/vote-copy.ts'
import type { Blow, Fault, Who } from './fault.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { Member } from './sim-member.ts'
import type { DiskWeather } from './virtual-file.ts'

export function strike(cluster: SimCluster, fault: Fault): void {
  switch (fault.kind) {
    case 'crash':
      crash(cluster, find(cluster, fault.who), fault.downMs)
      return
    case 'crash-at':
      find(cluster, fault.who)?.crashAt(fault)
      return
    case 'ambush':
      ambush(cluster, fault.blows)
      return
    case 'crash-all':
      crashAll(cluster, fault.downMs)
      return
    case 'stop':
      stop(cluster, find(cluster, fault.who), fault.forMs)
      return
    case 'cut':
      for (const [from, to] of fault.links) cluster.network.cut(from, to)
      return
    case 'cut-off':
      cutOff(cluster, fault)
      return
    case 'heal':
      cluster.network.healAll()
      return
    case 'network':
      cluster.network.weather = fault.weather
      return
    case 'disk':
      setDisk(find(cluster, fault.who), fault.weather)
      return
    case 'rot':
      rot(cluster, fault)
      return
    case 'skew':
      find(cluster, fault.who)?.setRate(fault.rate)
      return
    case 'compact':
      find(cluster, fault.who)?.compact()
      return
    case 'rotate-keys':
      find(cluster, fault.who)?.rotateKeys(fault.which)
      return
    case 'transfer':
      transfer(cluster, fault)
      return
    case 'prefer':
      cluster.priorities.set(fault.who, fault.priority)
      return
    case 'promote':
      if (cluster.members.has(fault.id)) cluster.leader()?.addVoter(fault.id)
      return
    case 'change':
      change(cluster, fault)
      return
    case 'join':
      join(cluster, fault)
      return
    case 'lose-quorum':
      loseQuorum(cluster, fault.survivor)
  }
}

function find(cluster: SimCluster, who: Who): Member | undefined {
  return who === 'leader' ? cluster.leader() : cluster.members.get(who)
}

function crash(cluster: SimCluster, member: Member | undefined, downMs: number): void {
  if (member?.isUp !== true) return
  member.crash()
  cluster.world.after(downMs, () => member.start())
}

function ambush(cluster: SimCluster, blows: readonly Blow[]): void {
  const [blow, ...later] = blows
  if (blow === undefined) return
  const terms = [...cluster.members.values()].map(({ view }) => view?.term ?? 0)
  cluster.ambush.lay(Math.max(0, ...terms), blow.after, (leader) => {
    cluster.count('leadersAmbushed')
    cluster.trace(() => `ambush of ${leader.id}`)
    ambush(cluster, later)
    if (blow.act === 'crash') return crash(cluster, leader, blow.downMs)
    if (blow.act === 'roll') cluster.network.healAll()
    separate(cluster, new Set([leader.id]), blow.act === 'cut-out' ? 'out' : 'both')
  })
}

function crashAll(cluster: SimCluster, downMs: number): void {
  for (const [i, member] of [...cluster.members.values()].entries()) {
    crash(cluster, member, downMs * i)
  }
}

function setDisk(member: Member | undefined, weather: DiskWeather): void {
  if (member !== undefined) member.disk.weather = weather
}

function stop(cluster: SimCluster, member: Member | undefined, forMs: number): void {
  if (member?.isUp !== true) return
  cluster.count('processesStopped')
  member.stop()
  const { life } = member
  cluster.world.after(forMs, () => {
    if (member.life === life) member.resume()
  })
}

function cutOff(cluster: SimCluster, fault: Extract<Fault, { kind: 'cut-off' }>): void {
  const member = find(cluster, fault.who)
  if (member === undefined) return
  separate(cluster, new Set([member.id, ...fault.together]), fault.way)
}

function separate(
  { network, members }: SimCluster,
  side: ReadonlySet<NodeId>,
  way: 'both' | 'in' | 'out',
): void {
  for (const one of side) {
    for (const other of members.keys()) {
      if (side.has(other)) continue
      if (way !== 'in') network.cut(one, other)
      if (way !== 'out') network.cut(other, one)
    }
  }
}

/**
 * No cluster is safe when disks rot at more than one member, or at one of two voters, so that such a fault does
 * not strike.
 */
function rot(cluster: SimCluster, fault: Extract<Fault, { kind: 'rot' }>): void {
  const { oracle, members } = cluster
  const member = find(cluster, fault.who)
  if (member === undefined || oracle.conf === undefined || cluster.fewestVoters < 3) return
  if ([...members.values()].some((other) => other !== member && other.disk.hasRotted)) return
  // The copy of the vote or anything else, never both: who lost both is not repaired but joined anew.
  const { rotten } = member.disk
  const ofVote = rotten.size === 0 ? fault.ofVote : rotten.has(voteName)
  if (member.disk.rot((name) => name.startsWith(voteName) === ofVote)) cluster.count('disksRotted')
  if (fault.downMs !== undefined) crash(cluster, member, fault.downMs)
}

function transfer(
  cluster: SimCluster,
  { to, abortAfterMs }: Extract<Fault, { kind: 'transfer' }>,
): void {
  const leader = cluster.leader()
  if (leader === undefined) return
  leader.transfer(to)
  const { life } = leader
  if (abortAfterMs === undefined) return
  cluster.world.after(abortAfterMs, () => {
    if (leader.life === life) leader.abortTransfer()
  })
}

function change(
  cluster: SimCluster,
  { steps, crash: aimed }: Extract<Fault, { kind: 'change' }>,
): void {
  const leader = cluster.leader()
  if (leader === undefined) return
  if (aimed !== undefined) leader.crashAt(aimed)
  const kinds = new Map(steps.map(({ id, kind }) => [id, kind]))
  const voters = new Set(leader.conf?.voters)
  for (const [id, kind] of kinds) {
    if (kind === 'add-voter') voters.add(id)
    else voters.delete(id)
  }
  // The operator's own care: with a bad disk about, the cluster is not made smaller.
  const hasRot = [...cluster.members.values()].some((member) => member.disk.hasRotted)
  if (hasRot && steps.some(({ kind }) => kind !== 'add-voter')) return
  // Whether or not this becomes the configuration: some log may hold it from now on.
  cluster.fewestVoters = Math.min(cluster.fewestVoters, voters.size)
  leader.change(steps)
}

function join(cluster: SimCluster, fault: Extract<Fault, { kind: 'join' }>): void {
  const { id, as, forgotten } = fault
  for (const old of forgotten) if (!cluster.isConfigured(old)) cluster.remove(old)
  const leader = cluster.leader()
  if (leader === undefined || cluster.members.has(id)) return
  cluster.count('membersJoined')
  cluster.join(id)
  if (as === 'caught-up') leader.addVoter(id)
  else leader.change([{ kind: as, id }])
}

function loseQuorum(cluster: SimCluster, survivor: NodeId): void {
  const member = cluster.members.get(survivor)
  const isWhole = member?.view?.isRepairing === false && !member.disk.hasRotted
  if (member === undefined || !isWhole || member.view.lastIndex === 0) return
  for (const id of [...cluster.members.keys()]) if (id !== survivor) cluster.remove(id)
  cluster.network.dropUnderWay(survivor)
  cluster.fewestVoters = 1
  member.forceNew()
  crash(cluster, member, 200)
}
