import t from 'tap'
import { parseBenchArguments } from '../../bench/arguments.ts'

const known = ['deploy', 'raft']

t.test('without words all benchmarks are run, with the peer, as tables', (t) => {
  t.strictSame(parseBenchArguments([], known), { names: known, asJson: false, peer: true })
  t.end()
})

t.test('names keep their order, flags may stand anywhere', (t) => {
  const wish = parseBenchArguments(['raft', '--no-peer', 'deploy', '--json'], known)
  t.strictSame(wish, { names: ['raft', 'deploy'], asJson: true, peer: false })
  t.end()
})

t.test('an unknown name or flag is refused by naming it and what is known', (t) => {
  for (const word of ['deplyo', '--peer']) {
    const text = parseBenchArguments(['raft', word], known)
    t.equal(
      text,
      `unknown argument "${word}": benchmarks are deploy, raft; flags are --json, --no-peer`,
    )
  }
  t.end()
})
