// The driver: elections, proposals, reads, transfers, membership, restarts, on virtual time.
import {
  type ChangeOutcome,
  type ConfChangeStep,
  DamagedLogError,
  DiskError,
  type PeerMessage,
  type ProposeOutcome,
  type ReadOutcome,
  type TransferOutcome,
} from 'raft-ts'
import t from 'tap'
import { DriverCluster } from './support/driver-cluster.ts'
import { powerCut } from './support/storage.ts'

const three = (): DriverCluster => {
  const cluster = new DriverCluster(['a', 'b', 'c'])
  cluster.startAll()
  return cluster
}

const range = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `item ${from + i}`)

t.test('a single founding member leads at once', async (t) => {
  const cluster = new DriverCluster(['a'])
  cluster.startAll()
  cluster.until('it leads', () => cluster.host('a').leadership.role === 'leader', 50)
  t.same(cluster.host('a').leadership, { role: 'leader', leader: 'a', term: 2 })
  const index = cluster.commit('x')
  t.same(cluster.host('a').machine.items, ['x'])
  t.equal(cluster.host('a').machine.index, index)
})

t.test('three members elect one leader and all apply the same', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  for (const item of range(1, 50)) cluster.commit(item)
  cluster.time.pass(500)
  for (const host of cluster.hosts.values()) {
    t.same(host.machine.items, range(1, 50))
    t.equal(host.leadership.leader, leader.id)
    t.equal(host.failure, undefined)
  }
})

t.test('an outcome comes after the entry was applied, in the order of the proposals', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  const seen: string[] = []
  for (const item of range(1, 30)) {
    leader.driver?.propose(Buffer.from(item), (outcome) => {
      t.equal(outcome.kind, 'committed')
      t.ok(leader.machine.items.includes(item))
      seen.push(item)
    })
  }
  cluster.until('all have outcomes', () => seen.length === 30)
  t.same(seen, range(1, 30))
})

t.test(
  'what is committed is told with the next entries, and alone only when none come',
  async (t) => {
    const cluster = three()
    const leader = cluster.leader()
    cluster.time.pass(100)
    const commits: { readonly commit: number; readonly entries: number }[] = []
    cluster.filter = (_lane, message) => {
      if (message.kind === 'append' && message.to !== leader.id) {
        commits.push({ commit: message.commit, entries: message.entries.length })
      }
      return true
    }
    cluster.delayMs = 0.1
    const first = cluster.commit('one')
    for (const item of range(2, 20)) cluster.commit(item)
    const alone = commits.filter(({ entries }) => entries === 0)
    t.equal(alone.length, 0, 'no message that says nothing but what is committed')
    t.ok(commits.some(({ commit }) => commit > first))
    cluster.time.pass(5)
    for (const host of cluster.hosts.values()) t.equal(host.machine.items.length, 20)
    t.ok(commits.some(({ entries }) => entries === 0))
  },
)

t.test('what is held back is not told by a driver that has stopped', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.time.pass(100)
  cluster.commit('one')
  leader.driver?.stop(() => {})
  const before = cluster.sent
  cluster.filter = (_lane, message) => {
    if (message.from === leader.id) t.fail(`sent ${message.kind}`)
    return true
  }
  cluster.time.pass(50)
  t.ok(cluster.sent >= before)
})

t.test('a follower proposes nothing and names the leader', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.time.pass(300)
  const follower = cluster.host(leader.id === 'a' ? 'b' : 'a')
  t.same(follower.propose('x').outcome, { kind: 'not-leader', leader: leader.id })
  t.throws(() => leader.driver?.propose(new Uint8Array(0), () => {}), RangeError)
})

t.test(
  'what was proposed before the leader was cut off is lost or committed, never both',
  async (t) => {
    const cluster = three()
    const old = cluster.leader()
    cluster.commit('before')
    cluster.isolate(old.id)
    const doubtful = old.propose('doubtful')
    cluster.until('the old leader steps down', () => old.leadership.role !== 'leader')
    t.same(doubtful.outcome, { kind: 'lost' })
    t.equal(old.announced.at(-1)?.role === 'leader', false)
    const next = cluster.leader()
    t.not(next.id, old.id)
    cluster.commit('after')
    cluster.heal()
    cluster.time.pass(2000)
    for (const host of cluster.hosts.values()) t.same(host.machine.items, ['before', 'after'])
  },
)

