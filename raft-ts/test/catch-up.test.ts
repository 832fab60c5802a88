// Rounds in which a learner catches up, thesis 4.2.1.
import t from 'tap'
import { CatchUp, type CatchUpStep, type CatchUpView } from '../build/driver/catch-up.js'

const T = 10

interface Learner {
  match?: number
  state?: CatchUpView['peer']['state']
  active?: boolean
  silentTicks?: number
  lastIndex?: number
}

function look(catchUp: CatchUp, ticks: number, learner: Learner): CatchUpStep {
  const {
    match = 0,
    state = 'replicate',
    active = true,
    silentTicks = 0,
    lastIndex = 100,
  } = learner
  return catchUp.tick(ticks, {
    peer: { match, state, active, silentTicks },
    lastIndex,
    electionTicks: T,
  })
}

t.test('a round within an election time-out proves it', async (t) => {
  const catchUp = new CatchUp(100)
  t.same(look(catchUp, 9, { match: 99 }), { kind: 'waiting' })
  t.same(look(catchUp, 1, { match: 100 }), { kind: 'caught-up' })
})

t.test('a longer one is followed by another, to where the log ends by then', async (t) => {
  const catchUp = new CatchUp(100)
  for (let i = 0; i < 3; i++) look(catchUp, 5, { match: 10 + i })
  t.same(look(catchUp, 1, { match: 100, lastIndex: 150 }), { kind: 'waiting' })
  t.same(look(catchUp, 1, { match: 149 }), { kind: 'waiting' })
  t.same(look(catchUp, 8, { match: 150 }), { kind: 'caught-up' })
})

t.test('ten rounds are enough', async (t) => {
  const catchUp = new CatchUp(100)
  let match = 100
  for (let round = 1; round < 10; round++) {
    t.same(look(catchUp, T + 1, { match, lastIndex: match + 100 }), { kind: 'waiting' })
    match += 100
  }
  t.match(look(catchUp, T + 1, { match }), { kind: 'failed', reason: /after 10 rounds/ })
})

t.test('the tenth round may still prove it', async (t) => {
  const catchUp = new CatchUp(1)
  for (let round = 1; round < 10; round++)
    look(catchUp, T + 1, { match: round, lastIndex: round + 1 })
  t.same(look(catchUp, T, { match: 10 }), { kind: 'caught-up' })
})

t.test('what was acknowledged before proves nothing without a sign of life', async (t) => {
  const catchUp = new CatchUp(100)
  t.same(look(catchUp, 1, { match: 100, silentTicks: 5 }), { kind: 'waiting' })
  t.same(look(catchUp, 1, { match: 100, silentTicks: 6 }), { kind: 'waiting' })
  t.same(look(catchUp, 1, { match: 100, silentTicks: 1 }), { kind: 'caught-up' })
})

t.test('without progress it is given up, with the reason', async (t) => {
  for (const [active, reason] of [
    [true, /acknowledges nothing more/],
    [false, /does not answer/],
  ] as const) {
    const catchUp = new CatchUp(100)
    t.same(look(catchUp, 20 * T, { match: 0, active }), { kind: 'waiting' })
    t.match(look(catchUp, 1, { match: 0, active }), { kind: 'failed', reason })
  }
})

t.test('any progress counts, however slow', async (t) => {
  const catchUp = new CatchUp(100)
  for (let match = 1; match < 100; match++) {
    t.same(look(catchUp, 15 * T, { match }), { kind: 'waiting' })
  }
})

t.test('a snapshot takes its time while the learner answers', async (t) => {
  const catchUp = new CatchUp(100)
  for (let i = 0; i < 20; i++) {
    t.same(look(catchUp, 5 * T, { state: 'snapshot' }), { kind: 'waiting' })
  }
  for (let i = 0; i < 4; i++) look(catchUp, 5 * T, { state: 'snapshot', active: false })
  t.match(look(catchUp, 1, { state: 'snapshot', active: false }), { kind: 'failed' })
})

t.test('three snapshots in vain are enough', async (t) => {
  const catchUp = new CatchUp(100)
  const attempt = (match: number): CatchUpStep => {
    look(catchUp, 1, { match, state: 'probe' })
    return look(catchUp, 1, { match, state: 'snapshot' })
  }
  for (let i = 0; i < 3; i++) t.same(attempt(0), { kind: 'waiting' })
  look(catchUp, 1, { match: 50 })
  for (let i = 0; i < 3; i++)
    t.same(attempt(50), { kind: 'waiting' }, 'progress begins the count anew')
  t.match(attempt(50), { kind: 'failed', reason: /snapshot in 3 attempts/ })
})
