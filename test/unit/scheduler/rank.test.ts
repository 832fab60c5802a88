import t from 'tap'
import { seededRandom } from '../../../proto/lib/random.ts'
import type { NodeEntry } from '../../../scheduler/cluster-index.ts'
import { rankOf } from '../../../scheduler/rank.ts'
import { aNode } from '../../support/objects.ts'

function entry(index: number, facts: Partial<NodeEntry> = {}): NodeEntry {
  return {
    index,
    node: aNode({ id: `n${index}`, nanoCpus: 4e9, memoryBytes: 1_000 }),
    open: true,
    reservedNanoCpus: 0,
    reservedMemoryBytes: 0,
    activeTasks: 0,
    hostPorts: undefined,
    generic: undefined,
    ...facts,
  }
}

t.test('spread: troubles, then tasks of the service, then tasks in all', async (t) => {
  const rank = rankOf('spread', Math.random)
  t.ok(rank.first(99_999, 0) < rank.first(0, 5))
  t.ok(rank.first(0, 5) < rank.first(0, 6))
  t.ok(rank.first(1, 0) < rank.first(2, 0))
  t.ok(rank.second(entry(0, { activeTasks: 1 })) < rank.second(entry(1, { activeTasks: 2 })))
})

t.test('binpack: the most reserved resource, then tasks; troubles still come last', async (t) => {
  const rank = rankOf('binpack', Math.random)
  t.equal(rank.first(7, 0), rank.first(0, 0), 'tasks of the service do not matter')
  t.ok(rank.first(0, 0) < rank.first(0, 5))
  const cpuHalf = entry(0, { reservedNanoCpus: 2e9, reservedMemoryBytes: 100 })
  const memoryMost = entry(1, { reservedNanoCpus: 0, reservedMemoryBytes: 600 })
  t.ok(rank.second(memoryMost) < rank.second(cpuHalf))
  t.ok(rank.second(entry(2, { activeTasks: 9 })) < rank.second(entry(3, { activeTasks: 8 })))
})

t.test('random: every node equally often, late ones and those that were away too', async (t) => {
  const rank = rankOf('random', seededRandom(3).float)
  const taken = [0, 0, 0, 0]
  const choose = (entries: readonly NodeEntry[]): void => {
    const keys = entries.map((each) => rank.second(each))
    const best = entries[keys.indexOf(Math.min(...keys))]
    if (best === undefined) return
    taken[best.index] = (taken[best.index] ?? 0) + 1
    rank.placed(best)
  }
  const nodes = [0, 1, 2, 3].map((index) => entry(index))
  for (let turn = 0; turn < 3_000; turn++) choose(nodes.slice(0, 2))
  taken.fill(0)
  for (let turn = 0; turn < 4_000; turn++) choose(nodes)
  for (const count of taken) t.ok(count > 880 && count < 1_120, `${count} of 4000`)
})
