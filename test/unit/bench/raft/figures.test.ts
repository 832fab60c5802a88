import t from 'tap'
import { commitFigure, latencyFigures } from '../../../bench/raft/figures.ts'
import { median, quantile, rounded } from '../../../bench/raft/rounds.ts'
import type { CommitResult } from '../../../bench/raft/sides.ts'

function aResult(perSecond: number, others: CommitResult['others'] = {}): CommitResult {
  return { perSecond, p50Ms: 1000 / perSecond, p99Ms: 5, leaderCpuMicros: 20, others }
}

t.test('a quantile is the value below which that part lies', async (t) => {
  t.equal(quantile([5, 1, 3, 2, 4], 0), 1)
  t.equal(quantile([5, 1, 3, 2, 4], 0.99), 5)
  t.equal(median([4, 1]), 4, 'the upper one of two')
  t.equal(quantile([1, 2], 1), 2)
  t.equal(median([]), 0)
  t.equal(rounded(1.006), 1.01)
})

t.test(
  'rounds of both sides become medians and a ratio, with the goal where there is one',
  async (t) => {
    const figure = commitFigure({
      proposers: 64,
      ours: [aResult(3000), aResult(1000), aResult(2000)],
      etcd: [aResult(900), aResult(800), aResult(700)],
      etcdConnections: 4,
    })
    t.match(figure, { perSecond: 2000, etcdPerSecond: 800, ratio: 2.5, goalRatio: 2 })
    t.match(figure, { roundsPerSecond: '3000 1000 2000', etcdRoundsPerSecond: '900 800 700' })
    t.match(figure, { p50Ms: 0.5, etcdP50Ms: 1.25, leaderCpuMicros: 20, etcdConnections: 4 })
    t.equal(figure.others, undefined)
  },
)

t.test('without etcd there is no ratio and no goal for it', async (t) => {
  const ours = [aResult(100)]
  const figure = commitFigure({ proposers: 64, ours, etcd: [], etcdConnections: undefined })
  t.equal(figure.perSecond, 100)
  for (const name of ['etcdPerSecond', 'ratio', 'goalRatio', 'etcdRoundsPerSecond'] as const) {
    t.equal(figure[name], undefined)
  }
})

t.test('what was not committed is counted over all rounds', async (t) => {
  const ours = [aResult(100, { busy: 1, lost: 2 }), aResult(100, { busy: 3 })]
  const figure = commitFigure({ proposers: 1, ours, etcd: [], etcdConnections: undefined })
  t.equal(figure.others, 'busy: 4, lost: 2')
})

t.test(
  'one commit is put beside one flush and one round trip, and beside both without Raft',
  async (t) => {
    const floorMs = [0.5]
    const flushMs = [0.2, 0.3, 0.1]
    const rows = latencyFigures({ flushMs, roundTripMs: [0.3], floorMs, commitMs: [0.75] })
    t.strictSame(
      rows.map(({ p50Ms }) => p50Ms),
      [0.2, 0.3, 0.5, 0.75, 0.75, 0.5],
    )
    t.match(rows.at(-2)?.what, /1\.5 \(goal 1\.5\)/)
    t.match(rows.at(-1)?.what, /without Raft: 1\.5$/)
  },
)
