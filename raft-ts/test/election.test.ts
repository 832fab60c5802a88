// Elections and terms, rule by rule. Each test names its section.
import type { Message } from 'raft-ts'
import t from 'tap'
import {
  Cluster,
  diskWithTerms,
  drawOf,
  foundedDisk,
  Peer,
  type PeerOptions,
  plainConf,
} from './support/cluster.ts'

const abc = ['a', 'b', 'c']
/** The rules of the paper alone. */
const plain: PeerOptions = { tuning: { preVote: false, checkQuorum: false } }

function peerOf(options: PeerOptions = {}): Peer {
  const peer = new Peer('a', { disk: foundedDisk(abc), ...options })
  peer.pump()
  return peer
}

function vote(overrides: Partial<Extract<Message, { kind: 'vote' }>> = {}): Message {
  return {
    kind: 'vote',
    from: 'b',
    to: 'a',
    term: 2,
    lastIndex: 1,
    lastTerm: 1,
    force: false,
    ...overrides,
  }
}

function heartbeat(from: string, term: number): Message {
  return { kind: 'heartbeat', from, to: 'a', term, commit: 0, round: 0 }
}

t.test(
  'figure 2, all servers: a newer term is entered as follower, the vote is forgotten',
  async (t) => {
    const a = peerOf(plain)
    a.node.campaign()
    a.pump()
    t.match(a.node.status(), { role: 'candidate', term: 2, vote: 'a' })
    a.node.step(heartbeat('b', 5))
    a.pump()
    t.match(a.node.status(), { role: 'follower', term: 5, vote: undefined, leader: 'b' })
  },
)

t.test('figure 2, RequestVote 1: an older term gets nothing', async (t) => {
  const a = peerOf(plain)
  a.node.step(heartbeat('c', 5))
  a.pump()
  a.node.step(vote({ term: 4 }))
  t.same(a.pump(), [])
  t.equal(a.node.status().vote, undefined)
})

t.test(
  'figure 2, RequestVote 2: one vote a term, first come first served, repeatable',
  async (t) => {
    const a = peerOf(plain)
    const ask = (message: Message): boolean | undefined => {
      a.node.step(message)
      const answer = a.pump().find((sent) => sent.kind === 'vote-response')
      return answer?.kind === 'vote-response' ? answer.granted : undefined
    }
    t.equal(ask(vote({ from: 'b' })), true)
    t.equal(ask(vote({ from: 'c' })), false)
    t.equal(ask(vote({ from: 'b' })), true)
    t.equal(ask(vote({ from: 'c', term: 3 })), true)
  },
)

t.test('figure 2: the vote survives a restart', async (t) => {
  const a = peerOf(plain)
  a.node.step(vote({ from: 'b' }))
  a.pump()
  const again = a.restarted(plain)
  again.node.step(vote({ from: 'c' }))
  t.match(again.pump(), [{ kind: 'vote-response', to: 'c', granted: false }])
})

t.test('5.2: a follower campaigns after its time-out without a leader, not before', async (t) => {
  const a = peerOf({ ...plain, random: () => drawOf(0.5) })
  for (let i = 0; i < 14; i++) a.node.tick()
  t.equal(a.role, 'follower')
  a.node.step(heartbeat('b', 1))
  for (let i = 0; i < 14; i++) a.node.tick()
  t.equal(a.role, 'follower')
  a.node.tick()
  t.equal(a.role, 'candidate')
  const asked = a.pump().filter((message) => message.kind === 'vote')
  t.match(asked, [
    { to: 'b', term: 2, lastIndex: 1, lastTerm: 1 },
    { to: 'c', term: 2, lastIndex: 1, lastTerm: 1 },
  ])
})

