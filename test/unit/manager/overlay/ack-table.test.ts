import fc from 'fast-check'
import t from 'tap'
import { AckTable, staleMs } from '../../../../manager/overlay/ack-table.ts'
import { type Clock, systemClock } from '../../../../proto/lib/clock.ts'
import { type NetworkId, type NodeId, networkId, nodeId } from '../../../../proto/objects/index.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const [a, b] = [nodeId('a'), nodeId('b')]
const [red, blue] = [networkId('red'), networkId('blue')]
const reached = (...pairs: readonly (readonly [NetworkId, number])[]) => new Map(pairs)

function aTable(...up: readonly NodeId[]): AckTable {
  const table = new AckTable(new VirtualClock())
  table.setEpoch(1)
  for (const node of up) table.setUp(node, true)
  return table
}

t.test('the slowest node that holds a network counts', async (t) => {
  const table = aTable(a, b)
  t.equal(table.reachedIndex(red), Number.POSITIVE_INFINITY, 'nobody holds it')
  table.note(a, 1, reached([red, 7], [blue, 8]))
  table.note(b, 1, reached([red, 5]))
  t.same([table.reachedIndex(red), table.reachedIndex(blue)], [5, 8])
  table.note(b, 1, reached())
  t.same([table.reachedIndex(red), table.reachedIndex(blue)], [7, 8])
})

t.test(
  'a node with a task on the network that has said nothing of it holds everything up',
  async (t) => {
    const table = aTable(a, b)
    table.note(a, 1, reached([red, 7]))
    table.count(red, b, 1)
    table.count(red, b, 1)
    t.equal(table.reachedIndex(red), 0)
    table.count(red, b, -1)
    t.equal(table.reachedIndex(red), 0)
    table.count(red, b, -1)
    t.equal(table.reachedIndex(red), 7)
  },
)

t.test('a node that is down is not waited for, and says it anew when it is back', async (t) => {
  const table = aTable(a, b)
  let rises = 0
  const stop = table.onRise(() => {
    rises += 1
  })
  table.note(a, 1, reached([red, 7]))
  table.note(b, 1, reached([red, 3]))
  table.setUp(b, false)
  t.equal(table.reachedIndex(red), 7)
  t.equal(rises, 3)
  table.count(red, b, 1)
  table.setUp(b, true)
  t.equal(table.reachedIndex(red), 0)
  stop()
  table.note(b, 1, reached([red, 8]))
  t.equal(rises, 3)
})

t.test('what a node that went down knows keeps addresses back for a while', async (t) => {
  const clock = new VirtualClock()
  const table = new AckTable(clock)
  table.setEpoch(1)
  for (const node of [a, b]) table.setUp(node, true)
  table.note(a, 1, reached([red, 7], [blue, 7]))
  table.note(b, 1, reached([red, 3]))
  table.setUp(b, false)
  const indexes = () => [table.reachedIndex(red), table.forgottenIndex(red)]
  t.same(indexes(), [7, 3])
  t.equal(table.forgottenIndex(blue), 7, 'it did not hold that one')
  table.learnAnew()
  table.setUp(a, true)
  table.setUp(b, false)
  t.same(indexes(), [7, 3], 'still, when all rows were told anew')
  table.setUp(b, true)
  table.note(b, 1, reached([red, 9]))
  t.same(indexes(), [7, 7], 'it is back, and says it itself')
  table.setUp(b, false)
  table.note(a, 1, reached([red, 11]))
  let rises = 0
  table.onRise(() => {
    rises += 1
  })
  await clock.advance(staleMs - 1)
  t.same([...indexes(), rises], [11, 9, 0])
  await clock.advance(1)
  t.same([...indexes(), rises], [11, 11, 1])
})

t.test('a node that is removed, and one of an earlier term, keeps nothing back', async (t) => {
  const table = aTable(a, b)
  table.note(a, 1, reached([red, 7]))
  table.note(b, 1, reached([red, 3]))
  table.setUp(b, false)
  table.drop(b)
  t.equal(table.forgottenIndex(red), 7)
  table.setUp(a, false)
  table.beginTerm()
  t.equal(table.forgottenIndex(red), Number.POSITIVE_INFINITY)
})