t.test('reads are linearizable on every member, and end when there is no leader', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  const index = cluster.commit('x')
  for (const host of cluster.hosts.values()) {
    let outcome: ReadOutcome | undefined
    host.driver?.readIndex((result) => {
      outcome = result
      t.ok(host.machine.items.includes('x'), `${host.id} applied it before the read was answered`)
    })
    cluster.until('the read is answered', () => outcome !== undefined)
    t.match(outcome, { kind: 'ready' })
    t.ok(outcome?.kind === 'ready' && outcome.index >= index)
  }
  cluster.isolate(leader.id)
  const outcomes: ReadOutcome[] = []
  leader.driver?.readIndex((result) => outcomes.push(result))
  cluster.until('the cut-off leader gives up', () => outcomes.length === 1)
  t.same(outcomes, [{ kind: 'no-leader' }])
})

t.test('leadership is handed over without a gap in which nobody could be elected', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.commit('x')
  const to = leader.id === 'a' ? 'b' : 'a'
  const outcomes: TransferOutcome[] = []
  const startMs = cluster.time.nowMs
  leader.driver?.transferLeadership(to, (result) => outcomes.push(result))
  cluster.until('the transfer ends', () => outcomes.length === 1, 400)
  t.same(outcomes, [{ kind: 'done', leader: to }])
  t.ok(cluster.time.nowMs - startMs < 100)
  t.equal(cluster.leader().id, to)
  leader.driver?.transferLeadership(undefined, (result) => outcomes.push(result))
  t.same(outcomes[1], { kind: 'not-leader', leader: to })
  cluster.host(to).driver?.transferLeadership(to, (result) => outcomes.push(result))
  cluster.host(to).driver?.transferLeadership('nobody', (result) => outcomes.push(result))
  t.match(outcomes.slice(2), [{ kind: 'failed' }, { kind: 'failed' }])
})

t.test('a transfer to a member that does not answer fails and the leader leads on', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.commit('x')
  const to = leader.id === 'a' ? 'b' : 'a'
  cluster.isolate(to)
  const outcomes: TransferOutcome[] = []
  leader.driver?.transferLeadership(to, (result) => outcomes.push(result))
  t.equal(leader.propose('meanwhile').outcome?.kind, 'busy')
  cluster.until('the transfer ends', () => outcomes.length === 1)
  t.match(outcomes, [{ kind: 'failed' }])
  t.ok(cluster.commit('after') > 0)
})

t.test('a member is added as learner, becomes voter, and is removed', async (t) => {
  const cluster = new DriverCluster(['a', 'b', 'c'], ['d'])
  cluster.startAll()
  cluster.host('d').start()
  for (const item of range(1, 20)) cluster.commit(item)
  const outcomes: string[] = []
  const change = (kind: 'add-learner' | 'add-voter' | 'remove', id: string): void => {
    const before = outcomes.length
    cluster
      .leader()
      .driver?.change({ steps: [{ kind, id }] }, (outcome) => outcomes.push(outcome.kind))
    cluster.until('the change ends', () => outcomes.length > before)
  }
  change('add-learner', 'd')
  cluster.until('d caught up', () => cluster.host('d').machine.items.length === 20)
  change('add-voter', 'd')
  t.same(cluster.leader().driver?.status().conf.voters.toSorted(), ['a', 'b', 'c', 'd'])
  change('remove', 'd')
  t.same(cluster.leader().driver?.status().conf.voters.toSorted(), ['a', 'b', 'c'])
  t.same(outcomes, ['committed', 'committed', 'committed'])
  change('remove', 'nobody')
  t.equal(outcomes.at(-1), 'refused')
})

t.test('a killed member restarts and catches up by the log', async (t) => {
  const cluster = three()
  for (const item of range(1, 10)) cluster.commit(item)
  const victim = [...cluster.hosts.values()].find((host) => host !== cluster.leader())
  victim?.kill(powerCut)
  for (const item of range(11, 60)) cluster.commit(item)
  victim?.start()
  cluster.until('it caught up', () => victim?.machine.items.length === 60)
  t.same(victim?.machine.items, range(1, 60))
  t.equal(victim?.machine.restores, 0)
})

