import t from 'tap'
import { ForwardedReads, ReadRounds } from '../build/core/read-index.js'

function read(context: bigint): { from: string; context: bigint } {
  return { from: 'a', context }
}

t.test('reads that wait share one round', async (t) => {
  const rounds = new ReadRounds(10)
  t.notOk(rounds.wantsRound)
  rounds.add(read(1n))
  rounds.add(read(2n))
  t.ok(rounds.wantsRound)
  rounds.start(7)
  t.equal(rounds.latest, 1)
  t.notOk(rounds.wantsRound)
  t.same(rounds.reached(0), [])
  t.match(rounds.reached(1), [{ index: 7, reads: [read(1n), read(2n)] }])
})

t.test('a later round answers the earlier ones, each with its own index', async (t) => {
  const rounds = new ReadRounds(10)
  rounds.add(read(1n))
  rounds.start(7)
  rounds.add(read(2n))
  rounds.start(9)
  t.match(rounds.reached(2), [
    { index: 7, reads: [read(1n)] },
    { index: 9, reads: [read(2n)] },
  ])
})

t.test('a proof of leadership answers no read', async (t) => {
  const rounds = new ReadRounds(10)
  rounds.add(read(1n))
  rounds.startProof()
  t.match(rounds.reached(1), [{ reads: [] }])
  t.ok(rounds.wantsRound, 'the read goes on waiting')
})

t.test('few rounds are open at once: further reads gather behind them', async (t) => {
  const rounds = new ReadRounds(100)
  for (let i = 1; i <= 4; i++) {
    rounds.add(read(BigInt(i)))
    t.ok(rounds.wantsRound)
    rounds.start(i)
  }
  rounds.add(read(5n))
  t.notOk(rounds.wantsRound)
  rounds.reached(1)
  t.ok(rounds.wantsRound)
})

t.test('reads are bounded and can be abandoned', async (t) => {
  const rounds = new ReadRounds(2)
  t.ok(rounds.add(read(1n)))
  rounds.start(1)
  t.ok(rounds.add(read(2n)))
  t.notOk(rounds.add(read(3n)))
  t.same(rounds.abandon(), [read(1n), read(2n)])
  t.ok(rounds.add(read(4n)))
})

t.test('forwarded reads are given up after one to two turns', async (t) => {
  const reads = new ForwardedReads(3)
  t.ok(reads.add(1n))
  t.same(reads.turn(), [])
  t.ok(reads.add(2n))
  t.ok(reads.answered(1n))
  t.notOk(reads.answered(1n))
  t.same(reads.turn(), [])
  t.same(reads.turn(), [2n])
  t.notOk(reads.answered(2n))
})

t.test('forwarded reads are bounded and can be abandoned', async (t) => {
  const reads = new ForwardedReads(2)
  t.ok(reads.add(1n))
  reads.turn()
  t.ok(reads.add(2n))
  t.notOk(reads.add(3n))
  t.same(reads.abandon(), [1n, 2n])
})