t.test('a network that every node holds waits for each, also for one without tasks', async (t) => {
  const table = aTable(a, b)
  table.setHeldByAll([red])
  table.note(a, 1, reached([red, 7]))
  t.equal(table.reachedIndex(red), 0)
  table.note(b, 1, reached([red, 8]))
  t.equal(table.reachedIndex(red), 7)
  table.setHeldByAll([])
  table.note(b, 1, reached())
  t.equal(table.reachedIndex(red), 7)
})

t.test('what is older, and what another epoch said, counts for nothing', async (t) => {
  const table = aTable(a)
  table.note(a, 1, reached([red, 7]))
  table.note(a, 1, reached([red, 6]))
  table.note(a, 2, reached([red, 99]))
  t.equal(table.reachedIndex(red), 7)
  table.setEpoch(2)
  table.count(red, a, 1)
  t.equal(table.reachedIndex(red), 0)
  table.note(a, 2, reached([red, 1]))
  t.equal(table.reachedIndex(red), 1)
})

t.test('a new term knows nothing; a look at all rows anew keeps what was said', async (t) => {
  const table = aTable(a)
  table.note(a, 1, reached([red, 7]))
  table.learnAnew()
  table.setUp(a, true)
  t.equal(table.reachedIndex(red), 7)
  table.beginTerm()
  table.setUp(a, true)
  table.count(red, a, 1)
  t.equal(table.reachedIndex(red), 0)
})

t.test(
  'it is the least over all that hold the network, whatever came in whatever order',
  async (t) => {
    const nodes = fc.constantFrom(...['a', 'b', 'c'].map(nodeId))
    const networks = fc.constantFrom(red, blue)
    const said = fc.record({ node: nodes, held: fc.array(fc.tuple(networks, fc.nat(20))) })
    fc.assert(
      fc.property(fc.array(said, { maxLength: 30 }), fc.array(nodes), (all, down) => {
        const table = aTable(...['a', 'b', 'c'].map(nodeId))
        const last = new Map<NodeId, Map<NetworkId, number>>()
        for (const { node, held } of all) {
          const before = last.get(node)
          const now = new Map(held)
          table.note(node, 1, now)
          // Asked in between, so that what it remembers is tried.
          table.reachedIndex(red)
          const highest = [...now].map(
            ([id, index]) => [id, Math.max(index, before?.get(id) ?? 0)] as const,
          )
          last.set(node, new Map(highest))
        }
        for (const node of down) {
          table.setUp(node, false)
          last.delete(node)
        }
        return [red, blue].every((id) => {
          const indexes = [...last.values()].flatMap((one) => one.get(id) ?? [])
          return table.reachedIndex(id) === Math.min(Number.POSITIVE_INFINITY, ...indexes)
        })
      }),
    )
    t.pass()
  },
)

t.test('while nodes and tasks are still told, nothing counts as followed', async (t) => {
  const table = aTable()
  let rises = 0
  table.onRise(() => {
    rises += 1
  })
  table.setLearning(true)
  t.equal(table.reachedIndex(red), 0)
  table.setUp(a, true)
  table.count(red, a, 1)
  table.setLearning(false)
  t.equal(rises, 1)
  t.same([table.reachedIndex(red), table.reachedIndex(blue)], [0, Number.POSITIVE_INFINITY])
})

t.test('closed, it waits for nothing any more', async (t) => {
  const timers = new Set<object>()
  const clock: Clock = {
    ...systemClock,
    setTimer: () => {
      const timer = { cancel: () => timers.delete(timer) }
      timers.add(timer)
      return timer
    },
  }
  const table = new AckTable(clock)
  table.setEpoch(1)
  for (const node of [a, b]) table.setUp(node, true)
  table.setUp(a, false)
  t.equal(timers.size, 1)
  table.close()
  t.equal(timers.size, 0)
  table.setUp(b, false)
  t.equal(timers.size, 0, 'nor for what goes down while it ends')
})
