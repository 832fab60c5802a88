import t from 'tap'
import { downAtMs, type Heard, heartbeatPeriodMs } from '../../../../manager/dispatcher/liveness.ts'
import { SessionTable } from '../../../../manager/dispatcher/session-table.ts'
import { SharedBarrier } from '../../../../manager/dispatcher/shared-barrier.ts'
import { StallMeter } from '../../../../manager/dispatcher/stall-meter.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import { aNode } from '../../../support/objects.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

const heard: Heard = {
  nodeId: nodeId('w1'),
  managerId: nodeId('m1'),
  beatAtMs: 10_000,
  heartbeatMs: 500,
  managerAtMs: 12_000,
}

t.test('a node is down 2.8 s after its last heartbeat', async (t) => {
  t.equal(downAtMs(heard, 12_100), 12_800)
  t.equal(downAtMs({ ...heard, heartbeatMs: 2_000 }, 12_100), 14_300, 'more with a longer period')
})

t.test('it has longer when its manager is silent too, unless that is itself', async (t) => {
  t.equal(downAtMs(heard, 13_001), 16_000)
  t.equal(downAtMs({ ...heard, managerAtMs: undefined }, 12_100), 16_000)
  t.equal(downAtMs({ ...heard, managerId: nodeId('w1') }, 13_001), 12_800)
  t.equal(downAtMs({ ...heard, managerId: undefined }, 13_001), 12_800)
})

t.test('nodes may be given more time at the start of a term, until they are heard', async (t) => {
  const startMs = 1_000
  const graceMs = 30_000
  const nodes = ['w1', 'w2'].map((id) => aNode({ id }))
  const table = new SessionTable(nodes, startMs + graceMs, 500)
  t.same(table.judge(startMs + graceMs).down, [])
  const beat = {
    nodeId: nodeId('w1'),
    sessionId: 's1',
    ageMs: 0,
    description: undefined,
    address: '',
    openedAgeMs: 0,
    leavingGraceMs: undefined,
    overlay: undefined,
  }
  const now = { monotonicMs: 2_000, judgedMs: 2_000 }
  t.equal(
    table.noteBeat(nodeId('w1'), beat, now, () => true),
    'write',
  )
  table.noteManager(nodeId('w1'), 500, 2_000)
  t.same(table.judge(4_800).down, ['w1'], 'whoever was heard has it no more')
  table.markDown(nodeId('w1'))
  t.same(table.judge(startMs + graceMs + 2_800).down, ['w2'])
})

t.test('a node that said that it comes back is given up no sooner than a silent one', async (t) => {
  const down = (heartbeatMs: number, leavingGraceMs: number, atMs: number): boolean => {
    const table = new SessionTable([], 0, heartbeatMs)
    const beat = {
      nodeId: nodeId('w1'),
      sessionId: 's1',
      ageMs: 0,
      description: undefined,
      address: '',
      openedAgeMs: 0,
      leavingGraceMs,
      overlay: undefined,
    }
    table.noteManager(nodeId('w1'), heartbeatMs, 0)
    table.noteBeat(nodeId('w1'), beat, { monotonicMs: 0, judgedMs: 0 }, () => true)
    return table.judge(atMs).down.length > 0
  }
  t.notOk(down(500, 15_000, 14_999))
  t.ok(down(500, 15_000, 15_000))
  t.notOk(down(60_000, 15_000, 62_299), 'heartbeats of a minute')
  t.ok(down(60_000, 15_000, 62_300))
  const known = new SessionTable([aNode({ id: 'w1', state: 'disconnected' })], 0, 60_000)
  t.same(known.judge(62_299).down, [], 'nor by a new leader')
  t.same(known.judge(62_300).down, ['w1'])
})

t.test(
  'the period grows with the sessions, so that heartbeats stay a tenth of a core',
  async (t) => {
    t.equal(heartbeatPeriodMs(0, 500, 500), 500)
    t.equal(heartbeatPeriodMs(700, 500, 500), 500, '2,000 nodes on three managers')
    for (const sessions of [800, 1_000, 3_333, 10_000]) {
      const periodMs = heartbeatPeriodMs(sessions, 500, 500)
      t.ok(periodMs >= 0.7 * sessions && periodMs <= 0.9 * sessions, `${sessions}: ${periodMs} ms`)
    }
    const told = heartbeatPeriodMs(1_000, 500, 500)
    t.equal(heartbeatPeriodMs(900, 500, told), told, 'a little less is not worth telling everybody')
    t.equal(heartbeatPeriodMs(100, 500, 2_000), 500)
    t.equal(heartbeatPeriodMs(100, 3_000, 500), 3_000, 'the wish of the cluster is the least')
    t.equal(heartbeatPeriodMs(100, 500, 600), 500)
  },
)

t.test('the meter leaves out what the process itself slept through', async (t) => {
  const clock = new VirtualClock()
  const meter = new StallMeter(clock)
  const life = new AbortController()
  meter.start(life.signal)
  await clock.advance(1_050)
  t.equal(meter.nowMs(), 1_050)
  await clock.stall(5_000)
  t.equal(meter.nowMs(), 1_100)
  await clock.advance(300)
  t.equal(meter.nowMs(), 1_400)
  life.abort()
})

t.test('who waits for a read point shares the next one, never one that began before', async (t) => {
  const passes: (() => void)[] = []
  const barrier = new SharedBarrier(() => new Promise((resolve) => passes.push(resolve)))
  const done: string[] = []
  const wait = (name: string) => barrier.wait().then(() => done.push(name))
  wait('a')
  wait('b')
  wait('c')
  t.equal(passes.length, 1)
  passes[0]?.()
  await settle()
  t.same(done, ['a'])
  t.equal(passes.length, 2)
  wait('d')
  passes[1]?.()
  await settle()
  t.same(done, ['a', 'b', 'c'])
  passes[2]?.()
  await settle()
  t.same(done, ['a', 'b', 'c', 'd'])
})

t.test('a read point that failed does not hold up the next', async (t) => {
  let passes = 0
  const barrier = new SharedBarrier(async () => {
    passes += 1
    if (passes === 1) throw new Error('no leader')
  })
  const [first, second] = [barrier.wait(), barrier.wait()]
  await t.rejects(first, /no leader/)
  await second
  await barrier.wait()
  t.equal(passes, 3)
})

t.test('nodes and managers that were removed are forgotten', async (t) => {
  const nodes = ['w1', 'w2'].map((id) => aNode({ id, state: 'ready' }))
  const table = new SessionTable(nodes, 0, 500)
  table.noteManager(nodeId('m1'), 500, 0)
  table.noteManager(nodeId('m2'), 5_000, 0)
  const slowMs = table.judge(0).nextAtMs
  table.retain((id) => id === 'w1' || id === 'm1')
  t.equal(table.size, 1)
  t.ok(table.judge(0).nextAtMs < slowMs, 'the period of a manager that is gone counts no more')
})
