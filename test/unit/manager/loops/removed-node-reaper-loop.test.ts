import t from 'tap'
import { removedNodeReaperLoop } from '../../../../manager/loops/removed-node-reaper-loop.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

t.test('removed nodes are forgotten when their time is over, all of them', async (t) => {
  const clock = new VirtualClock()
  const random = seededRandom(1)
  const store = createMemoryStore({ clock, random })
  const startMs = store.view((tx) => tx.nowMs)
  const count = 250
  for (let at = 0; at < count; at += 50) {
    await store.update((tx) => {
      for (let i = at; i < at + 50; i++) {
        tx.create('removedNodes', { id: nodeId(`old${i}`), expiresAtMs: startMs + 90_000, mark: 0 })
      }
    })
  }
  await store.update((tx) =>
    tx.create('removedNodes', { id: nodeId('later'), expiresAtMs: startMs + 3_600_000, mark: 0 }),
  )
  const known = (): number => store.view((tx) => tx.count('removedNodes'))
  const stop = new AbortController()
  const running = removedNodeReaperLoop({ store, clock, random, log: silentLogger }).run(
    stop.signal,
  )
  await clock.advance(89_000)
  t.equal(known(), count + 1, 'not before')
  await clock.advance(32_000)
  t.equal(known(), 51, 'as many as fit into one transaction')
  await clock.advance(60_000)
  t.equal(known(), 1)
  t.ok(store.view((tx) => tx.get('removedNodes', 'later')))
  stop.abort()
  await running
})
