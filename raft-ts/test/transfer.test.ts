// Hand-overs of leadership that are given up: by time, by the caller. Core and driver. Source: thesis 3.10.
import type { Message, TransferOutcome } from 'raft-ts'
import t from 'tap'
import { transferTarget } from '../build/driver/transfer-target.js'
import { Cluster, type Peer } from './support/cluster.ts'
import { DriverCluster, type Host } from './support/driver-cluster.ts'

const abc = ['a', 'b', 'c']

function abortedBy(cluster: Cluster): { a: Peer; late: Message } {
  const a = cluster.elect('a')
  let late: Message | undefined
  cluster.loses = (message) => {
    if (message.kind === 'timeout-now') late = message
    return message.kind === 'timeout-now'
  }
  a.node.transferLeadership('b')
  cluster.settle()
  cluster.heal()
  t.equal(a.node.abortTransfer(), true)
  if (late === undefined) throw new Error('no timeout-now was sent')
  return { a, late }
}

t.test('3.10: a transfer can be aborted, and proposals are taken again at once', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('b')
  a.node.transferLeadership('b')
  t.equal(a.propose('x').kind, 'transferring')
  t.equal(a.node.abortTransfer(), true)
  t.equal(a.node.status().transferringTo, undefined)
  t.equal(a.propose('y').kind, 'accepted')
  cluster.settle()
  t.same(a.texts, ['y'])
  t.ok(a.notes.includes('transfer-aborted'))
  t.equal(a.node.abortTransfer(), false, 'there is none any more')
  t.equal(cluster.get('c').node.abortTransfer(), false, 'nor at a follower')
})

t.test('3.10: after an abort no timeout-now is sent when the target catches up', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('b')
  a.propose('x')
  a.node.transferLeadership('b')
  cluster.settle()
  a.node.abortTransfer()
  cluster.heal()
  const before = cluster.sent.length
  cluster.tick(undefined, 20)
  t.same(cluster.get('b').texts, ['x'])
  t.notOk(cluster.sent.slice(before).some((message) => message.kind === 'timeout-now'))
  t.equal(a.role, 'leader')
})

t.test('3.10: a late timeout-now loses nothing that was committed since the abort', async (t) => {
  for (const hasNews of [true, false]) {
    const cluster = new Cluster(abc)
    const { a, late } = abortedBy(cluster)
    // Whether or not the target has what was proposed since.
    cluster.loses = (message) => !hasNews && message.to === 'b' && message.kind === 'append'
    t.equal(a.propose('since').kind, 'accepted')
    cluster.settle()
    t.same(a.texts, ['since'])
    cluster.deliver(late)
    cluster.heal()
    cluster.tick(undefined, 40)
    const leader = [...cluster.peers.values()].find((peer) => peer.role === 'leader')
    leader?.propose('after')
    cluster.tick(undefined, 4)
    for (const peer of cluster.peers.values()) t.same(peer.texts, ['since', 'after'])
  }
})

t.test('3.10: a timeout-now of an earlier term is ignored', async (t) => {
  const cluster = new Cluster(abc)
  const { a, late } = abortedBy(cluster)
  a.node.transferLeadership('c')
  cluster.settle()
  const { term } = cluster.get('c').node.status()
  cluster.deliver(late)
  cluster.tick(undefined, 20)
  t.match(cluster.get('c').node.status(), { role: 'leader', term })
})

function three(): { cluster: DriverCluster; leader: Host; others: readonly Host[] } {
  const cluster = new DriverCluster(abc)
  cluster.startAll()
  const leader = cluster.leader()
  cluster.commit('first')
  return { cluster, leader, others: [...cluster.hosts.values()].filter((one) => one !== leader) }
}

function transfer(host: Host, to?: string): TransferOutcome[] {
  const outcomes: TransferOutcome[] = []
  host.driver?.transferLeadership(to, (outcome) => outcomes.push(outcome))
  return outcomes
}

