import fc from 'fast-check'
import t from 'tap'
import { IndexedHeap } from '../../../scheduler/indexed-heap.ts'

t.test('any sequence of changes leaves the least keys on top', async (t) => {
  const step = fc.record({
    kind: fc.constantFrom('set', 'remove'),
    id: fc.nat(19),
    first: fc.nat(4),
    second: fc.nat(4),
  })
  const start = fc.uniqueArray(fc.nat(19))
  fc.assert(
    fc.property(start, fc.array(step, { maxLength: 60 }), (ids, steps) => {
      const heap = new IndexedHeap(20)
      const model = new Map<number, readonly [number, number]>()
      for (const id of ids) {
        heap.append(id, (id * 7) % 5, id % 3)
        model.set(id, [(id * 7) % 5, id % 3])
      }
      heap.order()
      for (const { kind, id, first, second } of steps) {
        if (!model.has(id)) continue
        if (kind === 'set') {
          heap.set(id, first, second)
          model.set(id, [first, second])
        } else {
          heap.remove(id)
          model.delete(id)
        }
        const least = [...model.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1])[0]
        const top = heap.top()
        if (least === undefined) {
          if (top !== -1) return false
        } else if (heap.firstKey(top) !== least[0] || heap.secondKey(top) !== least[1]) {
          return false
        }
        if (heap.size !== model.size || heap.has(id) !== model.has(id)) return false
      }
      return true
    }),
  )
  t.pass('held')
})

t.test('equal keys are taken one after another', async (t) => {
  const heap = new IndexedHeap(4)
  for (const id of [0, 1, 2, 3]) heap.append(id, 0, 0)
  heap.order()
  const taken = new Set<number>()
  for (let turn = 0; turn < 4; turn++) {
    taken.add(heap.top())
    heap.set(heap.top(), 0, 1)
  }
  t.equal(taken.size, 4)
})