t.test('5.2: time-outs are drawn anew between one and two election time-outs', async (t) => {
  const seen = new Set<number>()
  for (let draw = 0; draw < 10; draw++) {
    const a = peerOf({ ...plain, random: () => drawOf(draw / 10) })
    let ticks = 0
    while (a.role === 'follower') {
      a.node.tick()
      ticks += 1
    }
    seen.add(ticks)
  }
  t.same(
    [...seen].sort((x, y) => x - y),
    [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
  )
})

t.test('9.3: short time-outs are more likely than long ones', async (t) => {
  const patience = (draw: number): number => {
    const a = peerOf({ ...plain, random: () => draw })
    let ticks = 0
    while (a.role === 'follower') {
      a.node.tick()
      ticks += 1
    }
    return ticks
  }
  const draws = Array.from({ length: 100 }, (_, i) => patience(i / 100))
  t.ok(draws.filter((ticks) => ticks < 12).length > 40, 'four in ten within a tick or two')
  t.ok(draws.filter((ticks) => ticks >= 15).length > 25, 'and a quarter much later')
})

t.test('5.2: a candidate wins with a majority, its own vote included', async (t) => {
  const a = peerOf(plain)
  a.node.campaign()
  a.pump()
  a.node.step({ kind: 'vote-response', from: 'b', to: 'a', term: 2, granted: false })
  t.equal(a.role, 'candidate')
  a.node.step({ kind: 'vote-response', from: 'c', to: 'a', term: 2, granted: true })
  t.equal(a.role, 'leader')
})

t.test('5.2: a majority against it ends a campaign', async (t) => {
  const a = peerOf(plain)
  a.node.campaign()
  a.pump()
  for (const from of ['b', 'c']) {
    a.node.step({ kind: 'vote-response', from, to: 'a', term: 2, granted: false })
  }
  t.match(a.node.status(), { role: 'follower', term: 2, vote: 'a' })
})

t.test(
  '5.2: answers to an earlier term, repeated answers and answers of strangers do not count',
  async (t) => {
    const a = new Peer('a', { ...plain, disk: foundedDisk(['a', 'b', 'c', 'd', 'e']) })
    a.node.campaign()
    a.pump()
    a.node.campaign()
    a.pump()
    t.equal(a.node.status().term, 3)
    a.node.step({ kind: 'vote-response', from: 'b', to: 'a', term: 2, granted: true })
    a.node.step({ kind: 'vote-response', from: 'c', to: 'a', term: 3, granted: true })
    a.node.step({ kind: 'vote-response', from: 'c', to: 'a', term: 3, granted: true })
    a.node.step({ kind: 'vote-response', from: 'x', to: 'a', term: 3, granted: true })
    t.equal(a.role, 'candidate')
  },
)

t.test('5.2: a candidate yields to a leader of its term', async (t) => {
  for (const kind of ['heartbeat', 'append'] as const) {
    const a = peerOf(plain)
    a.node.campaign()
    a.pump()
    const rest = { prevIndex: 1, prevTerm: 1, entries: [], commit: 1, round: 0 }
    a.node.step({ kind, from: 'b', to: 'a', term: 2, ...rest })
    t.match(a.node.status(), { role: 'follower', term: 2, leader: 'b' })
  }
})

t.test('5.2: a split vote is tried again in the next term', async (t) => {
  const a = peerOf(plain)
  a.node.campaign()
  a.pump()
  for (let i = 0; i < 10; i++) a.node.tick()
  t.match(a.node.status(), { role: 'candidate', term: 3 })
})

t.test('5.2: two leaders in one term are a broken invariant', async (t) => {
  const a = peerOf(plain)
  a.node.step(heartbeat('b', 2))
  t.throws(() => a.node.step(heartbeat('c', 2)), /a term has one leader/)
})

t.test('5.4.1: only a candidate with an up-to-date log gets the vote', async (t) => {
  const cases: [number, number, boolean][] = [
    [3, 2, true],
    [4, 2, true],
    [2, 2, false],
    [9, 1, false],
    [1, 3, true],
  ]
  for (const [lastIndex, lastTerm, granted] of cases) {
    const a = new Peer('a', { ...plain, disk: diskWithTerms(abc, [1, 2]) })
    a.pump()
    a.node.step(vote({ term: 4, lastIndex, lastTerm }))
    t.match(a.pump(), [{ kind: 'vote-response', granted }], `${lastIndex}.${lastTerm}`)
  }
})

t.test('5.2: a single voter elects itself, once its vote is durable', async (t) => {
  const a = new Peer('a', { disk: foundedDisk(['a']) })
  a.isFlushHeld = true
  a.node.campaign()
  a.pump()
  t.equal(a.role, 'candidate', 'a crash now would forget the term')
  a.isFlushHeld = false
  a.pump()
  t.match(a.node.status(), { role: 'leader', commit: 2 })
})

t.test('3.8: votes and requests for them wait for the disk', async (t) => {
  const voter = peerOf(plain)
  voter.isFlushHeld = true
  voter.node.step(vote())
  t.same(voter.pump(), [])
  voter.isFlushHeld = false
  t.match(voter.pump(), [{ kind: 'vote-response', granted: true }])

  // Else the term could be campaigned for again after a crash, with a shorter log.
  const candidate = peerOf(plain)
  candidate.isFlushHeld = true
  candidate.node.campaign()
  t.same(candidate.pump(), [])
  candidate.isFlushHeld = false
  t.match(candidate.pump(), [{ kind: 'vote' }, { kind: 'vote' }])
})

t.test('9.6 PreVote: asks for the next term without entering it', async (t) => {
  const a = peerOf()
  a.node.campaign()
  t.match(a.pump(), [
    { kind: 'pre-vote', to: 'b', term: 2 },
    { kind: 'pre-vote', to: 'c', term: 2 },
  ])
  t.match(a.node.status(), { role: 'pre-candidate', term: 1, vote: undefined })
  a.node.step({ kind: 'pre-vote-response', from: 'b', to: 'a', term: 2, granted: true })
  t.match(a.node.status(), { role: 'candidate', term: 2, vote: 'a' })
})

t.test('9.6 PreVote: granting one changes neither term nor vote', async (t) => {
  const a = peerOf()
  a.node.step({ ...vote(), kind: 'pre-vote', term: 7 } as Message)
  t.match(a.pump(), [{ kind: 'pre-vote-response', to: 'b', term: 7, granted: true }])
  t.match(a.node.status(), { term: 1, vote: undefined })
})

t.test('9.6 PreVote: a shorter log is refused, an older term told the present one', async (t) => {
  const a = new Peer('a', { disk: diskWithTerms(abc, [1, 4]) })
  a.pump()
  const ask = { kind: 'pre-vote', from: 'b', to: 'a', lastIndex: 3, force: false } as const
  a.node.step({ ...ask, term: 5, lastTerm: 2 })
  t.match(a.pump(), [{ kind: 'pre-vote-response', granted: false, term: 4 }])
  a.node.step({ ...ask, term: 3, lastTerm: 9 })
  t.match(a.pump(), [{ kind: 'pre-vote-response', granted: false, term: 4 }])
})

t.test('9.6 PreVote: answers to an earlier campaign do not count', async (t) => {
  const a = new Peer('a', { disk: diskWithTerms(abc, [4]) })
  a.node.campaign()
  a.pump()
  a.node.step({ kind: 'pre-vote-response', from: 'b', to: 'a', term: 4, granted: true })
  t.equal(a.role, 'pre-candidate')
})

t.test('9.6 PreVote: a node back from a partition does not disturb the leader', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const { term } = a.node.status()
  cluster.isolate('c')
  cluster.tick(undefined, 100)
  t.equal(cluster.get('c').node.status().term, term, 'its term never rose')
  cluster.heal()
  cluster.tick(undefined, 30)
  t.match(a.node.status(), { role: 'leader', term })
  t.equal(cluster.get('c').soft.leader, 'a')
})

