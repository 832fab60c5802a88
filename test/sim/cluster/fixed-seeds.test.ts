import t from 'tap'
import { testSeeds } from './cluster-runs.ts'
import { simulateCluster } from './simulate.ts'

t.test('the same seed gives the same run', async (t) => {
  for (const seed of [5, 80]) {
    const [one, two] = [await simulateCluster({ seed }), await simulateCluster({ seed })]
    t.same(one, two)
  }
})

testSeeds('five hundred fixed fault scripts', [1, 500])
