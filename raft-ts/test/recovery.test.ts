// Recovery from a lost quorum, with drivers and real storage: the survivor goes on alone, and grows again.
import type { AddVoterOutcome, ClusterBeginning } from 'raft-ts'
import t from 'tap'
import { DriverCluster, type Host } from './support/driver-cluster.ts'
import { open, powerCut } from './support/storage.ts'

const range = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `item ${from + i}`)

/** Of three members with 30 entries only the survivor is left, as powerless as it can be. */
function lost(names: readonly string[] = []): { cluster: DriverCluster; survivor: Host } {
  const cluster = new DriverCluster(['a', 'b', 'c'], names)
  cluster.startAll()
  for (const item of range(1, 30)) cluster.commit(item)
  cluster.time.pass(200)
  const leader = cluster.leader()
  const survivor = [...cluster.hosts.values()].find((host) => host !== leader) as Host
  for (const host of cluster.hosts.values()) if (host.driver !== undefined) host.kill(powerCut)
  return { cluster, survivor }
}

function startForced(host: Host): void {
  const beginning: ClusterBeginning = { kind: 'force-new', id: host.id }
  host.start({ storage: open(host.disk, { beginning, segmentBytesMax: 20_000 }) })
}

function addVoter(cluster: DriverCluster, id: string): AddVoterOutcome | undefined {
  const outcomes: AddVoterOutcome[] = []
  cluster.leader().driver?.addVoter(id, (outcome) => outcomes.push(outcome))
  cluster.until(`${id} is added`, () => outcomes.length > 0, 30_000)
  return outcomes[0]
}

t.test('without it the survivor waits, and loses nothing by waiting', async (t) => {
  const { cluster, survivor } = lost()
  survivor.diskMs = 2
  survivor.start()
  cluster.time.pass(20_000)
  t.not(survivor.leadership.role, 'leader')
  t.equal(survivor.propose('x').outcome?.kind, 'not-leader')
  t.same(survivor.driver?.status().conf.voters, ['a', 'b', 'c'])
})

t.test('the survivor goes on alone, at once, with all it had applied', async (t) => {
  const { cluster, survivor } = lost()
  const { term } = open(survivor.disk).log.hardState
  startForced(survivor)
  cluster.until('it leads', () => survivor.leadership.role === 'leader', 100)
  t.same(survivor.machine.items, range(1, 30))
  t.same(survivor.driver?.status().conf, {
    ...{ voters: [survivor.id], outgoing: [], learners: [], learnersNext: [] },
  })
  t.ok((survivor.driver?.status().term ?? 0) > term)
  cluster.commit('after')
  survivor.kill(powerCut)
  survivor.start()
  cluster.commit('after a restart, without force')
  t.same(survivor.machine.items.slice(30), ['after', 'after a restart, without force'])
})

t.test('an entry that only the survivor holds is kept, those of the lost are not', async (t) => {
  const cluster = new DriverCluster(['a', 'b', 'c'])
  cluster.startAll()
  cluster.commit('first')
  cluster.time.pass(200)
  const leader = cluster.leader()
  cluster.filter = (_, message) => message.kind !== 'append'
  leader.propose('only here')
  cluster.time.pass(50)
  for (const host of cluster.hosts.values()) host.kill(powerCut)
  cluster.filter = () => true
  startForced(leader)
  cluster.commit('after')
  t.same(leader.machine.items, ['first', 'only here', 'after'])
})

t.test('new members join by learner and voter, and then the forced one may be lost', async (t) => {
  const { cluster, survivor } = lost(['d', 'e'])
  startForced(survivor)
  cluster.until('it leads', () => survivor.leadership.role === 'leader')
  for (const id of ['d', 'e']) {
    cluster.host(id).start()
    t.match(addVoter(cluster, id), { kind: 'committed' })
  }
  t.same(cluster.leader().driver?.status().conf.voters.toSorted(), [survivor.id, 'd', 'e'].sort())
  for (const item of range(31, 40)) cluster.commit(item)
  cluster.time.pass(200)
  survivor.kill(powerCut)
  cluster.until('a new member leads', () => ['d', 'e'].includes(cluster.leader().id))
  for (const item of range(41, 50)) cluster.commit(item)
  cluster.time.pass(200)
  for (const id of ['d', 'e']) t.same(cluster.host(id).machine.items, range(1, 50))
  survivor.start()
  cluster.until('it comes back', () => survivor.machine.items.length === 50)
  t.same(survivor.machine.items, range(1, 50))
})

t.test('a snapshot of before is no obstacle', async (t) => {
  const policy = { snapshotPolicy: { logBytes: 5000, entriesKept: 2 } }
  const cluster = new DriverCluster(['a', 'b', 'c'], ['d'])
  cluster.startAll(policy)
  const items = Array.from({ length: 60 }, (_, i) => `${i} ${'x'.repeat(300)}`)
  for (const item of items) cluster.commit(item)
  cluster.time.pass(200)
  const survivor = cluster.leader()
  t.ok((survivor.driver?.status().snapshotIndex ?? 0) > 20)
  for (const host of cluster.hosts.values()) if (host.driver !== undefined) host.kill(powerCut)
  startForced(survivor)
  cluster.until('it leads', () => survivor.leadership.role === 'leader')
  t.same(survivor.machine.items, items)
  t.equal(survivor.machine.restores, 1)
  cluster.host('d').start(policy)
  t.match(addVoter(cluster, 'd'), { kind: 'committed' })
  cluster.until('it has all', () => cluster.host('d').machine.items.length === items.length)
})

t.test('a joint configuration that could not be left is overruled', async (t) => {
  const cluster = new DriverCluster(['a', 'b', 'c'], ['d', 'e'])
  cluster.startAll()
  cluster.commit('first')
  const leader = cluster.leader()
  // d and e do not run: the joint configuration needs one of them.
  leader.driver?.change(
    {
      steps: [
        { kind: 'add-voter', id: 'd' },
        { kind: 'add-voter', id: 'e' },
        { kind: 'remove', id: leader.id === 'c' ? 'b' : 'c' },
      ],
    },
    () => {},
  )
  cluster.time.pass(100)
  t.equal(leader.driver?.status().conf.outgoing.length, 3)
  for (const host of cluster.hosts.values()) if (host.driver !== undefined) host.kill(powerCut)
  startForced(leader)
  cluster.until('it leads', () => leader.leadership.role === 'leader')
  t.match(leader.driver?.status().conf, { voters: [leader.id], outgoing: [] })
  cluster.commit('after')
})