t.test('4.2.3: who hears from a leader does not listen to candidates', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  const b = cluster.get('b')
  for (const kind of ['vote', 'pre-vote'] as const) {
    const ask = { kind, from: 'c', to: 'b', term: 9, lastIndex: 99, lastTerm: 9 } as const
    b.node.step({ ...ask, force: false })
    t.same(b.pump(), [])
    cluster.get('a').node.step({ ...ask, to: 'a', force: false })
    t.same(cluster.get('a').pump(), [])
  }
  t.match(cluster.get('a').node.status(), { role: 'leader', term: 2 })
})

t.test('4.2.3: after an election time-out without a leader it listens again', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  const b = cluster.get('b')
  const ask = { kind: 'pre-vote', from: 'c', to: 'b', term: 3, lastIndex: 9, lastTerm: 2 } as const
  for (let i = 0; i < 8; i++) b.node.tick()
  b.node.step({ ...ask, force: false })
  t.same(b.pump(), [])
  b.node.tick()
  b.node.step({ ...ask, force: false })
  t.match(
    b.pump(),
    [{ kind: 'pre-vote-response', granted: true }],
    'a tick before its own patience',
  )
})

t.test('4.2.3: the first to miss a leader is not refused by those a tick behind', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  const [b, c] = [cluster.get('b'), cluster.get('c')]
  for (let i = 0; i < 9; i++) b.node.tick()
  for (let i = 0; i < 10; i++) c.node.tick()
  cluster.isolate('a')
  cluster.settle()
  while (c.role === 'follower') c.node.tick()
  cluster.settle()
  t.equal(c.role, 'leader', 'b had one tick of patience left')
})

