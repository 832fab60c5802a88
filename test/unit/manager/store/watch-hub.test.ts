import t from 'tap'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { ReplicatedStore } from '../../../../manager/store/replicated-store.ts'
import { type Commit, WatchLagged, type WatchSelector } from '../../../../manager/store/store.ts'
import { childController } from '../../../../proto/lib/lifecycle.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId, type Task } from '../../../../proto/objects/index.ts'
import { aNode, aService, aTask } from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

function aStore(): ReplicatedStore {
  return createMemoryStore({ clock: new VirtualClock(), random: seededRandom(1) })
}

interface Watching {
  readonly commits: Commit[]
  /** Ends the watch and waits for it. */
  readonly end: () => Promise<void>
}

function watching(store: ReplicatedStore, selector: WatchSelector): Watching {
  const controller = new AbortController()
  const commits: Commit[] = []
  const watch = store.watch(selector, { signal: controller.signal, bufferMax: 100 })
  const done = (async () => {
    for await (const commit of watch) commits.push(commit)
  })()
  const end = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort()
    await done
  }
  return { commits, end }
}

function lines({ commits }: Watching): string[] {
  return commits.flatMap((commit) =>
    commit.changes.map(({ kind, object }) => `${kind} ${(object as { id: string }).id}`),
  )
}

async function putTask(
  store: ReplicatedStore,
  id: string,
  node: string | undefined,
): Promise<void> {
  await store.update((tx) => {
    const old = tx.get('tasks', id)
    if (old === undefined) tx.create('tasks', aTask({ id, ...(node && { node }) }))
    else tx.update('tasks', { ...old, nodeId: node === undefined ? undefined : nodeId(node) })
  })
}

t.test('a watch sees each commit once, with index, version, time and old rows', async (t) => {
  const store = aStore()
  const all = watching(store, { tasks: 'all', services: 'all' })
  await putTask(store, 'a', undefined)
  await putTask(store, 'a', 'n1')
  await store.update((tx) => {
    tx.create('services', aService({ id: 's1' }))
    tx.create('nodes', aNode({ id: 'n1' }))
    tx.remove('tasks', 'a')
  })
  await store.update((tx) => tx.create('nodes', aNode({ id: 'n2' })))
  await all.end()
  t.same(lines(all), ['create a', 'update a', 'create s1', 'remove a'])
  const [first, second, third] = all.commits
  t.match([first?.index, second?.version, third?.index], [1, 2, 3])
  t.match(second?.changes[0], { old: { nodeId: undefined }, object: { nodeId: 'n1' } })
  t.match(third?.changes[1], { kind: 'remove', object: { nodeId: 'n1' } })
  t.equal(
    third?.nowMs,
    store.view((tx) => tx.nowMs),
  )
})

t.test('a watch of keys sees rows that come, change and go under them', async (t) => {
  const store = aStore()
  const n1 = watching(store, { tasks: { index: 'byNode', keys: ['n1'] } })
  const both = watching(store, { tasks: { index: 'byNode', keys: ['n1', 'n2'] } })
  await putTask(store, 'a', undefined)
  await putTask(store, 'a', 'n1')
  await putTask(store, 'b', 'n2')
  await putTask(store, 'a', 'n2')
  await putTask(store, 'a', 'n2')
  await store.update((tx) => tx.remove('tasks', 'a'))
  await n1.end()
  await both.end()
  t.same(lines(n1), ['update a', 'update a'])
  t.same(lines(both), ['update a', 'create b', 'update a', 'update a', 'remove a'])
})

t.test('a watch of ids sees those rows only', async (t) => {
  const store = aStore()
  const some = watching(store, { tasks: { ids: ['a', 'c'] }, nodes: { ids: ['n1'] } })
  for (const id of ['a', 'b', 'c']) await putTask(store, id, 'n1')
  await store.update((tx) => tx.create('nodes', aNode({ id: 'n1' })))
  await store.update((tx) => tx.create('nodes', aNode({ id: 'n2' })))
  await some.end()
  t.same(lines(some), ['create a', 'create c', 'create n1'])
})

t.test('subscribing and viewing in one tick leaves no gap and no overlap', async (t) => {
  const store = aStore()
  await putTask(store, 'a', undefined)
  const update = putTask(store, 'b', undefined)
  const seen = store.view((tx) => [...tx.all('tasks')].map((task: Task) => task.id as string))
  const later = watching(store, { tasks: 'all' })
  await update
  await later.end()
  t.same([...seen, ...lines(later)], ['a', 'create b'])
})

t.test('a watcher that does not keep up is told, and costs nothing more', async (t) => {
  const store = aStore()
  const { signal } = new AbortController()
  const slow = store.watch({ tasks: 'all' }, { signal, bufferMax: 3 })
  for (const id of ['a', 'b', 'c']) await putTask(store, id, undefined)
  const fast = watching(store, { tasks: 'all' })
  await putTask(store, 'd', undefined)
  const read = async (): Promise<void> => {
    for await (const commit of slow) t.fail(`read ${commit.index}`)
  }
  await t.rejects(read(), WatchLagged)
  await fast.end()
  t.same(lines(fast), ['create d'], 'others are not touched')
})

t.test('a buffer that is just full is no lag', async (t) => {
  const store = aStore()
  const controller = new AbortController()
  const watch = store.watch({ tasks: 'all' }, { signal: controller.signal, bufferMax: 3 })
  for (const id of ['a', 'b', 'c']) await putTask(store, id, undefined)
  const seen: number[] = []
  for await (const commit of watch) {
    seen.push(commit.index)
    if (seen.length === 3) break
  }
  t.same(seen, [1, 2, 3])
})

t.test('aborted watches end without an error, before and after', async (t) => {
  const store = aStore()
  const late = watching(store, { tasks: 'all' })
  await late.end()
  await putTask(store, 'a', undefined)
  t.same(late.commits, [])
  const controller = new AbortController()
  controller.abort()
  const early = store.watch({ tasks: 'all' }, { signal: controller.signal, bufferMax: 3 })
  await putTask(store, 'b', undefined)
  for await (const commit of early) t.fail(`read ${commit.index}`)
})

t.test('restoring a snapshot ends every watch', async (t) => {
  const store = aStore()
  const { signal } = new AbortController()
  const watch = store.watch({ tasks: 'all' }, { signal, bufferMax: 3 })
  await store.restore(10, aStore().snapshot())
  const read = async (): Promise<void> => {
    for await (const commit of watch) t.fail(`read ${commit.index}`)
  }
  await t.rejects(read(), /replaced by a snapshot; read again/)
})

t.test('ten thousand watchers of other nodes cost a commit nothing', async (t) => {
  const store = aStore()
  const { controller } = childController()
  const { signal } = controller
  const watchers = Array.from({ length: 10_000 }, (_, i) =>
    store.watch({ tasks: { index: 'byNode', keys: [`n${i}`] } }, { signal, bufferMax: 1 }),
  )
  // Each of these would fill all buffers twice over.
  for (let i = 0; i < 50; i++) await putTask(store, `t${i}`, 'elsewhere')
  await putTask(store, 'mine', 'n7')
  for await (const commit of watchers[7] as AsyncIterable<Commit>) {
    t.equal(commit.changes.length, 1)
    controller.abort()
  }
})
