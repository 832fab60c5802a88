// Managers that have moved find each other again, over real mTLS.
import t, { type Test } from 'tap'
import { AddressBook } from '../../../../manager/membership/address-book.ts'
import { announceLoop } from '../../../../manager/membership/announce.ts'
import { reconnect } from '../../../../manager/membership/reconnect.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { featureLevel, nodeId, raftId } from '../../../../proto/objects/index.ts'
import { managerAt } from '../../../../worker/identity/manager-at.ts'
import { freeAddress } from '../../../support/free-ports.ts'
import { GrpcCluster } from '../../../support/grpc-cluster.ts'
import { until } from '../../../support/until.ts'

/** Managers whose store has them where nobody is. */
async function aCluster(t: Test, ...names: readonly string[]): Promise<GrpcCluster> {
  const cluster = await GrpcCluster.start(names, ['w1'])
  t.teardown(() => cluster.stop())
  await cluster.store.update((tx) => {
    for (const name of names) {
      const node = tx.get('nodes', name)
      const raft = raftId(`raft-${name}`)
      const manager = { raftId: raft, address: `${name}:2377`, raftAddress: `${name}:2378` }
      if (node !== undefined) tx.update('nodes', { ...node, manager })
    }
  })
  return cluster
}

function bookOf(cluster: GrpcCluster, name: string): AddressBook {
  const book = cluster.managers.get(name)?.book
  if (book === undefined) throw new Error(`no manager ${name}`)
  return book
}

async function listOf<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

function addressOf(cluster: GrpcCluster, name: string): string {
  return cluster.memberOf(name).address
}

t.test('one manager that is told of the others tells them of each other', async (t) => {
  const cluster = await aCluster(t, 'm1', 'm2', 'm3')
  const deps = {
    self: () => cluster.memberOf('m1'),
    book: bookOf(cluster, 'm1'),
    identity: cluster.identityOf('m1'),
  }
  const nobody = await freeAddress()
  const [m1, m2, m3] = ['m1', 'm2', 'm3'].map((name) => addressOf(cluster, name))
  const given = [m2 ?? '', nobody, m3 ?? '', m1 ?? '']
  const steps = await listOf(reconnect(deps, given, new AbortController().signal))
  t.match(steps, [
    { kind: 'found', address: m2, nodeId: 'm2' },
    { kind: 'failed', address: nobody, error: { code: 'UNAVAILABLE', message: /no answer/ } },
    { kind: 'found', address: m3, nodeId: 'm3' },
    { kind: 'self', address: m1, nodeId: 'm1' },
  ])
  for (const one of ['m1', 'm2', 'm3']) {
    for (const other of ['m1', 'm2', 'm3']) {
      if (one === other) continue
      const known = bookOf(cluster, one).controlAddress(nodeId(other))
      t.equal(known, addressOf(cluster, other), `${one} knows ${other}`)
    }
  }
})

t.test('a manager of another swarm is none of this one', async (t) => {
  const cluster = await aCluster(t, 'm1')
  const other = await aCluster(t, 'm1')
  const deps = {
    self: () => cluster.memberOf('m1'),
    book: bookOf(cluster, 'm1'),
    identity: cluster.identityOf('m1'),
  }
  const [step] = await listOf(
    reconnect(deps, [addressOf(other, 'm1')], new AbortController().signal),
  )
  t.match(step, { kind: 'failed', error: { message: /no manager of this swarm/ } })
  t.equal(bookOf(other, 'm1').controlAddress(nodeId('m1')), 'm1:2377', 'it learned nothing')
  const [host = '', port = ''] = addressOf(other, 'm1').split(':')
  const at = { host, port: Number(port) }
  await t.rejects(managerAt(at, cluster.identityOf('m1').current()), { code: 'UNAVAILABLE' })
  t.equal(await managerAt(at, other.identityOf('m1').current()), 'm1')
})

