// Faults one by one: that each does what its script says, and nothing where it no longer applies.
import { defaultSnapshotPolicy } from 'raft-ts'
import t from 'tap'
import { Ambush } from '../build/testing/ambush.js'
import { CrashTrap } from '../build/testing/crash-trap.js'
import type { Fault } from '../build/testing/fault.js'
import { strike } from '../build/testing/fault-strike.js'
import { SimCluster } from '../build/testing/sim-cluster.js'

function aCluster(seed = 1): SimCluster {
  const cluster = new SimCluster({
    seed,
    nodes: 3,
    tuning: {},
    snapshotPolicy: defaultSnapshotPolicy,
    skipsFlush: false,
    onTrace: undefined,
  })
  until(cluster, () => cluster.leader() !== undefined && cluster.oracle.lastApplied > 1)
  return cluster
}

/** Runs until the condition holds. */
function until({ world }: SimCluster, holds: () => boolean): void {
  while (!holds()) if (!world.step(60_000)) throw new Error('it never came to that')
}

function strikeAll(cluster: SimCluster, ...faults: readonly Fault[]): void {
  for (const fault of faults) strike(cluster, fault)
}

function leaderOf(cluster: SimCluster): NonNullable<ReturnType<SimCluster['leader']>> {
  const leader = cluster.leader()
  if (leader === undefined) throw new Error('nobody leads')
  return leader
}

t.test('a crashed leader comes back, and another one leads', async (t) => {
  const cluster = aCluster()
  const leader = leaderOf(cluster)
  strikeAll(cluster, { kind: 'crash', who: 'leader', downMs: 2000 })
  t.notOk(leader.isUp)
  until(cluster, () => leader.isUp)
  t.equal(leader.life, 2)
  t.not(leaderOf(cluster), leader)
  t.match(cluster.coverage.counts(), { crashes: 1, crashesOfLeader: 1, electionsWon: 2 })
})

t.test(
  'an aimed crash waits for its moment, and what follows in the same step never was',
  async (t) => {
    for (const moment of ['append', 'sync', 'synced', 'send'] as const) {
      const cluster = aCluster()
      const leader = leaderOf(cluster)
      strikeAll(cluster, { kind: 'crash-at', who: 'leader', moment, skip: 0, downMs: 10 })
      t.ok(leader.isUp)
      const before = cluster.oracle.lastCommitted
      leader.propose(new Uint8Array(40), () => t.fail('a dead process answers nothing'))
      until(cluster, () => !leader.isUp)
      until(cluster, () => leader.isUp && cluster.leader() !== undefined)
      t.ok(cluster.oracle.lastCommitted >= before)
      t.equal(cluster.coverage.counts().crashes, 1, moment)
    }
  },
)

t.test('an aimed crash lets others of its kind pass', async (t) => {
  const trap = new CrashTrap()
  let sprung = 0
  trap.arm('sync', 2, () => (sprung += 1))
  for (const moment of ['append', 'sync', 'sync', 'send'] as const) trap.met(moment)
  t.equal(sprung, 0)
  trap.met('sync')
  trap.met('sync')
  t.equal(sprung, 1)
  trap.arm('sync', 0, () => (sprung += 1))
  trap.disarm()
  trap.met('sync')
  t.equal(sprung, 1)
})

t.test('aimed crashes of several kinds wait side by side', async (t) => {
  const trap = new CrashTrap()
  const sprung: string[] = []
  trap.arm('snapshot', 0, () => sprung.push('snapshot'))
  trap.arm('sync', 0, () => sprung.push('sync'))
  trap.arm('send', 0, () => sprung.push('send'))
  trap.met('sync')
  t.same(sprung, ['sync'])
  trap.died()
  trap.met('send')
  trap.met('snapshot')
  t.same(sprung, ['sync', 'snapshot'], 'a rare moment is waited for beyond a death')
})

t.test('an ambush is for the next leader, after so many appends', async (t) => {
  const ambush = new Ambush<string>()
  const struck: string[] = []
  ambush.lay(3, 2, (leader) => struck.push(leader))
  ambush.lay(3, 0, () => t.fail('one is laid already'))
  for (let i = 0; i < 5; i++) ambush.met('old', 3)
  ambush.met('new', 4)
  ambush.met('new', 4)
  t.same(struck, [])
  ambush.met('new', 4)
  ambush.met('new', 4)
  t.same(struck, ['new'])
  ambush.lay(4, 0, (leader) => struck.push(leader))
  ambush.lift()
  ambush.met('newer', 5)
  t.same(struck, ['new'])
})

t.test('an ambush strikes leader after leader', async (t) => {
  const cluster = aCluster()
  const blow = { after: 1, act: 'roll', downMs: 10 } as const
  strikeAll(
    cluster,
    { kind: 'ambush', blows: [blow, { ...blow, act: 'crash' }] },
    { kind: 'crash', who: 'leader', downMs: 10 },
  )
  until(cluster, () => cluster.coverage.counts().leadersAmbushed === 2)
  t.ok(cluster.coverage.counts().crashes >= 2)
})

t.test('partitions: one way or both', async (t) => {
  const cluster = aCluster()
  const old = leaderOf(cluster)
  strikeAll(cluster, { kind: 'cut-off', who: 'leader', together: [], way: 'out' })
  until(cluster, () => cluster.leader() !== old && cluster.leader() !== undefined)
  until(cluster, () => old.view?.role === 'follower')
  strikeAll(
    cluster,
    { kind: 'heal' },
    { kind: 'cut-off', who: 'leader', together: [], way: 'both' },
  )
  const cutOff = leaderOf(cluster)
  until(cluster, () => cutOff.view?.role !== 'leader')
  t.ok(cluster.coverage.counts().stepDowns >= 1)
})