t.test('a killed leader is replaced, and nothing acknowledged is lost', async (t) => {
  const cluster = three()
  for (const item of range(1, 10)) cluster.commit(item)
  const old = cluster.leader()
  old.kill(powerCut)
  cluster.until('another leads', () => cluster.leader() !== old, 5000)
  for (const item of range(11, 20)) cluster.commit(item)
  old.start()
  cluster.until('it caught up', () => old.machine.items.length === 20)
  t.same(old.machine.items, range(1, 20))
})

t.test('all members killed at once come back with everything', async (t) => {
  const cluster = three()
  for (const item of range(1, 25)) cluster.commit(item)
  for (const host of cluster.hosts.values()) host.kill(powerCut)
  cluster.startAll()
  cluster.commit('after')
  t.same(cluster.leader().machine.items, [...range(1, 25), 'after'])
})

t.test('a stopped leader proves its quorum before it takes proposals again', async (t) => {
  const cluster = three()
  const old = cluster.leader()
  cluster.commit('x')
  old.freeze()
  cluster.until('another leads', () =>
    [...cluster.hosts.values()].some((host) => host !== old && host.leadership.role === 'leader'),
  )
  const outcomes: ProposeOutcome[] = []
  old.thaw()
  old.driver?.propose(Buffer.from('late'), (outcome) => outcomes.push(outcome))
  cluster.until('the old leader follows', () => old.leadership.role === 'follower')
  t.equal(
    outcomes.some((outcome) => outcome.kind === 'committed'),
    false,
  )
})

t.test('after a pause a leader takes nothing before its quorum answered', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.commit('x')
  for (const host of cluster.hosts.values()) if (host !== leader) cluster.isolate(host.id)
  const outcomes: ProposeOutcome[] = []
  leader.freeze()
  cluster.time.pass(600)
  // The proposal is the first to run, before the timer that is overdue.
  leader.thaw(() => leader.driver?.propose(Buffer.from('at once'), (o) => outcomes.push(o)))
  t.same(outcomes, [{ kind: 'busy' }])
  t.equal(leader.driver?.status().role, 'leader')
  cluster.heal()
  cluster.time.pass(20)
  t.ok(cluster.commit('after the answers') > 0)
})

t.test('leadership is announced only after an entry of the own term was applied', async (t) => {
  const cluster = three()
  for (const host of cluster.hosts.values()) host.machine.isHeld = true
  const leads = (): boolean =>
    [...cluster.hosts.values()].some((host) => host.driver?.status().role === 'leader')
  cluster.until('somebody leads', leads)
  cluster.time.pass(300)
  const leader = [...cluster.hosts.values()].find((at) => at.driver?.status().role === 'leader')
  t.equal(leader?.leadership.role, 'candidate')
  leader?.machine.release()
  cluster.time.pass(10)
  t.same(leader?.leadership, {
    role: 'leader',
    leader: leader?.id,
    term: leader?.driver?.status().term,
  })
})

t.test('a read waits until what was committed is applied here', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.commit('x')
  const host = [...cluster.hosts.values()].find((other) => other !== leader)
  if (host === undefined) throw new Error('no other host')
  cluster.time.pass(200)
  host.machine.isHeld = true
  cluster.commit('y')
  cluster.time.pass(200)
  let outcome: ReadOutcome | undefined
  host.driver?.readIndex((result) => {
    outcome = result
  })
  cluster.time.pass(300)
  t.equal(outcome, undefined)
  host.machine.release()
  cluster.time.pass(10)
  t.match(outcome, { kind: 'ready' })
})

t.test('a slow state machine holds back what is applied, not what is replicated', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.commit('first')
  leader.machine.isHeld = true
  const results = range(1, 20).map((item) => leader.propose(item))
  cluster.time.pass(200)
  t.ok(results.every((result) => result.outcome === undefined))
  const other = [...cluster.hosts.values()].find((host) => host !== leader)
  t.equal(other?.machine.items.length, 21)
  leader.machine.release()
  cluster.time.pass(50)
  t.ok(results.every((result) => result.outcome?.kind === 'committed'))
})

t.test(
  'slow flushes stretch the election time-outs, and fast ones shrink them again',
  async (t) => {
    const cluster = three()
    for (const host of cluster.hosts.values()) host.diskMs = 150
    cluster.until('a leader in spite of slow disks', () => cluster.leader() !== undefined, 60_000)
    cluster.commit('x')
    cluster.time.pass(1000)
    const slow = cluster.leader().driver?.status().electionTimeoutMs ?? 0
    t.ok(slow > 500, `${slow} ms`)
    for (const host of cluster.hosts.values()) host.diskMs = 0.1
    for (let i = 0; i < 120; i++) cluster.commit(`y${i}`)
    cluster.time.pass(10_000)
    t.equal(cluster.leader().driver?.status().electionTimeoutMs, 500)
  },
)

