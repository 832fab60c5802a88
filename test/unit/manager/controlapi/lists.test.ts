// Lists of any length: messages that gRPC takes, of one moment, with nothing kept once they are over.
import t from 'tap'
import { ListTasksResponse } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { aControlWorld, type ControlWorld, collect } from '../../../support/control.ts'
import { aSpecRecord, aTask } from '../../../support/objects.ts'

async function aWorldWith(tasks: number): Promise<ControlWorld> {
  const w = await aControlWorld()
  await w.store.update((tx) => {
    for (const hash of ['a', 'b']) tx.create('taskSpecs', aSpecRecord(hash, { image: hash }))
  })
  for (let at = 0; at < tasks; at += 200) {
    await w.store.update((tx) => {
      for (let i = at; i < Math.min(tasks, at + 200); i++) {
        const service = i % 10 === 0 ? 's-tenth' : 's1'
        tx.create('tasks', aTask({ id: `t${i}`, service, specHash: i % 2 === 0 ? 'a' : 'b' }))
      }
    })
  }
  return w
}

const list = (w: ControlWorld, filters: { key: string; values: string[] }[] = []) =>
  w.api.listTasks(w.caller, { filters }, w.signal)

t.test(
  'a hundred thousand tasks come in messages of less than 2 MiB, each spec once',
  async (t) => {
    const w = await aWorldWith(100_000)
    const messages = await collect(list(w))
    t.ok(messages.length >= 100, `${messages.length} messages`)
    const largest = Math.max(
      ...messages.map((one) => ListTasksResponse.encode(one).finish().length),
    )
    t.ok(largest < 2 * 2 ** 20, `${largest} bytes`)
    const ids = messages.flatMap(({ tasks }) => tasks.map(({ task }) => task?.id))
    t.equal(new Set(ids).size, 100_000)
    t.same([ids[0], ids.at(-1)], ['t0', 't99999'], 'in order of creation')
    t.same(messages.flatMap(({ specs }) => specs.map(({ hash }) => hash)).sort(), ['a', 'b'])
    const filter = [{ key: 'service', values: ['s-tenth'] }]
    const some = await collect(list(w, filter))
    t.equal(some.flatMap(({ tasks }) => tasks).length, 10_000)
  },
)

t.test('texts that are long make messages shorter', async (t) => {
  const w = await aControlWorld()
  const err = 'e'.repeat(100_000)
  for (let i = 0; i < 60; i++) {
    await w.store.update((tx) => tx.create('tasks', { ...aTask({ id: `t${i}` }), err }))
  }
  const messages = await collect(list(w))
  const sizes = messages.map((one) => ListTasksResponse.encode(one).finish().length)
  t.ok(Math.max(...sizes) < 2 * 2 ** 20, sizes.join(' '))
  t.equal(messages.flatMap(({ tasks }) => tasks).length, 60)
})

t.test('a list is of one moment, whatever is written while it is read', async (t) => {
  const w = await aWorldWith(5_000)
  const seen: string[] = []
  let round = 0
  for await (const { tasks } of list(w)) {
    for (const { task } of tasks) seen.push(`${task?.id} ${task?.message}`)
    round += 1
    await w.store.update((tx) => {
      for (const id of [`t${4_000 + round}`, `t${round}`]) {
        const task = tx.get('tasks', id)
        if (task !== undefined) tx.update('tasks', { ...task, message: 'changed' })
      }
      tx.remove('tasks', `t${4_500 + round}`)
      tx.create('tasks', aTask({ id: `new${round}` }))
    })
  }
  t.ok(round >= 5)
  t.equal(seen.length, 5_000)
  t.notOk(seen.some((text) => text.endsWith('changed') || text.startsWith('new')))
})

t.test('an empty list is one message, a bad filter an error before anything is read', async (t) => {
  const w = await aControlWorld()
  t.same(await collect(list(w)), [{ tasks: [], specs: [] }])
  const nodes = await collect(w.api.listNodes(w.caller, { filters: [] }, w.signal))
  t.match(nodes, [{ selfNodeId: /./ }])
  const { readBarriers } = w
  await t.rejects(collect(list(w, [{ key: 'nonsense', values: ['x'] }])), {
    code: 'INVALID_ARGUMENT',
  })
  t.equal(w.readBarriers, readBarriers)
})
