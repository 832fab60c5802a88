// The daemon of a single node is killed between two steps of a container's life: the next one brings every task to its right end,
// starts nothing twice and leaves nothing. `npm run test:faults` does the same at every step.
import t from 'tap'
import { allFaults, FaultRuns } from '../faults/run.ts'
import { whyNoUserns } from '../support/userns.ts'

t.setTimeout(600_000)

/** Made but not known; started but not known; half taken away. */
const chosen = ['runtime.create', 'runtime.start', 'destroy.runtime']

for (const usernsRemap of ['off', 'auto']) {
  const name = `a daemon that is killed between two steps, usernsRemap ${usernsRemap}`
  t.test(name, { skip: usernsRemap !== 'off' && whyNoUserns() }, async (t) => {
    const faults = allFaults().filter(({ point }) => chosen.includes(point))
    t.equal(faults.length, chosen.length)
    const runs = await FaultRuns.open({ usernsRemap })
    t.teardown(() => runs.close())
    for (const fault of faults) {
      const { wrong } = await runs.run(fault)
      t.same(wrong, [], `${fault.phase}: ${fault.point}`)
    }
  })
}
