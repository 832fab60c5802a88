import { systemRandom } from '../../../proto/lib/random.ts'
import { testSeeds } from './cluster-runs.ts'

const from = Math.floor(systemRandom.float() * 1_000_000) + 1_001

testSeeds(`fifty fault scripts never seen before, from seed ${from}`, [from, 50])
