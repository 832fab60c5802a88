import t from 'tap'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/ids.ts'
import {
  type Peer,
  type PeerReport,
  PeerTable,
  probeBytesMin,
  sizesBetween,
} from '../../../../worker/network/peer-table.ts'

function aPeer(number: number, peer: Partial<Peer> = {}): Peer {
  return {
    nodeId: nodeId(`n${number}`),
    vtep: `10.99.0.${number}`,
    address: `100.127.0.${number}`,
    mtuMax: 1450,
    isDown: false,
    ...peer,
  }
}

/** A table whose probes go over a wire that carries packets up to `carries` bytes; looked at every 200 ms. */
class Wire {
  readonly table = new PeerTable(seededRandom(1))
  nowMs = 0
  sent = 0
  bytes = 0
  carries = new Map<string, number>()

  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 200) {
      for (const probe of this.table.due(this.nowMs)) {
        this.sent += 1
        this.bytes += probe.bytes
        const gets = probe.bytes <= (this.carries.get(probe.address) ?? 1500)
        if (gets) this.table.answered(probe, this.nowMs + 1)
      }
    }
  }

  report(number: number): PeerReport | undefined {
    return this.table.reports(this.nowMs).find(({ nodeId: id }) => id === `n${number}`)
  }
}

t.test('a peer that answers is reachable with the largest packet', async (t) => {
  const wire = new Wire()
  wire.table.set([aPeer(2)], 0)
  t.match(wire.report(2), { state: 'unknown', mtu: undefined, vtep: '10.99.0.2', sinceMs: 0 })
  wire.run(1_000)
  t.match(wire.report(2), { state: 'reachable', mtu: 1450 })
  wire.sent = 0
  wire.run(60_000)
  t.ok(wire.sent >= 20 && wire.sent <= 45, `${wire.sent} packets a minute`)
  t.match(wire.report(2), { state: 'reachable', mtu: 1450 })
})

t.test('the largest packet that gets through is found to the byte', async (t) => {
  for (const carries of [probeBytesMin + 1, 576, 1279, 1280, 1350, 1429, 1430, 1449]) {
    const wire = new Wire()
    wire.carries.set('100.127.0.2', carries)
    wire.table.set([aPeer(2)], 0)
    wire.run(6_000)
    t.match(wire.report(2), { state: 'reachable', mtu: carries })
  }
  const wire = new Wire()
  wire.carries.set('100.127.0.2', 8_950)
  wire.table.set([aPeer(2, { mtuMax: 65_000 })], 0)
  wire.run(8_000)
  t.match(wire.report(2), { state: 'reachable', mtu: 8_950 })
})

t.test('a path that gets narrower is noticed, and one that widens again is used', async (t) => {
  const wire = new Wire()
  wire.table.set([aPeer(2)], 0)
  wire.run(2_000)
  wire.carries.set('100.127.0.2', 1350)
  wire.run(9_000)
  t.match(wire.report(2), { state: 'reachable', mtu: 1350 })
  wire.carries.set('100.127.0.2', 1400)
  wire.run(65_000)
  t.match(wire.report(2), { state: 'reachable', mtu: 1400 })
  wire.carries.delete('100.127.0.2')
  wire.run(65_000)
  t.match(wire.report(2), { state: 'reachable', mtu: 1450 })
})

t.test('a peer is silent some seconds after its last answer, and back with the next', async (t) => {
  const wire = new Wire()
  wire.table.set([aPeer(2), aPeer(3)], 0)
  wire.run(2_000)
  wire.carries.set('100.127.0.2', 0)
  wire.run(5_000)
  t.match(wire.report(2), { state: 'silent', mtu: 1450 })
  t.match(wire.report(3), { state: 'reachable' })
  wire.run(30_000)
  t.ok((wire.report(2)?.sinceMs ?? 0) > 29_000)
  wire.carries.delete('100.127.0.2')
  wire.run(1_600)
  t.match(wire.report(2), { state: 'reachable', mtu: 1450 })
})

t.test('a peer that never answered is silent, too', async (t) => {
  const wire = new Wire()
  wire.carries.set('100.127.0.2', 0)
  wire.table.set([aPeer(2)], 0)
  wire.run(3_000)
  t.match(wire.report(2), { state: 'silent', mtu: undefined })
})

