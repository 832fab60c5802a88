import type { Entry } from 'raft-ts'
import t from 'tap'
import { EntryCache, entryBytes } from '../build/core/entry-cache.js'

function entry(index: number, size = 8): Entry {
  return { kind: 'data', term: 1, index, data: new Uint8Array(size) }
}

function filled(from: number, to: number): EntryCache {
  const cache = new EntryCache(from)
  for (let index = from; index <= to; index++) cache.push(entry(index))
  return cache
}

t.test('holds a contiguous run that ends at the last entry', async (t) => {
  const cache = filled(5, 9)
  t.same([cache.first, cache.last, cache.bytes], [5, 9, 5 * 40])
  t.equal(cache.get(4), undefined)
  t.equal(cache.get(7)?.index, 7)
  t.equal(cache.get(10), undefined)
  t.throws(() => cache.push(entry(11)), /contiguous/)
})

t.test('is cut from behind, also before its beginning', async (t) => {
  const cache = filled(5, 9)
  cache.truncateFrom(8)
  t.same([cache.first, cache.last, cache.bytes], [5, 7, 3 * 40])
  cache.truncateFrom(3)
  t.same([cache.first, cache.last, cache.bytes], [3, 2, 0])
  cache.push(entry(3))
  t.equal(cache.last, 3)
})

t.test('is cut from the front down to the bound, never above the given index', async (t) => {
  const cache = filled(1, 10)
  cache.trim(5 * 40, 3)
  t.same([cache.first, cache.last], [4, 10])
  cache.trim(5 * 40, 10)
  t.same([cache.first, cache.last, cache.bytes], [6, 10, 5 * 40])
  cache.trim(0, 10)
  t.same([cache.first, cache.last, cache.bytes], [11, 10, 0])
})

t.test('stays right over thousands of entries pushed and dropped', async (t) => {
  const cache = new EntryCache(1)
  for (let index = 1; index <= 10_000; index++) {
    cache.push(entry(index))
    cache.dropThrough(index - 10)
    if (cache.get(index)?.index !== index || cache.last !== index) t.fail(`at ${index}`)
  }
  t.same([cache.first, cache.last, cache.bytes], [9_991, 10_000, 10 * 40])
})

t.test('a slice is bounded in bytes but never empty', async (t) => {
  const cache = filled(1, 10)
  t.same(
    cache.slice(3, 10, 85).map((e) => e.index),
    [3, 4],
  )
  t.same(
    cache.slice(3, 10, 1).map((e) => e.index),
    [3],
  )
  t.equal(cache.slice(3, 10, Number.POSITIVE_INFINITY).length, 8)
})

t.test('configurations are counted by their members', async (t) => {
  const conf = { voters: ['a', 'b'], outgoing: ['a'], learners: [], learnersNext: [] }
  t.equal(entryBytes({ kind: 'conf', term: 1, index: 1, conf }), 32 * 4)
})
