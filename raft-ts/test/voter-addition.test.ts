// A voter added in one request: learner, caught up, promoted. And all that may come between. Source: thesis 4.2.1.
import type { AddVoterOutcome, ConfChangeStep, DriverOptions } from 'raft-ts'
import t from 'tap'
import { DriverCluster, type Host } from './support/driver-cluster.ts'
import { powerCut } from './support/storage.ts'

const item = (i: number): string => `${i} ${'x'.repeat(500)}`

function withJoiner(options: Partial<DriverOptions> = {}): DriverCluster {
  const cluster = new DriverCluster(['a', 'b', 'c'], ['d', 'e'])
  cluster.startAll(options)
  cluster.commit('first')
  return cluster
}

function addVoter(host: Host, id: string): AddVoterOutcome[] {
  const outcomes: AddVoterOutcome[] = []
  host.driver?.addVoter(id, (outcome) => outcomes.push(outcome))
  return outcomes
}

function change(host: Host, ...steps: readonly ConfChangeStep[]): string[] {
  const outcomes: string[] = []
  host.driver?.change({ steps }, (outcome) => outcomes.push(outcome.kind))
  return outcomes
}

function voters(host: Host): readonly string[] {
  return host.driver?.status().conf.voters.toSorted() ?? []
}

/** Keeps proposing, so that the log never stands still. */
function load(cluster: DriverCluster, everyMs: number): { stop(): void } {
  let isRunning = true
  let count = 0
  const turn = (): void => {
    if (!isRunning) return
    count += 1
    cluster.leader().propose(item(count))
    cluster.time.after(everyMs, turn)
  }
  turn()
  return {
    stop: () => {
      isRunning = false
    },
  }
}

t.test('an empty member becomes a voter, under load, by a snapshot and entries', async (t) => {
  const policy = { snapshotPolicy: { logBytes: 10_000, entriesKept: 5 } }
  const cluster = withJoiner(policy)
  const leader = cluster.leader()
  for (let i = 1; i <= 100; i++) cluster.commit(item(i))
  const running = load(cluster, 5)
  cluster.host('d').start(policy)
  const outcomes = addVoter(leader, 'd')
  cluster.until('it is a learner first', () => {
    const { conf } = leader.driver?.status() ?? {}
    return conf?.learners.includes('d') === true && !conf.voters.includes('d')
  })
  cluster.until('it is answered', () => outcomes.length > 0)
  t.match(outcomes, [{ kind: 'committed' }])
  t.same(voters(leader), ['a', 'b', 'c', 'd'])
  t.match(leader.driver?.status().conf, { outgoing: [], learners: [] })
  t.equal(cluster.host('d').machine.restores, 1)
  running.stop()
  cluster.time.pass(500)
  t.same(cluster.host('d').machine.items, leader.machine.items)
})

t.test('a learner that is one already is only promoted; a voter is one', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  cluster.host('d').start()
  const learner = change(leader, { kind: 'add-learner', id: 'd' })
  cluster.until('it is a learner', () => learner.length > 0)
  cluster.time.pass(100)
  const { confIndex = 0 } = leader.driver?.status() ?? {}
  const outcomes = addVoter(leader, 'd')
  cluster.until('it is answered', () => outcomes.length > 0)
  t.match(outcomes, [{ kind: 'committed', index: confIndex + 2 }], 'joint, and left')
  t.match(addVoter(leader, 'd'), [{ kind: 'committed', index: confIndex + 2 }], 'at once')
})

t.test('only a leader adds, one at a time, and members have ids', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  cluster.time.pass(300)
  const follower = cluster.host(leader.id === 'a' ? 'b' : 'a')
  t.same(addVoter(follower, 'd'), [{ kind: 'not-leader', leader: leader.id }])
  t.match(addVoter(leader, ''), [{ kind: 'refused', reason: /names no node/ }])
  const outcomes = addVoter(leader, 'd')
  t.same(addVoter(leader, 'e'), [{ kind: 'busy' }])
  leader.driver?.stop(() => {})
  t.same(outcomes, [{ kind: 'lost' }])
  t.same(addVoter(leader, 'd'), [{ kind: 'lost' }])
})

t.test('a member that never answers stays a learner, and the reason is told', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  const outcomes = addVoter(leader, 'd')
  cluster.until('it is given up', () => outcomes.length > 0, 30_000)
  t.match(outcomes, [{ kind: 'not-caught-up', reason: /learner d: it does not answer/ }])
  t.match(leader.driver?.status().conf, { learners: ['d'], outgoing: [] })
  t.equal(cluster.leader(), leader)
  cluster.host('d').start()
  const again = addVoter(leader, 'd')
  cluster.until('once it runs it is added', () => again.length > 0)
  t.match(again, [{ kind: 'committed' }])
})