t.test('a slow network stretches them too, and the leader stays', async (t) => {
  const cluster = three()
  cluster.delayMs = 350
  for (const host of cluster.hosts.values()) host.diskMs = 2
  cluster.until('a leader in spite of slow messages', () => cluster.leader() !== undefined, 60_000)
  cluster.time.pass(5000)
  const leader = cluster.leader()
  const { term } = leader.leadership
  const slow = leader.driver?.status().electionTimeoutMs ?? 0
  t.ok(slow > 1000, `${slow} ms`)
  cluster.time.pass(20_000)
  t.match(leader.leadership, { role: 'leader', term }, 'nobody campaigned')
  cluster.delayMs = 1
  cluster.time.pass(20_000)
  t.equal(leader.driver?.status().electionTimeoutMs, 500)
})

t.test('a leader is found on a network slower than any time-out as configured', async (t) => {
  const cluster = three()
  cluster.delayMs = 600
  for (const host of cluster.hosts.values()) host.diskMs = 2
  cluster.until('a leader', () => cluster.leader() !== undefined, 10_000)
  cluster.commit('x')
  const { term } = cluster.leader().leadership
  cluster.time.pass(20_000)
  t.match(cluster.leader().leadership, { term }, 'which stays')
})

t.test(
  'what the old leader said before it was cut off does not make the next one patient',
  async (t) => {
    const cluster = three()
    const old = cluster.leader()
    cluster.commit('x')
    const fromMs = cluster.time.nowMs
    const late: PeerMessage[] = []
    // It hears nobody, and what it says waits in the network as soon as that notices.
    cluster.filter = (_lane, message) => {
      const isLate = message.kind === 'heartbeat' && cluster.time.nowMs > fromMs + 250
      if (message.from === old.id && isLate) late.push(message)
      return message.to !== old.id && !(message.from === old.id && isLate)
    }
    cluster.until('another leader', () => cluster.leader() !== old)
    const next = cluster.leader()
    t.ok(cluster.time.nowMs < fromMs + 600, `after ${cluster.time.nowMs - fromMs} ms`)
    t.ok(late.some(({ to }) => to === next.id))
    for (const message of late) cluster.host(message.to).receive(message)
    cluster.time.pass(100)
    t.equal(next.driver?.status().electionTimeoutMs, 500)
  },
)

t.test('a leader that takes itself out is told so, and leaves others in peace', async (t) => {
  const cluster = three()
  const old = cluster.leader()
  cluster.commit('x')
  const outcomes: string[] = []
  const pending = Array.from({ length: 5 }, (_, i) => old.propose(`before ${i}`))
  old.driver?.change({ steps: [{ kind: 'remove', id: old.id }] }, ({ kind }) => outcomes.push(kind))
  const startMs = cluster.time.nowMs
  cluster.until('another leads', () => cluster.leader() !== old)
  t.ok(cluster.time.nowMs - startMs < 100, 'it handed over, nobody waited for a time-out')
  t.same(outcomes, ['committed'])
  t.ok(pending.every(({ outcome }) => outcome?.kind === 'committed'))
  const { term } = cluster.leader().leadership
  cluster.time.pass(10_000)
  cluster.commit('y')
  t.equal(cluster.leader().leadership.term, term, 'it never disturbs')
  t.equal(old.leadership.role, 'follower')
  t.notOk(old.machine.items.includes('y'))
  t.same(cluster.leader().driver?.status().conf.voters.length, 2)
})

