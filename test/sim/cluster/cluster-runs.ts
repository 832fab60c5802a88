// Many seeds as a test.
import t from 'tap'
import { simulateCluster } from './simulate.ts'

/** One assertion a seed. */
export function testSeeds(name: string, from: number, count: number): void {
  t.test(name, { timeout: 600_000 }, async (t) => {
    for (let seed = from; seed < from + count; seed++) {
      try {
        const { events, acknowledged } = await simulateCluster({ seed })
        t.ok(events > 3_000 && acknowledged > 0, `seed ${seed}: ${events} events`)
      } catch (err) {
        t.fail(err instanceof Error ? err.message : String(err))
      }
    }
  })
}