t.test('9.6 PreVote: who was refused for a lease asks again within half a time-out', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  const [b, c] = [cluster.get('b'), cluster.get('c')]
  while (c.role === 'follower') c.node.tick()
  cluster.isolate('a')
  cluster.settle()
  t.equal(c.role, 'pre-candidate', 'b still hears from a')
  for (let i = 0; i < 9; i++) b.node.tick()
  for (let i = 0; i < 5; i++) c.node.tick()
  cluster.settle()
  t.equal(c.role, 'leader')
})

t.test('9.6 PreVote: who finds no quorum again and again slows down', async (t) => {
  const a = peerOf()
  const rounds: number[] = []
  let ticks = 0
  for (let asked = 0; asked < 6; ticks++) {
    a.node.tick()
    if (a.pump().length === 0) continue
    rounds.push(ticks)
    asked += 1
  }
  const gaps = rounds.slice(1).map((tick, i) => tick - (rounds[i] ?? 0))
  t.same(gaps, [3, 3, 3, 10, 10])
  a.node.step(heartbeat('b', 1))
  t.equal(a.node.status().leader, 'b')
  ticks = 0
  while (a.role === 'follower') a.node.tick()
  a.pump()
  for (; a.pump().length === 0; ticks++) a.node.tick()
  t.equal(ticks, 3, 'a leader was known in between')
})

t.test(
  '9.6 PreVote: of two that ask at once one gives way, so that the vote is not split',
  async (t) => {
    const cluster = new Cluster(abc)
    cluster.elect('a')
    cluster.isolate('a')
    const [b, c] = [cluster.get('b'), cluster.get('c')]
    const { term } = b.node.status()
    for (const peer of [b, c]) while (peer.role === 'follower') peer.node.tick()
    cluster.settle()
    t.same([b.role, c.role], ['follower', 'leader'], 'the one of higher id goes on')
    t.equal(c.node.status().term, term + 1)
  },
)

t.test('9.6 PreVote: who gave way to one that is not elected asks again soon', async (t) => {
  const b = new Peer('b', { disk: foundedDisk(abc) })
  b.node.campaign()
  b.pump()
  const ask = { from: 'c', to: 'b', term: 2, lastIndex: 1, lastTerm: 1, force: false } as const
  b.node.step({ kind: 'pre-vote', ...ask })
  t.match(b.pump(), [{ kind: 'pre-vote-response', to: 'c', granted: true }])
  t.equal(b.role, 'follower')
  b.node.step({ kind: 'pre-vote-response', from: 'c', to: 'b', term: 2, granted: true })
  t.equal(b.role, 'follower', 'answers to the round it gave up do not count')
  for (let i = 0; i < 3; i++) b.node.tick()
  t.equal(b.role, 'pre-candidate')
  b.node.step({ kind: 'pre-vote', ...ask, from: 'a' })
  t.equal(b.role, 'pre-candidate', 'not to one behind it')
})

