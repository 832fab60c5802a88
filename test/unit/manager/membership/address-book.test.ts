// Where managers are, between what the store says and what they said since.
import t from 'tap'
import { newNode } from '../../../../manager/ca/ca-handlers.ts'
import { AddressBook, type MovedManager } from '../../../../manager/membership/address-book.ts'
import { takeAddresses } from '../../../../manager/membership/exchange-addresses.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId, raftId } from '../../../../proto/objects/index.ts'

const aMember = (id: string, host: string) => ({
  nodeId: id,
  raftId: `r-${id}`,
  address: `${host}:2377`,
  raftAddress: `${host}:2378`,
})

async function aStore(...ids: readonly string[]) {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  await store.update((tx) => {
    for (const id of ids) {
      const { raftId: raft, address, raftAddress } = aMember(id, id)
      const manager = { raftId: raftId(raft), address, raftAddress }
      tx.create('nodes', { ...newNode(id, 'manager', 0), manager })
    }
  })
  const move = (id: string, host: string) =>
    store.update((tx) => {
      const node = tx.get('nodes', id)
      if (node?.manager === undefined) return
      const { address, raftAddress } = aMember(id, host)
      tx.update('nodes', { ...node, manager: { ...node.manager, address, raftAddress } })
    })
  return { store, move }
}

t.test('what a manager says of itself counts until the store says something else', async (t) => {
  const { store, move } = await aStore('m1', 'm2')
  const kept: (readonly MovedManager[])[] = []
  const onMoved = (moved: readonly MovedManager[]) => kept.push(moved)
  const book = new AddressBook({ store, self: nodeId('m1'), onMoved })
  t.equal(book.controlAddress(nodeId('m2')), 'm2:2377')
  t.same(book.learn([aMember('m2', 'new')]), ['m2'])
  t.equal(book.controlAddress(nodeId('m2')), 'new:2377')
  t.match(book.peers(), [{ address: 'm1:2378' }, { id: 'r-m2', nodeId: 'm2', address: 'new:2378' }])
  t.equal(kept.length, 1)
  book.learn([aMember('m2', 'new')])
  t.equal(kept.length, 1, 'nothing new is kept once more')

  const restarted = new AddressBook({ store, self: nodeId('m1'), moved: kept.at(-1) ?? [] })
  t.equal(restarted.controlAddress(nodeId('m2')), 'new:2377', 'also after a restart')
  await move('m2', 'newest')
  t.equal(restarted.controlAddress(nodeId('m2')), 'newest:2377')
  book.learn([])
  t.same(kept.at(-1), [], 'what is out of date is forgotten')
  t.equal(book.controlAddress(nodeId('nobody')), undefined)
})

t.test('a manager back at its stored address is where the store says', async (t) => {
  const { store } = await aStore('m1', 'm2')
  const kept: (readonly MovedManager[])[] = []
  const book = new AddressBook({ store, self: nodeId('m1'), onMoved: (now) => kept.push(now) })
  book.learn([aMember('m2', 'new')])
  book.learn([aMember('m2', 'm2')])
  t.same(kept.at(-1), [])
  t.equal(book.controlAddress(nodeId('m2')), 'm2:2377')
})

t.test('strangers, others under a wrong id and lost members are not learned', async (t) => {
  const { store } = await aStore('m1', 'm2', 'm3')
  const book = new AddressBook({ store, self: nodeId('m1'), lostRaftIds: ['r-m3'] })
  t.same(book.learn([aMember('m4', 'x'), { ...aMember('m2', 'x'), raftId: 'r-m1' }]), [])
  t.same(book.learn([aMember('m3', 'x')]), [])
  t.same(
    book.peers().map(({ nodeId: id }) => id),
    ['m1', 'm2'],
    'a lost member is no peer although the store names it, as while an old log is applied',
  )
  const peers = ['m2', 'm3'].map((id) => ({ id: `r-${id}`, nodeId: id, address: id }))
  t.same(book.permitted(peers), [peers[0]])
  t.same(book.learn([aMember('m1', 'elsewhere')]), ['m1'])
  t.equal(book.controlAddress(nodeId('m1')), 'm1:2377', 'nobody tells this manager where it is')
})

t.test('a manager that has moved stays there when somebody names its old address', async (t) => {
  const { store, move } = await aStore('m1', 'm2')
  const book = new AddressBook({ store, self: nodeId('m1') })
  const named = (host: string) => [{ id: 'r-m2', nodeId: 'm2', address: `${host}:2378` }]
  t.same(book.permitted(named('m2')), named('m2'))
  book.learn([aMember('m2', 'new')])
  t.same(book.permitted(named('m2')), named('new'), 'who named it has not heard of the move')
  t.same(book.permitted(named('newest')), named('newest'), 'who named it has heard of another one')
  const joined = [{ ...named('m2')[0], id: 'r-other', nodeId: 'm2', address: 'm2:2378' }]
  t.same(book.permitted(joined), joined, 'another membership of the same node')
  await move('m2', 'newest')
  t.same(book.permitted(named('newest')), named('newest'))
})

t.test('a manager may speak for itself only, and within bounds', async (t) => {
  const { store } = await aStore('m1', 'm2', 'm3')
  const book = new AddressBook({ store, self: nodeId('m1') })
  const take = (caller: string, self: ReturnType<typeof aMember> | undefined, members = [self]) =>
    takeAddresses(book, nodeId(caller), { self, members: members.flatMap((one) => one ?? []) })
  take('m2', aMember('m2', 'a'), [aMember('m2', 'b'), aMember('m3', 'c')])
  t.equal(book.controlAddress(nodeId('m2')), 'a:2377', 'what it says of itself goes before')
  t.equal(book.controlAddress(nodeId('m3')), 'c:2377', 'whom it spoke with is passed on')
  const refused = (self: ReturnType<typeof aMember> | undefined, code: string) =>
    t.throws(() => take('m2', self, []), { code })
  refused(aMember('m3', 'x'), 'PERMISSION_DENIED')
  refused({ ...aMember('m2', 'x'), raftId: 'r-other' }, 'PERMISSION_DENIED')
  refused(undefined, 'INVALID_ARGUMENT')
  for (const address of ['', 'x', 'x:0', 'x:99999', 'a b:1', `${'x'.repeat(300)}:1`]) {
    refused({ ...aMember('m2', 'x'), address }, 'INVALID_ARGUMENT')
  }
  refused({ ...aMember('m2', 'x'), raftId: '../x' }, 'INVALID_ARGUMENT')
  const many = Array.from({ length: 65 }, () => aMember('m3', 'x'))
  t.throws(() => take('m2', aMember('m2', 'x'), many), { message: /more than 64 managers/ })
  t.doesNotThrow(() => take('m2', { ...aMember('m2', 'x'), address: '[fd00::1]:2377' }))
})
