import t from 'tap'
import { LeaderLoops } from '../../../manager/leader.ts'
import { wait } from '../../../proto/lib/clock.ts'
import type { NamedLoop } from '../../../proto/lib/lifecycle.ts'
import { silentLogger } from '../../../proto/lib/log.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'

interface World {
  readonly clock: VirtualClock
  readonly leader: LeaderLoops
  readonly fatal: unknown[]
  readonly events: string[]
}

function world(loops: (term: number, world: World) => readonly NamedLoop[]): World {
  const clock = new VirtualClock()
  const fatal: unknown[] = []
  const made: World = {
    clock,
    fatal,
    events: [],
    leader: new LeaderLoops({
      loops: (term) => loops(term, made),
      clock,
      log: silentLogger,
      onFatal: (err) => fatal.push(err),
    }),
  }
  return made
}

function untilAbort(name: string, world: World, endMs = 0): NamedLoop {
  return {
    name,
    run: async (signal) => {
      world.events.push(`${name} starts`)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      if (endMs > 0) await wait(world.clock, endMs)
      world.events.push(`${name} ends`)
    },
  }
}

t.test('the loops of a term run until it is lost, and have ended when stop returns', async (t) => {
  const w = world((term, w) => [untilAbort(`a${term}`, w), untilAbort(`b${term}`, w, 1_000)])
  w.leader.start(3)
  t.equal(w.leader.term, 3)
  let stopped = false
  const stop = w.leader.stop().then(() => {
    stopped = true
  })
  await w.clock.advance(999)
  t.notOk(stopped)
  await w.clock.advance(1)
  await stop
  t.equal(w.leader.term, undefined)
  w.leader.start(4)
  await settle()
  t.same(w.events, ['a3 starts', 'b3 starts', 'a3 ends', 'b3 ends', 'a4 starts', 'b4 starts'])
  t.same(w.fatal, [])
  const last = w.leader.stop()
  await w.clock.advance(1_000)
  await last
})

t.test('a loop that runs on for 5 s after its abort is fatal, and named', async (t) => {
  const w = world((_term, w) => [untilAbort('quick', w), untilAbort('stuck', w, 60_000)])
  w.leader.start(1)
  const stop = w.leader.stop()
  await w.clock.advance(4_999)
  t.same(w.fatal, [])
  await w.clock.advance(1)
  t.match(w.fatal, [{ message: /5000 ms: stuck$/ }])
  await w.clock.advance(60_000)
  await stop
})

t.test('a loop that fails is fatal, its siblings are stopped', async (t) => {
  const failing: NamedLoop = {
    name: 'failing',
    run: async () => {
      throw new TypeError('bug')
    },
  }
  const w = world((_term, w) => [untilAbort('other', w), failing])
  w.leader.start(1)
  await w.clock.advance(1)
  t.match(w.fatal, [{ message: 'loop failing failed: bug' }])
  t.same(w.events, ['other starts', 'other ends'])
  await w.leader.stop()
})

t.test('a term cannot start while another runs; stopping twice does no harm', async (t) => {
  const w = world((_term, w) => [untilAbort('a', w)])
  await w.leader.stop()
  w.leader.start(1)
  w.leader.start(2)
  t.match(w.fatal, [{ message: /term 1 still run, term 2 cannot start/ }])
  await Promise.all([w.leader.stop(), w.leader.stop()])
  t.equal(w.leader.term, undefined)
})