t.test('5.4.1, 9.6: who refuses a shorter log campaigns in its place', async (t) => {
  const longer = new Peer('a', { disk: diskWithTerms(abc, [1, 1]), random: () => drawOf(0.9) })
  longer.node.step(heartbeat('b', 1))
  longer.pump()
  const ask = { from: 'c', to: 'a', term: 2, lastIndex: 1, lastTerm: 1, force: false } as const
  for (let i = 0; i < 9; i++) longer.node.tick()
  longer.node.step({ kind: 'pre-vote', ...ask })
  t.match(longer.pump(), [{ kind: 'pre-vote-response', granted: false }])
  longer.node.tick()
  longer.node.tick()
  t.equal(longer.role, 'pre-candidate', 'long before the end of its own time-out')
})

t.test('5.4.1: who has just voted does not campaign against that candidate', async (t) => {
  const voter = new Peer('a', { disk: diskWithTerms(abc, [1, 1]), random: () => drawOf(0.9) })
  voter.node.step(vote({ lastIndex: 3, lastTerm: 1 }))
  t.match(voter.pump(), [{ kind: 'vote-response', granted: true }])
  const ask = { from: 'c', to: 'a', term: 3, lastIndex: 1, lastTerm: 1, force: false } as const
  voter.node.step({ kind: 'pre-vote', ...ask })
  for (let i = 0; i < 5; i++) voter.node.tick()
  t.equal(voter.role, 'follower')
})

t.test('9.6 PreVote: a leader whose process has ended is replaced at once', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  cluster.isolate('a')
  const [b, c] = [cluster.get('b'), cluster.get('c')]
  b.node.reportGone('c')
  b.node.tick()
  cluster.settle()
  t.equal(b.role, 'follower', 'another follower means nothing')
  for (const peer of [b, c]) peer.node.reportGone('a')
  cluster.tick(['b', 'c'], 5)
  t.same([b.role, c.role].sort(), ['follower', 'leader'])
  t.ok(b.notes.includes('leader-gone'))
})

t.test('9.6 PreVote: a false report that the leader is gone elects nobody', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const { term } = a.node.status()
  const b = cluster.get('b')
  b.node.reportGone('a')
  cluster.tick(['b'], 2)
  t.equal(b.role, 'pre-candidate')
  cluster.tick(undefined, 30)
  t.match(a.node.status(), { role: 'leader', term })
  t.equal(b.soft.leader, 'a')
  a.node.reportGone('a')
  t.equal(a.role, 'leader')
})

t.test('6.2 CheckQuorum: a leader without a quorum steps down', async (t) => {
  const cluster = new Cluster(['a', 'b', 'c', 'd', 'e'])
  const a = cluster.elect('a')
  cluster.isolate('d', 'e')
  cluster.tick(undefined, 40)
  t.equal(a.role, 'leader', 'three of five are a quorum')
  cluster.isolate('a')
  cluster.tick(['a'], 9)
  t.equal(a.role, 'leader')
  cluster.tick(['a'], 1)
  t.equal(a.role, 'follower', 'an election time-out after it heard the last of them')
  t.ok(a.notes.includes('stepped-down'))
})

t.test('6.2 CheckQuorum: whoever may still hear the leader is asked to lead', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  // It says, but hears nothing.
  cluster.loses = (message) => message.to === 'a'
  cluster.tick(undefined, 10)
  t.equal(a.role, 'follower')
  const others = ['b', 'c'].map((id) => cluster.get(id))
  t.ok(
    others.some(({ role }) => role === 'leader'),
    'no time-out had to pass',
  )
})