t.test('a member that has moved tells all others before it asks the leader', async (t) => {
  const cluster = await aCluster(t, 'm1', 'm2', 'm3')
  const { store } = cluster
  const info = { raftId: raftId('raft-m3'), address: 'moved:2377', raftAddress: 'moved:2378' }
  const loop = announceLoop({
    self: nodeId('m3'),
    info: () => info,
    store,
    book: new AddressBook({ store, self: nodeId('m3') }),
    identity: cluster.identityOf('m3'),
    known: () => ['m1', 'm2'].map((name) => addressOf(cluster, name)),
    onMembers: () => {},
    hasLeader: () => true,
    leads: () => false,
    joinHere: () => Promise.reject(new Error('it does not lead')),
    featureLevel,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  })
  const life = new AbortController()
  const running = loop.run(life.signal)
  await until(
    () => store.view((tx) => tx.get('nodes', 'm3')?.manager?.address) === info.address,
    'it is written down',
  )
  life.abort()
  await running
  t.equal(loop.refusal(), undefined)
})

t.test('a leader that has moved writes it down itself, at once when it is told', async (t) => {
  const cluster = await aCluster(t, 'm1')
  const { store } = cluster
  const written = () => store.view((tx) => tx.get('nodes', 'm1')?.manager)
  const first = written()
  if (first === undefined) throw new Error('m1 is no manager')
  let info = first
  let asked = 0
  const loop = announceLoop({
    self: nodeId('m1'),
    info: () => info,
    store,
    book: bookOf(cluster, 'm1'),
    identity: cluster.identityOf('m1'),
    known: () => [],
    onMembers: () => {},
    hasLeader: () => true,
    leads: () => true,
    joinHere: async ({ manager }) => {
      asked += 1
      await store.update((tx) => {
        const node = tx.get('nodes', 'm1')
        if (node !== undefined && manager !== undefined) {
          tx.update('nodes', { ...node, manager: { ...manager, raftId: raftId(manager.raftId) } })
        }
      })
      return { members: [] }
    },
    featureLevel,
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  })
  const life = new AbortController()
  const running = loop.run(life.signal)
  t.equal(asked, 0, 'nothing to announce')
  info = { ...first, address: 'moved:2377' }
  loop.now()
  await until(() => written()?.address === 'moved:2377', 'it is written down', 4_500)
  t.equal(asked, 1)
  life.abort()
  await running
})

t.test('a member that was let go of without hearing so asks to be taken again', async (t) => {
  const cluster = await aCluster(t, 'm1', 'm2')
  const { store } = cluster
  const info = store.view((tx) => tx.get('nodes', 'm2')?.manager)
  if (info === undefined) throw new Error('m2 is no manager')
  // What it had applied itself before it was demoted.
  const stale = createMemoryStore({ clock: systemClock, random: systemRandom })
  await stale.update((tx) => {
    for (const node of store.view((old) => [...old.all('nodes')])) tx.create('nodes', node)
  })
  await store.update((tx) => {
    const node = tx.get('nodes', 'm2')
    if (node !== undefined) tx.update('nodes', { ...node, manager: undefined })
  })
  let hasLeader = true
  const loop = announceLoop({
    self: nodeId('m2'),
    info: () => info,
    store: stale,
    book: bookOf(cluster, 'm2'),
    identity: cluster.identityOf('m2'),
    known: () => [addressOf(cluster, 'm1')],
    onMembers: () => {},
    hasLeader: () => hasLeader,
    leads: () => false,
    joinHere: () => Promise.reject(new Error('it does not lead')),
    featureLevel,
    // Its pauses of seconds are not what is tried.
    clock: { ...systemClock, setTimer: (ms, run) => systemClock.setTimer(Math.min(ms, 500), run) },
    random: systemRandom,
    log: silentLogger,
  })
  const life = new AbortController()
  const running = loop.run(life.signal)
  hasLeader = false
  const again = () => store.view((tx) => tx.get('nodes', 'm2'))?.manager
  await until(() => again() !== undefined, 'it is wanted again')
  t.same(again(), info)
  life.abort()
  await running
})
