import t from 'tap'
import { testSeeds } from './cluster-runs.ts'
import { simulateCluster } from './simulate.ts'

t.test('the same seed gives the same run', async (t) => {
  const [one, two] = [await simulateCluster({ seed: 5 }), await simulateCluster({ seed: 5 })]
  t.same(one, two)
})

testSeeds('twenty fixed fault scripts', 1, 20)