t.test('9.6 PreVote: a node that is heard but hears nothing does not disturb', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const { term } = a.node.status()
  cluster.loses = (message) => message.to === 'c'
  cluster.tick(undefined, 200)
  t.match(a.node.status(), { role: 'leader', term })
  t.equal(cluster.get('c').node.status().term, term, 'its term never rose')
})

t.test('9.6 PreVote: one who hears the leader refuses, one who does not may agree', async (t) => {
  // b hears the leader, c and d do not: of five they are no majority with a candidate.
  const cluster = new Cluster(['a', 'b', 'c', 'd', 'e'])
  const a = cluster.elect('a')
  cluster.loses = (message) => message.from === 'a' && ['c', 'd'].includes(message.to)
  cluster.tick(undefined, 100)
  t.match(a.node.status(), { role: 'leader', term: 2 })
  t.ok(['pre-candidate', 'follower'].includes(cluster.get('c').role))
})

t.test(
  '4.2.3: the lease alone, without PreVote, keeps the leader from a rising term',
  async (t) => {
    const cluster = new Cluster(abc, { tuning: { preVote: false } })
    const a = cluster.elect('a')
    a.node.proposeConfChange({ steps: [{ kind: 'remove', id: 'c' }] })
    // c is not told, and campaigns in ever higher terms; what it says arrives.
    cluster.loses = (message) => message.to === 'c'
    cluster.tick(undefined, 200)
    const c = cluster.get('c').node.status()
    t.ok(c.term > 5, `${c.term}`)
    t.match(a.node.status(), { role: 'leader', term: 2, conf: plainConf(['a', 'b']) })
    cluster.heal()
    cluster.tick(undefined, 100)
    t.match(a.node.status(), { role: 'leader', term: 2 }, 'nor when it hears again')
  },
)

t.test('6.2 CheckQuorum: during a joint configuration both majorities must answer', async (t) => {
  for (const silent of [
    ['b', 'c'],
    ['d', 'e'],
  ]) {
    const joint = { ...plainConf(['a', 'd', 'e']), outgoing: abc }
    const cluster = new Cluster([])
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      const disk = foundedDisk(abc)
      disk.write({ entries: [{ kind: 'conf', term: 1, index: 2, conf: joint }] })
      cluster.add(id, disk)
    }
    // Nothing is committed: the configuration stays joint.
    cluster.loses = (message) => message.kind === 'append'
    const a = cluster.elect('a')
    cluster.tick(undefined, 40)
    t.equal(a.role, 'leader')
    cluster.isolate(...silent)
    cluster.tick(['a'], 10)
    t.equal(a.role, 'follower', `without ${silent.join()}`)
    t.ok(a.notes.includes('quorum-lost'))
  }
})

t.test('6.2 CheckQuorum: can be left out, then a leader leads on alone', async (t) => {
  const cluster = new Cluster(abc, { tuning: { checkQuorum: false } })
  const a = cluster.elect('a')
  cluster.isolate('a')
  cluster.tick(['a'], 100)
  t.equal(a.role, 'leader')
})

t.test('6.2 CheckQuorum: a new leader waits twice as long for a first answer', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.get('a')
  const isAnswer = ({ to, kind }: Message): boolean =>
    to === 'a' && kind !== 'pre-vote-response' && kind !== 'vote-response'
  // As on a network whose round trips take longer than is known yet.
  cluster.loses = isAnswer
  cluster.elect('a')
  cluster.tick(['a'], 17)
  t.equal(a.role, 'leader')
  cluster.heal()
  cluster.tick(['a'], 1)
  cluster.loses = isAnswer
  cluster.tick(['a'], 9)
  t.equal(a.role, 'leader')
  cluster.tick(['a'], 1)
  t.equal(a.role, 'follower', 'but not for the next one')
})

t.test('6.2 CheckQuorum: learners are no quorum', async (t) => {
  const disk = foundedDisk(['a', 'b'], ['l'])
  const cluster = new Cluster([])
  cluster.add('a', disk)
  cluster.add('b', foundedDisk(['a', 'b'], ['l']))
  cluster.add('l', foundedDisk(['a', 'b'], ['l']))
  const a = cluster.elect('a')
  cluster.isolate('b')
  cluster.tick(undefined, 10)
  t.equal(a.role, 'follower')
})

