import { defaultRaftTuning } from 'raft-ts'
import t from 'tap'
import { Progress } from '../build/core/progress.js'

const tuning = { ...defaultRaftTuning, inflightMessagesMax: 2, inflightBytesMax: 100 }

function replicating(match = 5): Progress {
  const progress = new Progress('b', match + 1, tuning)
  progress.accepted(match)
  return progress
}

t.test('probes with one message at a time', async (t) => {
  const progress = new Progress('b', 6, tuning)
  t.notOk(progress.isPaused)
  progress.sent(3, 30, 0)
  t.ok(progress.isPaused)
  t.equal(progress.next, 6, 'a probe moves nothing')
  progress.heard(8)
  t.notOk(progress.isPaused, 'a sign of life lets the next probe go')
  t.ok(progress.nudged)
})

t.test('an accepted probe starts the pipeline', async (t) => {
  const progress = new Progress('b', 6, tuning)
  progress.sent(3, 30, 0)
  progress.accepted(8)
  t.same([progress.state, progress.match, progress.next], ['replicate', 8, 9])
})

t.test('the window is bounded by messages', async (t) => {
  const progress = replicating()
  progress.sent(1, 10, 0)
  t.notOk(progress.isPaused)
  progress.sent(2, 10, 0)
  t.ok(progress.isPaused)
  t.equal(progress.next, 9)
  progress.accepted(6)
  t.notOk(progress.isPaused)
})

t.test('the window is bounded by bytes', async (t) => {
  const progress = replicating()
  progress.sent(1, 100, 0)
  t.ok(progress.isPaused)
  progress.accepted(6)
  t.notOk(progress.isPaused)
})

t.test(
  'a full window opens by one message on a sign of life: its answer may be lost',
  async (t) => {
    const progress = replicating()
    progress.sent(1, 60, 0)
    progress.sent(1, 60, 0)
    progress.heard(7)
    t.notOk(progress.isPaused)
  },
)

t.test('a refusal of the pipeline falls back to probing from what matches', async (t) => {
  const progress = replicating(5)
  progress.sent(4, 10, 0)
  t.notOk(progress.refused(5, 5), 'an old refusal is ignored')
  t.equal(progress.state, 'replicate')
  t.ok(progress.refused(9, 7))
  t.same([progress.state, progress.next], ['probe', 6])
})

t.test('a refused probe goes to the hint, never below what matches', async (t) => {
  const progress = new Progress('b', 20, tuning)
  t.notOk(progress.refused(15, 3), 'an answer to an earlier probe')
  t.ok(progress.refused(19, 7))
  t.equal(progress.next, 8)
  t.notOk(progress.refused(0, 0), 'what matches cannot be refused')
  t.ok(progress.refused(7, 0))
  t.equal(progress.next, 1)
})

t.test('a snapshot stops all until it is acknowledged', async (t) => {
  const progress = replicating(5)
  progress.startSnapshot(50)
  t.ok(progress.isPaused)
  progress.accepted(5)
  t.equal(progress.state, 'snapshot', 'an old answer does not end it')
  progress.heard(60)
  t.ok(progress.isPaused)
  progress.accepted(50)
  t.same([progress.state, progress.match, progress.next], ['replicate', 50, 51])
})

t.test(
  'a delivered snapshot continues behind it, a failed one where it was; both after a sign of life',
  async (t) => {
    const delivered = replicating(5)
    delivered.startSnapshot(50)
    delivered.endSnapshot(true)
    t.same([delivered.state, delivered.next, delivered.isPaused], ['probe', 51, true])
    const failed = replicating(5)
    failed.startSnapshot(50)
    failed.endSnapshot(false)
    t.same([failed.state, failed.next, failed.isPaused], ['probe', 6, true])
    failed.heard(60)
    t.notOk(failed.isPaused)
    failed.endSnapshot(true)
    t.equal(failed.next, 6, 'a late report changes nothing')
  },
)

t.test('an unreachable peer is probed from what matches', async (t) => {
  const progress = replicating(5)
  progress.sent(3, 10, 0)
  progress.unreachable()
  t.same([progress.state, progress.next, progress.isPaused], ['probe', 6, true])
})

t.test('a peer that lost entries is believed', async (t) => {
  const progress = replicating(50)
  progress.lost(20)
  t.same([progress.state, progress.match, progress.next], ['probe', 20, 21])
})

t.test('status shows a copy', async (t) => {
  t.same(replicating(5).status(true, true), {
    id: 'b',
    learner: true,
    state: 'replicate',
    match: 5,
    next: 6,
    active: true,
    silentTicks: 0,
    inflightMessages: 0,
  })
})