t.test('a lost quorum: one member goes on alone, and others can join it', async (t) => {
  const cluster = aCluster()
  strikeAll(cluster, { kind: 'lose-quorum', survivor: 'n2' })
  t.same([...cluster.members.keys()], ['n2'])
  until(cluster, () => cluster.leader()?.id === 'n2' && cluster.isConfigured('n2'))
  until(cluster, () => cluster.oracle.conf?.voters.join() === 'n2')
  t.equal(cluster.coverage.counts().clustersForcedNew, 1)
  strikeAll(cluster, { kind: 'join', id: 'n4', as: 'add-voter', forgotten: [] })
  until(cluster, () => cluster.oracle.conf?.voters.join() === 'n2,n4')
})

t.test('a new member is a voter once it has caught up', async (t) => {
  const cluster = aCluster()
  strikeAll(cluster, { kind: 'join', id: 'n4', as: 'caught-up', forgotten: [] })
  until(cluster, () => cluster.oracle.conf?.learners.includes('n4') === true)
  until(cluster, () => cluster.coverage.counts().votersCaughtUp === 1)
  t.ok(cluster.oracle.conf?.voters.includes('n4'))
})

t.test('a learner is promoted, unless it does not catch up', async (t) => {
  const cluster = aCluster()
  strikeAll(cluster, { kind: 'join', id: 'n4', as: 'add-learner', forgotten: [] })
  until(cluster, () => cluster.oracle.conf?.learners.includes('n4') === true)
  strikeAll(
    cluster,
    { kind: 'cut-off', who: 'n4', together: [], way: 'both' },
    { kind: 'promote', id: 'n4' },
  )
  until(cluster, () => cluster.coverage.counts().additionsFailed === 1)
  strikeAll(cluster, { kind: 'heal' }, { kind: 'promote', id: 'n4' })
  until(cluster, () => cluster.oracle.conf?.voters.includes('n4') === true)
  until(cluster, () => cluster.coverage.counts().votersCaughtUp === 1)
  t.ok(cluster.oracle.conf?.voters.includes('n4'))
})

t.test('a transfer is given up after a while, and the leader leads on', async (t) => {
  const cluster = aCluster()
  const leader = leaderOf(cluster)
  const other = [...cluster.members.values()].find((member) => member !== leader)
  if (other === undefined) throw new Error('a cluster of one')
  strikeAll(
    cluster,
    { kind: 'stop', who: other.id, forMs: 60_000 },
    { kind: 'transfer', to: other.id, abortAfterMs: 100 },
  )
  until(cluster, () => cluster.coverage.counts().transfersAborted === 1)
  t.equal(leader.view?.role, 'leader')
  let outcome = ''
  leader.propose(new Uint8Array(8), ({ kind }) => {
    outcome = kind
  })
  until(cluster, () => outcome === 'committed')
})

t.test('a transfer without a target goes to somebody', async (t) => {
  const cluster = aCluster()
  const leader = leaderOf(cluster)
  strikeAll(cluster, { kind: 'transfer', to: undefined, abortAfterMs: undefined })
  until(cluster, () => cluster.leader() !== leader && cluster.leader() !== undefined)
  until(cluster, () => cluster.coverage.counts().transfersDone === 1)
  t.match(cluster.coverage.counts(), { transfersFailed: 0, crashes: 0 })
})

t.test('leadership goes to whoever is preferred', async (t) => {
  const cluster = aCluster()
  const leader = leaderOf(cluster)
  const other = [...cluster.members.keys()].find((id) => id !== leader.id) ?? ''
  strikeAll(cluster, { kind: 'prefer', who: other, priority: 2 })
  until(cluster, () => cluster.leader()?.id === other)
  t.match(cluster.coverage.counts(), { handOversByPriority: 1, crashes: 0 })
})

t.test('rot strikes one member at most, and never one of two voters', async (t) => {
  const cluster = aCluster()
  strikeAll(
    cluster,
    { kind: 'rot', who: 'n1', ofVote: false, downMs: 10 },
    { kind: 'rot', who: 'n2', ofVote: true, downMs: undefined },
    { kind: 'change', steps: [{ kind: 'remove', id: 'n3' }], crash: undefined },
  )
  t.same(
    [...cluster.members.values()].map(({ disk }) => disk.hasRotted),
    [true, false, false],
  )
  t.equal(cluster.fewestVoters, 3, 'nor is such a cluster made smaller')
})

t.test('what no longer applies does nothing', async (t) => {
  const cluster = aCluster()
  strikeAll(
    cluster,
    { kind: 'crash', who: 'n9', downMs: 1 },
    { kind: 'crash-at', who: 'n9', moment: 'sync', skip: 0, downMs: 1 },
    { kind: 'stop', who: 'n9', forMs: 1 },
    { kind: 'cut-off', who: 'n9', together: [], way: 'both' },
    { kind: 'disk', who: 'n9', weather: { appendMs: [0, 1], syncMs: [0, 1], failing: 1 } },
    { kind: 'skew', who: 'n9', rate: 2 },
    { kind: 'rot', who: 'n9', ofVote: false, downMs: 1 },
    { kind: 'compact', who: 'n9' },
    { kind: 'rotate-keys', who: 'n9', which: 'data' },
    { kind: 'promote', id: 'n9' },
    { kind: 'transfer', to: 'n9', abortAfterMs: undefined },
    { kind: 'join', id: 'n1', as: 'add-voter', forgotten: ['n2'] },
    { kind: 'lose-quorum', survivor: 'n9' },
  )
  t.equal(cluster.members.size, 3)
  t.match(cluster.coverage.counts(), { crashes: 0, processesStopped: 0, membersJoined: 0 })
})
