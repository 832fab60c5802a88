// Many seeds as a test.
import t from 'tap'
import { type Reached, reachable } from './rules/rule.ts'
import { type ClusterRunOptions, simulateCluster } from './simulate.ts'

/** One assertion a seed, and one for each thing that runs may come to: some of so many did. */
export function testSeeds(
  name: string,
  [from, count]: readonly [from: number, count: number],
  options: Omit<ClusterRunOptions, 'seed'> = {},
): void {
  t.test(name, { timeout: 1_500_000 }, async (t) => {
    const reached = new Set<Reached>()
    for (let seed = from; seed < from + count; seed++) {
      try {
        const run = await simulateCluster({ ...options, seed })
        for (const what of run.reached.keys()) reached.add(what)
        t.ok(run.events > 500 && run.acknowledged > 0, `seed ${seed}: ${run.events} events`)
      } catch (err) {
        t.fail(err instanceof Error ? err.message : String(err))
      }
    }
    if (count < 100) return
    for (const what of reachable) t.ok(reached.has(what), `reached: ${what}`)
  })
}
