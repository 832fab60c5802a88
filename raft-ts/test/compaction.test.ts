// What a leader keeps of its log for those who are behind.
import { defaultSnapshotPolicy, type SnapshotPolicy } from 'raft-ts'
import t from 'tap'
import { snapshotPolicyOf } from '../build/driver/snapshot-maker.js'
import { Cluster } from './support/cluster.ts'
import { DriverCluster, type Host } from './support/driver-cluster.ts'
import { powerCut } from './support/storage.ts'

const abc = ['a', 'b', 'c']
const item = (i: number): string => `${i} ${'x'.repeat(500)}`

function behind(policy: Partial<SnapshotPolicy>): {
  readonly cluster: DriverCluster
  readonly leader: Host
  readonly slow: Host
} {
  const cluster = new DriverCluster(abc)
  cluster.startAll({ snapshotPolicy: { logBytes: 10_000, entriesKept: 5, ...policy } })
  const leader = cluster.leader()
  const slow = [...cluster.hosts.values()].find((host) => host !== leader) as Host
  return { cluster, leader, slow }
}

function commit(cluster: DriverCluster, from: number, to: number): void {
  for (let i = from; i <= to; i++) {
    cluster.commit(item(i))
    cluster.time.pass(10)
  }
}

function logBytes(host: Host): number {
  return host.driver?.status().logBytes ?? 0
}

t.test('a follower that is slow but gets on is never pushed into a snapshot', async (t) => {
  const { cluster, leader, slow } = behind({ logBytesMax: 10_000_000 })
  // A flush takes 300 ms: hopelessly slower than the others, which take one entry every 10 ms.
  slow.diskMs = 150
  commit(cluster, 1, 300)
  t.ok((leader.driver?.status().snapshotIndex ?? 0) > 100, 'snapshots are taken all the same')
  t.ok(slow.machine.items.length < 290, `${slow.machine.items.length}: it is behind`)
  t.ok(leader.driver?.status().peers.every((peer) => peer.state === 'replicate'))
  slow.diskMs = 0.1
  cluster.until('it caught up', () => slow.machine.items.length === 300)
  t.equal(slow.machine.restores, 0)
  // What was kept goes with the next snapshot.
  const before = logBytes(leader)
  commit(cluster, 301, 400)
  t.ok(logBytes(leader) < Math.max(before, 60_000), `${before}, ${logBytes(leader)}`)
})

t.test('as long as the log stays within its bound', async (t) => {
  const { cluster, leader, slow } = behind({ logBytesMax: 40_000 })
  // It answers heartbeats, but gets no entries.
  cluster.filter = (_, message) => !(message.kind === 'append' && message.to === slow.id)
  let longest = 0
  for (let i = 1; i <= 40; i++) {
    commit(cluster, 10 * i - 9, 10 * i)
    longest = Math.max(longest, logBytes(leader))
  }
  t.ok(longest > 40_000, 'it is kept')
  // The bound, what a snapshot lets grow, and a segment that is not full.
  t.ok(longest < 40_000 + 220_000 + 20_000, `${longest}`)
  const { firstIndex = 0, peers = [] } = leader.driver?.status() ?? {}
  const match = peers.find(({ id }) => id === slow.id)?.match ?? 0
  t.ok(match < firstIndex - 1, 'what it needs is gone')
  cluster.filter = () => true
  cluster.until('a snapshot helps', () => slow.machine.items.length === 400, 60_000)
  t.ok(slow.machine.restores > 0)
})

t.test('a dead follower holds nothing back', async (t) => {
  const { cluster, leader, slow } = behind({ logBytesMax: 10_000_000 })
  slow.kill(powerCut)
  cluster.time.pass(1500)
  commit(cluster, 1, 300)
  const { firstIndex = 0, snapshotIndex = 0 } = leader.driver?.status() ?? {}
  t.ok(snapshotIndex > 100)
  t.ok(firstIndex > snapshotIndex - 60, `${firstIndex} of ${snapshotIndex}`)
})

t.test('one that takes in a snapshot finds the entries after it', async (t) => {
  const { cluster, leader, slow } = behind({ logBytesMax: 10_000_000 })
  slow.kill(powerCut)
  cluster.time.pass(1500)
  commit(cluster, 1, 100)
  // Slow enough that several snapshots are taken meanwhile.
  slow.diskMs = 100
  slow.start({ snapshotPolicy: { logBytes: 10_000, entriesKept: 5 } })
  commit(cluster, 101, 400)
  slow.diskMs = 0.1
  cluster.until('it caught up', () => slow.machine.items.length === 400, 60_000)
  t.equal(slow.machine.restores, 1, 'one snapshot was enough')
  t.equal(leader.notes.filter(({ kind }) => kind === 'snapshot-sent').length, 1)
})

t.test('a follower keeps for others only what the policy says', async (t) => {
  const { cluster, leader, slow } = behind({ logBytesMax: 10_000_000 })
  slow.diskMs = 150
  commit(cluster, 1, 300)
  const other = [...cluster.hosts.values()].find((host) => host !== leader && host !== slow)
  const { firstIndex = 0, snapshotIndex = 0 } = other?.driver?.status() ?? {}
  t.ok(firstIndex > snapshotIndex - 60)
  const kept = leader.driver?.status().firstIndex ?? 0
  t.ok(kept < firstIndex, 'the leader keeps more')
})

t.test('core: what is needed is by peers that answer, of any kind', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const { lastIndex } = a.node.status()
  t.equal(a.node.neededAfter(), lastIndex)
  cluster.loses = (message) => message.to === 'c' && message.kind === 'append'
  for (const text of ['x', 'y']) a.propose(text)
  cluster.settle()
  t.equal(a.node.neededAfter(), lastIndex, 'c answers')
  t.equal(cluster.get('b').node.neededAfter(), cluster.get('b').node.status().lastIndex)
  cluster.isolate('c')
  cluster.tick(undefined, 20)
  t.equal(a.node.neededAfter(), lastIndex + 2, 'c does not')
  cluster.heal()
  cluster.tick(undefined, 4)
  // A learner that has nothing yet.
  cluster.loses = (message) => message.to === 'd'
  cluster.add('d')
  a.node.proposeConfChange({ steps: [{ kind: 'add-learner', id: 'd' }] })
  cluster.settle()
  t.equal(a.node.neededAfter(), 0)
})

t.test('the bound follows the size at which snapshots are taken', async (t) => {
  t.same(snapshotPolicyOf(), defaultSnapshotPolicy)
  t.match(snapshotPolicyOf({ logBytes: 1000 }), { logBytes: 1000, logBytesMax: 4000 })
  t.match(snapshotPolicyOf({ logBytesMax: 7 }), { logBytesMax: 7, entriesKept: 10_000 })
})