t.test(
  'changes that are committed and not applied when a leader takes itself out each tell their own index (simulation seed 77758)',
  async (t) => {
    const cluster = three()
    const old = cluster.leader()
    const other = ['a', 'b', 'c'].find((id) => id !== old.id) ?? ''
    cluster.commit('x')
    old.machine.isHeld = true
    old.propose('y')
    const outcomes: ChangeOutcome[] = []
    const change = (step: ConfChangeStep): void =>
      old.driver?.change({ steps: [step] }, (outcome) => outcomes.push(outcome))
    change({ kind: 'add-learner', id: other })
    cluster.until('it holds alone', () => {
      const { conf, confIndex, commit } = old.driver?.status() ?? {}
      return conf?.outgoing.length === 0 && conf.learners.includes(other) && confIndex === commit
    })
    const first = old.driver?.status().confIndex
    t.same(outcomes, [], 'it is not applied here')
    change({ kind: 'remove', id: old.id })
    cluster.until('it steps down', () => old.leadership.role !== 'leader')
    const second = old.driver?.status().confIndex
    t.match(outcomes, [
      { kind: 'committed', index: first },
      { kind: 'committed', index: second },
    ])
    t.not(first, second)
  },
)

t.test('a change that is not committed when leadership ends is lost', async (t) => {
  for (const step of [
    { kind: 'remove', id: 'a' },
    { kind: 'add-learner', id: 'd' },
  ] as const) {
    const cluster = three()
    const old = cluster.leader()
    cluster.commit('x')
    cluster.isolate(old.id)
    const outcomes: string[] = []
    old.driver?.change({ steps: [step] }, ({ kind }) => outcomes.push(kind))
    cluster.until('it steps down', () => old.leadership.role !== 'leader')
    t.same(outcomes, ['lost'], step.kind)
  }
})

t.test('reads that come together ask the leader once, on every kind of member', async (t) => {
  const cluster = new DriverCluster(['a', 'b', 'c'], ['l'])
  const waiting: (() => void)[] = []
  const defer = (run: () => void): void => {
    waiting.push(run)
    cluster.time.after(0, () => waiting.shift()?.())
  }
  cluster.startAll({ defer })
  cluster.host('l').start({ defer })
  const leader = cluster.leader()
  leader.driver?.change({ steps: [{ kind: 'add-learner', id: 'l' }] }, () => {})
  cluster.commit('x')
  cluster.time.pass(300)
  let asked = 0
  cluster.filter = (_, message) => {
    if (message.kind === 'read-index') asked += 1
    return true
  }
  for (const host of cluster.hosts.values()) {
    const outcomes: ReadOutcome[] = []
    for (let i = 0; i < 500; i++) host.driver?.readIndex((outcome) => outcomes.push(outcome))
    cluster.until('all are answered', () => outcomes.length === 500)
    t.ok(outcomes.every(({ kind }) => kind === 'ready'))
  }
  t.equal(asked, 3, 'one question from each member that does not lead')
})

t.test('a failing disk ends the driver, and requests with it', async (t) => {
  const cluster = three()
  const leader = cluster.leader()
  cluster.commit('x')
  leader.disk.fault = (operation) => {
    if (operation === 'sync') throw new DiskError('FULL', 'no space left')
  }
  const result = leader.propose('y')
  cluster.until('it failed', () => leader.failure !== undefined)
  t.type(leader.failure, DiskError)
  t.same(result.outcome, { kind: 'lost' })
  t.same(leader.propose('z').outcome, { kind: 'lost' })
  cluster.until('another leads', () =>
    [...cluster.hosts.values()].some(
      (host) => host !== leader && host.leadership.role === 'leader',
    ),
  )
})

t.test('damage found while serving ends the driver with a typed error', async (t) => {
  const cluster = new DriverCluster(['a', 'b', 'c'])
  cluster.startAll({ tuning: { cacheBytesMax: 0 } })
  const victim = cluster.leader()
  const away = [...cluster.hosts.values()].find((host) => host !== victim)
  away?.kill(powerCut)
  for (const item of range(1, 30)) cluster.commit(item)
  const name =
    victim.disk
      .list()
      .filter((file) => file.startsWith('log-'))
      .sort()[0] ?? ''
  for (let at = 300; at < 2000; at += 50) victim.disk.flip(name, at * 8)
  away?.start()
  cluster.until('the damage is found', () => victim.failure !== undefined)
  t.type(victim.failure, DamagedLogError)
})

t.test('stopping closes the log in order and loses nothing', async (t) => {
  const cluster = three()
  cluster.commit('x')
  const ended: (Error | undefined)[] = []
  for (const host of cluster.hosts.values()) host.driver?.stop((err) => ended.push(err))
  cluster.time.pass(100)
  t.same(ended, [undefined, undefined, undefined])
  cluster.startAll()
  cluster.commit('y')
  t.same(cluster.leader().machine.items, ['x', 'y'])
})
