import t from 'tap'
import { connectionFigures } from '../../bench/network/connections.ts'
import { parseStream } from '../../bench/network/load.ts'
import { inTurn, ratio, spread } from '../../bench/network/rounds.ts'
import { throughputFigures } from '../../bench/network/throughput.ts'

t.test('sides are measured in turn, until the signal aborts', async (t) => {
  const order: string[] = []
  const abort = new AbortController()
  const side = (name: string) => ({
    name,
    measure: async () => {
      order.push(name)
      if (order.length === 4) abort.abort()
      return order.length
    },
  })
  const results = await inTurn([side('a'), side('b')], 3, abort.signal)
  t.same(order, ['a', 'b', 'a', 'b'])
  t.same(
    [...results],
    [
      ['a', [1, 3]],
      ['b', [2, 4]],
    ],
  )
})

t.test('a ratio is the median of what each round is of its neighbour', async (t) => {
  t.equal(ratio([9, 80, 7], [10, 100, 10]), 0.8)
  t.equal(ratio([9, 80], [10]), 0.9, 'a round without a neighbour does not count')
  t.equal(ratio([9], undefined), undefined)
  t.equal(ratio([9], []), undefined)
  t.equal(spread([12, 9.44, 10.26]), '9.4 10.3 12.0')
})

t.test('a stream is read from what iperf3 prints', async (t) => {
  const json = JSON.stringify({
    end: {
      sum_sent: { seconds: 0.5, retransmits: 7 },
      sum_received: { bits_per_second: 8e9, bytes: 5e8 },
      cpu_utilization_percent: { host_total: 90, remote_total: 60 },
    },
  })
  t.same(parseStream(json), { gigabits: 8, cpuSeconds: 1.5, retransmits: 7 })
})

t.test('throughput is told beside the path without nft, the wire and Docker', async (t) => {
  const streams = (...gigabits: readonly number[]) =>
    gigabits.map((each) => ({ gigabits: each, cpuSeconds: 1, retransmits: 0 }))
  const figures = throughputFigures(
    new Map([
      ['from host to host', streams(20, 20)],
      ['VXLAN without nft', streams(10, 16)],
      ['overlay', streams(9, 16)],
    ]),
  )
  t.match(figures[2], {
    path: 'overlay',
    gigabits: 16,
    ofWithoutNft: 1,
    goalOfWithoutNft: 0.9,
    ofWire: 0.8,
    ofDocker: undefined,
    roundsGigabits: '9.0 16.0',
  })
  t.equal(figures[0]?.goalOfWithoutNft, undefined)
})

t.test('connections by a virtual address are told beside direct ones', async (t) => {
  const figures = connectionFigures(
    new Map([
      ['the tasks, directly', [8_000, 7_000, 9_000]],
      ['its virtual address', [7_600, 7_000, 9_000]],
    ]),
  )
  t.match(figures, [
    { perSecond: 8_000, ofDirect: undefined },
    { perSecond: 7_600, ofDirect: 1, goalOfDirect: 0.9 },
  ])
})
