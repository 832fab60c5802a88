// The simulation notices what it is there to notice.
import t from 'tap'
import type { PlantedBug } from './sim-host.ts'
import { simulateCluster } from './simulate.ts'

/** The reason of the first failure among the seeds. */
async function reasonOf(bug: PlantedBug, seeds: number): Promise<string> {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await simulateCluster({ seed, bug })
    } catch (err) {
      return err instanceof Error ? err.message : String(err)
    }
  }
  return `not noticed in ${seeds} runs`
}

t.setTimeout(600_000)

t.test('disks that lie about flushing are found out', async (t) => {
  t.match(await reasonOf('skip-flush', 30), /log is damaged|acknowledged|another on/)
})

t.test('requests repeated under a new id are applied twice', async (t) => {
  t.match(await reasonOf('new-request-ids', 60), /out of sequence|name conflicts|from change/)
})

t.test('observed states that go back are seen', async (t) => {
  t.match(await reasonOf('state-goes-back', 3), /task \w+ went from state 512 back to 448/)
})