t.test('one answer of three is enough', async (t) => {
  const wire = new Wire()
  wire.table.set([aPeer(2)], 0)
  wire.run(2_000)
  let states = ''
  for (let round = 0; round < 50; round++) {
    wire.carries.set('100.127.0.2', round % 3 === 0 ? 1500 : 0)
    wire.run(600)
    states += wire.report(2)?.state === 'reachable' ? '.' : 'S'
  }
  t.notMatch(states, /S/)
})

t.test('a node that was down gets the time of a new one', async (t) => {
  const wire = new Wire()
  wire.table.set([aPeer(2)], 0)
  wire.carries.set('100.127.0.2', 0)
  wire.run(3_000)
  wire.table.set([aPeer(2, { isDown: true })], wire.nowMs)
  t.match(wire.report(2), { state: 'silent', isDown: true })
  wire.table.set([aPeer(2)], wire.nowMs)
  t.match(wire.report(2), { state: 'unknown', isDown: false, sinceMs: 0 })
  wire.run(3_000)
  t.match(wire.report(2), { state: 'silent' })
})

t.test('peers come, go and move; larger networks are measured anew', async (t) => {
  const wire = new Wire()
  wire.table.set([aPeer(2), aPeer(3)], 0)
  wire.run(2_000)
  const before = wire.table.changes
  wire.table.set([aPeer(2), aPeer(3)], wire.nowMs)
  t.equal(wire.table.changes, before, 'the same again')
  wire.table.set([aPeer(2, { vtep: '10.99.0.200' })], wire.nowMs)
  t.equal(wire.table.size, 1)
  t.match(wire.report(2), { state: 'unknown', mtu: undefined })
  wire.carries.set('100.127.0.2', 4_000)
  wire.run(2_000)
  wire.table.set([aPeer(2, { vtep: '10.99.0.200', mtuMax: 8_950 })], wire.nowMs)
  wire.run(4_000)
  t.match(wire.report(2), { state: 'reachable', mtu: 4_000 })
  wire.table.set([aPeer(2, { vtep: '10.99.0.200', mtuMax: 1450 })], wire.nowMs)
  t.match(wire.report(2), { state: 'reachable', mtu: 1450 })
})

t.test('answers to other rounds, of other sizes and of strangers count for nothing', async (t) => {
  const table = new PeerTable(seededRandom(1))
  table.set([aPeer(2)], 0)
  const [probe] = table.due(100)
  if (probe === undefined) throw new Error('no probe is due')
  table.answered({ ...probe, sequence: probe.sequence + 1 }, 101)
  table.answered({ ...probe, bytes: 100 }, 101)
  table.answered({ ...probe, address: '100.127.0.9' }, 101)
  t.match(table.reports(101), [{ state: 'unknown' }])
})

t.test(
  'a thousand peers cost 50 packets a second, also at first and when all are silent',
  async (t) => {
    const wire = new Wire()
    const peers = Array.from({ length: 1_000 }, (_, index) =>
      aPeer(index, { address: `p${index}` }),
    )
    wire.table.set(peers, 0)
    wire.run(12_000)
    t.ok(wire.table.reports(wire.nowMs).every(({ state }) => state === 'reachable'))
    t.ok(wire.sent <= 2_700, `${wire.sent} packets in the first 12 s`)
    wire.sent = 0
    wire.run(60_000)
    t.ok(wire.sent <= 60 * 56, `${wire.sent} packets a minute`)
    for (const { address } of peers) wire.carries.set(address, 0)
    wire.run(60_000)
    t.ok(wire.table.reports(wire.nowMs).every(({ state }) => state === 'silent'))
    wire.sent = 0
    wire.run(60_000)
    t.ok(wire.sent <= 60 * 112, `${wire.sent} packets a minute in silence`)
  },
)

t.test('sizes lie between what gets through and what does not', async (t) => {
  t.same(sizesBetween({ low: 10, high: 12 }), [11])
  t.same(sizesBetween({ low: 10, high: 14 }), [11, 12, 13])
  const sizes = sizesBetween({ low: 64, high: 1450 })
  t.equal(sizes.length, 16)
  t.ok(sizes.every((size, index) => size > (sizes[index - 1] ?? 64) && size < 1450))
})
