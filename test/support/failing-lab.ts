// A program of its own: makes a lab of m1 and w1 whose first daemon ends at once and whose second says nothing, then
// should end by itself, long before the ten minutes it gives them.
import { type LabDeps, labUp } from '../../cli/lab/lab.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { systemRandom } from '../../proto/lib/random.ts'

const [, , name = '', stateRoot = '', runRoot = ''] = process.argv
const script = 'case $* in *--hostname\\ m1*) echo no luck; exit 1 ;; esac; exec sleep 600'
const deps: LabDeps = {
  roots: { stateRoot, runRoot },
  clock: systemClock,
  random: systemRandom,
  signal: new AbortController().signal,
  program: ['sh', '-c', script, 'daemon'],
  progress: () => {},
  readyMs: 600_000,
}
try {
  await labUp(deps, { name, managers: 1, workers: 1 })
} catch (err) {
  process.stdout.write(err instanceof Error ? err.message : `${err}`)
}
