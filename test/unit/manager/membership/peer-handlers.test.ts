// What managers ask of the leader about their own membership.
import t from 'tap'
import { newNode } from '../../../../manager/ca/ca-handlers.ts'
import { AddressBook } from '../../../../manager/membership/address-book.ts'
import { createPeerHandlers } from '../../../../manager/membership/peer-handlers.ts'
import type { Caller } from '../../../../manager/rpc/caller.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { featureLevel, type NodeRole, nodeId, raftId } from '../../../../proto/objects/index.ts'
import { aCluster } from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

async function aWorld(...managers: readonly string[]) {
  const clock = new VirtualClock()
  const store = createMemoryStore({ clock, random: seededRandom(1) })
  await store.update((tx) => {
    tx.create('cluster', aCluster({}))
    for (const id of managers) {
      const manager = { raftId: raftId(`r-${id}`), address: id, raftAddress: id }
      tx.create('nodes', { ...newNode(id, 'manager', 0), manager })
    }
  })
  const book = new AddressBook({ store, self: nodeId('m1') })
  const self = () => ({ nodeId: 'm1', raftId: 'r-m1', address: 'm1:2377', raftAddress: 'm1:2378' })
  const leaderNodeId = () => nodeId('m1')
  const handlers = createPeerHandlers({ store, clock, leaderNodeId, self, book })
  const node = (id: string) => store.view((tx) => tx.get('nodes', id))
  return { clock, store, book, handlers, node, signal: new AbortController().signal }
}

const callerOf = (id: string, role: NodeRole = 'manager'): Caller => ({
  kind: 'node',
  nodeId: nodeId(id),
  role,
})

t.test('leaving ends when Raft has let go of the manager; a repeat changes nothing', async (t) => {
  const { clock, store, handlers, node, signal } = await aWorld('m1', 'm2', 'm3')
  const request = { requestId: 'leave-1', raftId: 'r-m3' }
  const leaving = handlers.leaveRaft(callerOf('m3'), request, signal)
  await clock.advance(200)
  const wished = node('m3')
  t.match(wished, { spec: { role: 'worker' }, role: 'manager' })
  const again = handlers.leaveRaft(callerOf('m3'), request, signal)
  await clock.advance(200)
  t.equal(node('m3')?.version, wished?.version, 'the repeat wrote nothing')
  await store.update((tx) => {
    const row = tx.get('nodes', 'm3')
    if (row !== undefined) tx.update('nodes', { ...row, role: 'worker', manager: undefined })
  })
  await clock.advance(100)
  t.same([await leaving, await again], [{}, {}])
})

t.test('who must not or cannot leave is told why', async (t) => {
  const { clock, handlers, signal } = await aWorld('m1')
  const leave = (caller: Caller, requestId: string) =>
    handlers.leaveRaft(caller, { requestId, raftId: 'r' }, signal)
  await t.rejects(leave(callerOf('m1'), 'a'), { code: 'QUORUM_LOSS', message: /last manager/ })
  await t.rejects(leave(callerOf('m1', 'worker'), 'b'), { code: 'PERMISSION_DENIED' })
  await t.rejects(leave(callerOf('nobody'), 'c'), {
    code: 'PERMISSION_DENIED',
    message: /node nobody is not part of the cluster/,
  })
  const two = await aWorld('m1', 'm2')
  const late = two.handlers.leaveRaft(callerOf('m2'), { requestId: 'd', raftId: 'r' }, two.signal)
  late.catch(() => {})
  await two.clock.advance(9_000)
  await t.rejects(late, { code: 'DEADLINE_EXCEEDED', message: /has not let go of node m2/ })
  await clock.advance(1)
})

t.test(
  'a manager that joins is written down with its addresses, and told of the others',
  async (t) => {
    const { handlers, node } = await aWorld('m1', 'm2')
    const manager = { raftId: 'r-new', address: 'm2:2377', raftAddress: 'm2:2378' }
    const request = { requestId: 'join-1', manager, featureLevel }
    const { members } = await handlers.joinRaft(callerOf('m2'), request)
    t.match(node('m2')?.manager, manager)
    t.same(members.map(({ raftId: id }) => id).sort(), ['r-m1', 'r-new'])
    const own = members.find(({ raftId: id }) => id === 'r-m1')
    t.equal(own?.raftAddress, 'm1:2378', 'where it is, though the store says m1')
    await t.rejects(
      handlers.joinRaft(callerOf('m2'), { ...request, requestId: 'join-2', manager: undefined }),
      { code: 'INVALID_ARGUMENT' },
    )
    t.same(await handlers.health(), { hasLeader: true, leaderNodeId: 'm1' })
  },
)
