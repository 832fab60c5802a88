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
  for (const word of ['deplyo', '--peer', '--tries']) {
    const text = parseBenchArguments(['raft', word], known)
    t.equal(
      text,
      `unknown argument "${word}": benchmarks are deploy, raft; flags are --json, --no-peer, --tries=N`,
    )
  }
  t.end()
})

t.test('a number of tries is from 1 to 1000, and the last one counts', (t) => {
  const wish = parseBenchArguments(['--tries=2', 'raft', '--tries=1000'], known)
  t.strictSame(wish, { names: ['raft'], asJson: false, peer: true, tries: 1000 })
  for (const count of ['0', '1001', '1.5', 'x', '']) {
    const text = parseBenchArguments(['raft', `--tries=${count}`], known)
    t.equal(text, `--tries=${count}: the number of tries is from 1 to 1000`)
  }
  t.end()
})