t.test('a learner that dies after it had caught up is not promoted', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  cluster.host('d').start()
  const learner = change(leader, { kind: 'add-learner', id: 'd' })
  cluster.until('it is a learner', () => learner.length > 0)
  cluster.time.pass(300)
  cluster.host('d').kill(powerCut)
  const outcomes = addVoter(leader, 'd')
  cluster.until('it is given up', () => outcomes.length > 0, 30_000)
  t.match(outcomes, [{ kind: 'not-caught-up' }])
  t.same(voters(leader), ['a', 'b', 'c'])
})

t.test('removed while it caught up, it is not added again', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  const outcomes = addVoter(leader, 'd')
  cluster.until('it is a learner', () => {
    const { conf, confIndex = 0, applied = 0 } = leader.driver?.status() ?? {}
    return conf?.learners.includes('d') === true && applied >= confIndex
  })
  cluster.time.pass(200)
  const removed = change(leader, { kind: 'remove', id: 'd' })
  cluster.until('it is answered', () => outcomes.length > 0)
  t.same(removed, ['committed'])
  t.match(outcomes, [{ kind: 'refused', reason: /member d was removed/ }])
  cluster.time.pass(1000)
  t.match(leader.driver?.status().conf, { learners: [], outgoing: [] })
})

t.test('promoted by somebody else meanwhile, it is a voter', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  const outcomes = addVoter(leader, 'd')
  cluster.time.pass(300)
  const other = change(leader, { kind: 'add-voter', id: 'd' })
  cluster.until('both are answered', () => outcomes.length > 0 && other.length > 0)
  t.same(other, ['committed'])
  t.match(outcomes, [{ kind: 'committed' }])
})

t.test('another change goes first', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  for (const id of ['d', 'e']) cluster.host(id).start()
  const other = change(leader, { kind: 'add-learner', id: 'e' })
  const outcomes = addVoter(leader, 'd')
  cluster.until('both are answered', () => outcomes.length > 0 && other.length > 0)
  t.same(other, ['committed'])
  t.match(outcomes, [{ kind: 'committed' }])
  t.match(leader.driver?.status().conf, { learners: ['e'] })
})

t.test('a transfer that does not end makes it give up waiting', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  cluster.filter = (_, message) => message.kind !== 'timeout-now'
  const [other] = [...cluster.hosts.values()].filter((host) => host !== leader)
  const outcomes: AddVoterOutcome[] = []
  const again = (): void => {
    if (outcomes.length === 0) leader.driver?.transferLeadership(other?.id, again)
  }
  again()
  leader.driver?.addVoter('d', (outcome) => outcomes.push(outcome))
  cluster.until('it is given up', () => outcomes.length > 0, 30_000)
  t.same(outcomes, [{ kind: 'busy' }])
})

t.test('the end of the leadership ends it, and the next leader can be asked', async (t) => {
  const cluster = withJoiner()
  const old = cluster.leader()
  const outcomes = addVoter(old, 'd')
  cluster.time.pass(200)
  old.driver?.stepDown()
  t.same(outcomes, [{ kind: 'lost' }])
  cluster.until('another leads', () => cluster.leader() !== old)
  cluster.host('d').start()
  const again = addVoter(cluster.leader(), 'd')
  cluster.until('it is answered', () => again.length > 0)
  t.match(again, [{ kind: 'committed' }])
  t.same(voters(cluster.leader()), ['a', 'b', 'c', 'd'])
})

t.test('a leader that cannot commit the promotion loses it', async (t) => {
  const cluster = withJoiner()
  const leader = cluster.leader()
  cluster.host('d').start()
  cluster.filter = (_, message) =>
    message.kind !== 'append' ||
    !message.entries.some((entry) => entry.kind === 'conf' && entry.conf.outgoing.length > 0)
  const outcomes = addVoter(leader, 'd')
  cluster.until(
    'the promotion is under way',
    () => leader.driver?.status().conf.outgoing.length === 3,
  )
  cluster.isolate(leader.id)
  cluster.until('it is answered', () => outcomes.length > 0)
  t.same(outcomes, [{ kind: 'lost' }])
  cluster.filter = () => true
  cluster.heal()
  cluster.until('another leads', () => cluster.leader() !== leader)
  cluster.commit('after')
  cluster.time.pass(1000)
  t.same(voters(leader), ['a', 'b', 'c'], 'rolled back')
})

t.test('while it goes on, leadership is not handed over to a preferred member', async (t) => {
  const priorities: Record<string, number> = {}
  const cluster = withJoiner({ priorityOf: (id) => priorities[id] ?? 0 })
  const leader = cluster.leader()
  const preferred = leader.id === 'a' ? 'b' : 'a'
  const outcomes = addVoter(leader, 'd')
  priorities[preferred] = 1
  cluster.time.pass(8000)
  t.equal(leader.leadership.role, 'leader')
  cluster.until('it is given up', () => outcomes.length > 0, 10_000)
  t.match(outcomes, [{ kind: 'not-caught-up' }])
  cluster.until('afterwards it is', () => cluster.host(preferred).leadership.role === 'leader')
})
