// The simulation notices what it is there to notice.
import t from 'tap'
import type { Meddling } from './meddling.ts'
import type { PlantedBug } from './sim-host.ts'
import { simulateCluster } from './simulate.ts'

/** The reason of the first failure among the seeds. */
async function reasonOf(bug: PlantedBug, seeds: number): Promise<string> {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await simulateCluster({ seed, bug, length: 'short' })
    } catch (err) {
      return err instanceof Error ? err.message : String(err)
    }
  }
  return `not noticed in ${seeds} runs`
}

/** The first lines of why runs failed, seed after seed, until each of the patterns was met. */
async function reasonsUntil(
  bug: PlantedBug,
  patterns: readonly RegExp[],
  seedsMax: number,
): Promise<readonly string[]> {
  const reasons: string[] = []
  const isMet = (pattern: RegExp): boolean => reasons.some((reason) => pattern.test(reason))
  for (let seed = 1; seed <= seedsMax && !patterns.every(isMet); seed++) {
    const noted = await simulateCluster({ seed, bug, length: 'short' }).then(
      () => 'nothing was noticed',
      (err: unknown) => (err instanceof Error ? err.message.split('\n')[0] : undefined),
    )
    reasons.push(noted ?? 'no reason')
  }
  return reasons
}

t.setTimeout(600_000)

t.test('disks that lie about flushing are found out', async (t) => {
  t.match(await reasonOf('skip-flush', 60), /log is damaged|acknowledged|another on/)
})

t.test('requests repeated under a new id are applied twice', async (t) => {
  t.match(
    await reasonOf('new-request-ids', 60),
    /out of sequence|already in use|service .* not found|from change|was read after/,
  )
})

/** What breaks one promise each, and how that is told. */
const broken: Readonly<Record<Meddling | 'forget-secrets', RegExp>> = {
  'state-goes-back': /task \w+ went from state 512 back to 448/,
  'skip-a-run': /cron service \S+ was due 1 times after \d+, and 0 were told/,
  'start-too-early': /task \w+ of c2-\d+ may start before base-1 \w+/,
  'leave-the-volume': /task \w+ goes to \w+, its volume \S+ is on \w+/,
  'run-unasked': /task \w+ runs on \w+ before it is healthy/,
  'work-twice': /task \w+ runs \S+ again, which had ended well/,
  'one-too-many': /service \S+ has (two tasks in \d+ places|\d+ tasks in place \d+)/,
  'roll-on': /service \S+ replaces \w+, and is paused/,
  'go-nowhere': /service \S+ goes back to another spec/,
  'forget-secrets': /the container of task \w+ has not the secret that its spec names/,
}

for (const [bug, reason] of Object.entries(broken)) {
  t.test(`a planted bug is seen: ${bug}`, async (t) => {
    t.match(await reasonOf(bug as PlantedBug, 60), reason)
  })
}

t.test('an acknowledged write that was lost is missed, by a read or at the end', async (t) => {
  const read = /change \S+ was read after|was not found after it was acknowledged/
  const end =
    /was acknowledged and is gone|is not as it was acknowledged|is there and should not be/
  // Two checks see it; which one does first depends on the seed.
  const reasons = await reasonsUntil('lose-writes', [read, end], 40)
  const noticed = reasons.filter((reason) => read.test(reason) || end.test(reason))
  // In the others no client wrote anything so late.
  t.ok(noticed.length >= 0.6 * reasons.length, reasons.join('; '))
  t.ok(reasons.some((reason) => end.test(reason)))
  t.ok(reasons.some((reason) => read.test(reason)))
})