t.test('6.2 CheckQuorum: a peer counts as active until it was silent for a time-out', async (t) => {
  const cluster = new Cluster(['a', 'b', 'c'])
  const a = cluster.elect('a')
  cluster.isolate('c')
  const isActive = (id: string): boolean | undefined =>
    a.node.status().peers.find((peer) => peer.id === id)?.active
  cluster.tick(undefined, 9)
  t.same([isActive('b'), isActive('c')], [true, true])
  cluster.tick(undefined, 1)
  t.same([isActive('b'), isActive('c')], [true, false])
  cluster.heal()
  cluster.tick(undefined, 2)
  t.equal(isActive('c'), true)
})

t.test('a leader of an older term is told, though nobody can campaign against it', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const c = cluster.get('c')
  // c once entered a newer term that nobody else knows.
  c.node.step({ kind: 'heartbeat', from: 'b', to: 'c', term: 9, commit: 0, round: 0 })
  cluster.tick(undefined, 40)
  t.equal(new Set([...cluster.peers.values()].map((peer) => peer.soft.leader)).size, 1)
  t.ok((cluster.get('b').node.status().term ?? 0) > 9)
  t.ok(a.notes.includes('became-follower'))
})

t.test('a learner never campaigns but votes: it may be a voter without knowing', async (t) => {
  const l = new Peer('l', { disk: foundedDisk(['a', 'b'], ['l']) })
  for (let i = 0; i < 100; i++) l.node.tick()
  t.match(l.node.status(), { role: 'follower', term: 1 })
  l.node.step({ ...vote(), to: 'l' } as Message)
  t.match(l.pump(), [{ kind: 'vote-response', granted: true }])
})

t.test('a follower that cannot campaign forgets a silent leader', async (t) => {
  const l = new Peer('l', { disk: foundedDisk(['a', 'b'], ['l']) })
  l.node.step({ kind: 'heartbeat', from: 'a', to: 'l', term: 2, commit: 0, round: 0 })
  t.equal(l.node.status().leader, 'a')
  for (let i = 0; i < 20; i++) l.node.tick()
  t.equal(l.node.status().leader, undefined)
})

t.test('messages to others or from itself are dropped with a note', async (t) => {
  const a = peerOf()
  a.node.step({ ...heartbeat('b', 9), to: 'z' })
  a.node.step(heartbeat('a', 9))
  a.pump()
  t.equal(a.node.status().term, 1)
  t.same(a.notes, ['misdirected-message', 'misdirected-message'])
})

t.test('longer time-outs can be set while running', async (t) => {
  const a = peerOf()
  a.node.setElectionTicks(30)
  for (let i = 0; i < 29; i++) a.node.tick()
  t.equal(a.role, 'follower')
  a.node.tick()
  t.equal(a.role, 'pre-candidate')
  t.throws(() => a.node.setElectionTicks(1), /slower than heartbeats/)
})

t.test(
  'figure 2, followers: who is only asked for a vote does not wait longer (simulation seed 43)',
  async (t) => {
    const a = peerOf(plain)
    for (let i = 0; i < 9; i++) a.node.tick()
    // Of a shorter log, so that it is not granted; and again in every term.
    a.node.step(vote({ term: 2, lastIndex: 0, lastTerm: 0 }))
    t.match(a.pump(), [{ kind: 'vote-response', granted: false }])
    a.node.tick()
    t.match(a.node.status(), { role: 'candidate', term: 3 })
  },
)

t.test('figure 2, followers: who gives its vote waits for the one who got it', async (t) => {
  const a = peerOf(plain)
  for (let i = 0; i < 9; i++) a.node.tick()
  a.node.step(vote({ term: 2 }))
  t.match(a.pump(), [{ kind: 'vote-response', granted: true }])
  a.node.tick()
  t.match(a.node.status(), { role: 'follower', term: 2 })
})
