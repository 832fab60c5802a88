// An update whose tasks fail: what each failure action makes of it, with the old task stopped first or last.
import type { Test } from 'tap'
import type { TestLab } from '../../support/test-lab.ts'

/** What does not work: a program that ends soon, one that is not there. Then what of the two tasks a paused update leaves. */
const orders = {
  'stop-first': { bad: '/bin/sh -c "exit 7"', error: /non-zero exit \(7\)/, kept: 1 },
  'start-first': { bad: '/no/such/program', error: /no such file/i, kept: 2 },
} as const
const actions = { pause: 'paused', continue: 'completed', rollback: 'rollback_completed' } as const

export async function updates(t: Test, lab: TestLab): Promise<void> {
  for (const [order, { bad, error, kept }] of Object.entries(orders)) {
    for (const [action, ends] of Object.entries(actions)) {
      const name = `${order}-${action}`
      await t.test(name, async (t) => {
        await create(lab, name, ['--update-order', order, '--update-failure-action', action])
        const before = await lab.untilRunning('m1', name, 2)
        await lab.cli('m1', 'service', 'update', '--entrypoint', bad, '--detach', name)
        t.equal(await lab.until(`${name} ends`, () => ended(lab, name)), ends)
        t.match(await failures(lab, name), error)
        const isBack = action === 'rollback'
        if (isBack) await lab.untilRunning('m1', name, 2)
        const now = (await lab.running('m1', name)).map(({ id }) => id)
        if (action === 'pause') t.equal(before.filter(({ id }) => now.includes(id)).length, kept)
        const spec = await lab.cli('m1', 'service', 'inspect', '--format', '{{json .Spec}}', name)
        t.equal(/exit 7|no.such/.test(spec), !isBack, 'only going back gives the old spec')
        await lab.cli('m1', 'service', 'rm', name)
      })
    }
  }
}

async function create(lab: TestLab, name: string, policy: readonly string[]): Promise<void> {
  const fast = [
    '--replicas',
    '2',
    // A task that fails ends the wait; a busy node is slow to say so.
    '--update-monitor',
    '5s',
    '--restart-delay',
    '200ms',
    '--update-delay',
    '1s',
    '--rollback-monitor',
    '1s',
  ]
  const once = ['--restart-max-attempts', '1', '--stop-grace-period', '1s']
  await lab.cli('m1', 'service', 'create', '--name', name, ...fast, ...once, ...policy, 'lab/hello')
}

async function ended(lab: TestLab, name: string): Promise<string | undefined> {
  const format = '{{.UpdateStatus.State}}'
  const state = await lab.cli('m1', 'service', 'inspect', '--format', format, name)
  return Object.values<string>(actions).includes(state) ? state : undefined
}

async function failures(lab: TestLab, name: string): Promise<string> {
  return (await lab.tasks('m1', name)).map(({ error }) => error).join('\n')
}