t.test('driver: an aborted transfer says so, once, and the leader goes on', async (t) => {
  const { cluster, leader, others } = three()
  const [target] = others
  cluster.isolate(target?.id ?? '')
  const outcomes = transfer(leader, target?.id)
  t.equal(leader.propose('meanwhile').outcome?.kind, 'busy')
  t.equal(leader.driver?.abortTransfer(), true)
  t.same(outcomes, [{ kind: 'aborted' }])
  t.equal(leader.driver?.abortTransfer(), false)
  cluster.commit('at once')
  t.equal(cluster.leader(), leader)
  cluster.heal()
  cluster.time.pass(3000)
  t.same(outcomes, [{ kind: 'aborted' }])
  t.equal(cluster.leader(), leader)
})

t.test('driver: an abort that comes too late changes nothing', async (t) => {
  const { cluster, leader, others } = three()
  const outcomes = transfer(leader, others[0]?.id)
  cluster.until('the transfer ends', () => outcomes.length > 0)
  t.equal(leader.driver?.abortTransfer(), false)
  t.same(outcomes, [{ kind: 'done', leader: others[0]?.id }])
  const stopped: (Error | undefined)[] = []
  leader.driver?.stop((err) => stopped.push(err))
  t.equal(leader.driver?.abortTransfer(), false, 'nor after the end')
})

t.test('driver: every transfer is answered, also by the end of the driver', async (t) => {
  const { cluster, leader, others } = three()
  cluster.isolate(others[0]?.id ?? '')
  const outcomes = transfer(leader, others[0]?.id)
  t.match(transfer(leader, others[1]?.id), [
    { kind: 'failed', reason: /handed over to member . already/ },
  ])
  leader.driver?.stop(() => {})
  t.match(outcomes, [{ kind: 'failed', reason: /stopped/ }])
  t.match(transfer(leader), [{ kind: 'failed', reason: /stopped/ }])
})

t.test('driver: leadership goes to the preferred member, and gives way to a caller', async (t) => {
  const cluster = new DriverCluster(abc)
  const priorityOf = (id: string): number => (id === 'c' ? 1 : 0)
  cluster.startAll({ priorityOf })
  t.equal(cluster.leader().id, 'c', 'it is elected')
  t.match(transfer(cluster.host('c'), 'a'), [])
  cluster.until('a leads', () => cluster.host('a').leadership.role === 'leader')
  // c can be asked to take over, but never does.
  cluster.filter = (_, message) => !(message.kind === 'timeout-now' && message.to === 'c')
  const isHandingOver = (): boolean => cluster.host('a').driver?.status().transferringTo === 'c'
  cluster.until('a hands over by itself', isHandingOver, 5000)
  const outcomes = transfer(cluster.host('a'), 'b')
  cluster.until('b leads', () => outcomes.length > 0)
  t.same(outcomes, [{ kind: 'done', leader: 'b' }])
  cluster.filter = () => true
  cluster.until('c leads again', () => cluster.host('c').leadership.role === 'leader', 60_000)
  cluster.commit('at the end')
})

t.test('target: the highest priority of those up to date, else the longest log', async (t) => {
  const cluster = new Cluster(['a', 'b', 'c', 'd'])
  const status = { ...cluster.elect('a').node.status(), commit: 10 }
  const choose = (
    matches: Readonly<Record<string, number>>,
    priorities: Readonly<Record<string, number>> = {},
  ): unknown => {
    const peers = status.peers
      .filter(({ id }) => id in matches)
      .map((peer) => ({ ...peer, match: matches[peer.id] ?? 0 }))
    const priorityOf = (id: string): number => priorities[id] ?? 0
    return transferTarget({ ...status, peers }, { wanted: undefined, priorityOf })
  }
  t.match(choose({ b: 10, c: 12, d: 11 }), { kind: 'target', id: 'c' })
  t.match(choose({ b: 10, c: 12, d: 9 }, { b: 1, d: 5 }), { kind: 'target', id: 'b' })
  t.match(choose({ b: 8, c: 9 }, { b: 5 }), { kind: 'target', id: 'c' })
  t.match(choose({}), { kind: 'outcome', outcome: { kind: 'failed' } })
})
