// Global services, jobs and cron on real containers: a task on each node, drained and back; a job that runs to its end, again, and one that
// cannot; a run that is begun by hand, as nobody waits here for a schedule.
import type { Test } from 'tap'
import type { TestLab } from '../../support/test-lab.ts'

export async function modes(t: Test, lab: TestLab): Promise<void> {
  await t.test('global', (t) => global(t, lab))
  await t.test('jobs', (t) => jobs(t, lab))
  await t.test('cron', (t) => cron(t, lab))
}

async function replicas(lab: TestLab, name: string): Promise<string> {
  const format = '{{.Mode}} {{.Replicas}}'
  return await lab.cli('m1', 'service', 'ls', '--filter', `name=${name}`, '--format', format)
}

async function global(t: Test, lab: TestLab): Promise<void> {
  const name = 'modes-global'
  const quick = ['--stop-grace-period', '1s', '--update-parallelism', '0', '--update-monitor', '1s']
  const env = ['--env', 'WHERE={{.Task.Slot}}', '--env', 'ID={{.Node.ID}}']
  await lab.cli(
    'm1',
    'service',
    'create',
    '--name',
    name,
    '--mode',
    'global',
    ...quick,
    ...env,
    'lab/hello',
  )
  const views = await lab.taskViews('m1', name)
  t.equal(new Set(views.map(({ task }) => task?.nodeId)).size, 3, 'one on each node')
  t.equal(await replicas(lab, name), 'global 3/3')
  const names = await lab.cli('m1', 'service', 'ps', '--no-trunc', '--format', '{{.Name}}', name)
  t.same(names.split('\n').sort(), views.map(({ task }) => `${name}.${task?.nodeId}`).sort())
  const scaled = await lab.try('m1', 'service', 'scale', `${name}=5`)
  t.match(scaled.stderr, /scale can only be used with replicated or replicated-job mode/)
  await lab.cli('m1', 'node', 'update', '--availability', 'drain', 'w1')
  await lab.untilRunning('m1', name, 2)
  t.equal(
    await lab.until('the drained node counts no more', async () => {
      const line = await replicas(lab, name)
      return line.startsWith('global 2/') ? line : undefined
    }),
    'global 2/2',
  )
  await lab.cli('m1', 'node', 'update', '--availability', 'active', 'w1')
  await lab.untilRunning('m1', name, 3)
  const before = (await lab.running('m1', name)).map(({ id }) => id)
  await lab.cli('m1', 'service', 'update', '--update-monitor', '1s', '--env-add', 'NEW=1', name)
  const after = (await lab.running('m1', name)).map(({ id }) => id)
  t.equal(after.length, 3)
  t.notOk(
    after.some((id) => before.includes(id)),
    'all were replaced',
  )
  await lab.cli('m1', 'service', 'rm', name)
}

const well = ['--entrypoint', '/bin/sh -c "exit 0"', 'lab/hello']
const badly = ['--entrypoint', '/bin/sh -c "exit 3"', 'lab/hello']

async function jobs(t: Test, lab: TestLab): Promise<void> {
  const create = async (name: string, ...args: readonly string[]) =>
    await lab.try('m1', 'service', 'create', '--name', name, ...args)
  const sizes = ['--mode', 'replicated-job', '--replicas', '4', '--max-concurrent', '2']
  const ended = await create('modes-job', ...sizes, ...well)
  t.match(ended.stdout, /job progress: 4 out of 4 complete\n(.*\n)*job complete/)
  t.equal(await replicas(lab, 'modes-job'), 'replicated job 0/2 (4/4 completed)')
  const states = (await lab.tasks('m1', 'modes-job')).map(({ state }) => state.split(' ')[0])
  t.same(states, ['Complete', 'Complete', 'Complete', 'Complete'])
  const first = (await lab.taskViews('m1', 'modes-job')).map(({ task }) => task?.id)
  await lab.cli('m1', 'service', 'update', '--force', 'modes-job')
  t.equal(await replicas(lab, 'modes-job'), 'replicated job 0/2 (4/4 completed)')
  await lab.until('it ran again, and what was before is gone', async () => {
    const second = (await lab.taskViews('m1', 'modes-job')).map(({ task }) => task?.id)
    return second.length === 4 && !second.some((id) => first.includes(id))
  })
  const everywhere = await create('modes-each', '--mode', 'global-job', ...well)
  t.equal(everywhere.code, 0, everywhere.stderr)
  t.equal(await replicas(lab, 'modes-each'), 'global job 0/0 (3/3 completed)')
  const tries = ['--restart-max-attempts', '1', '--restart-delay', '100ms']
  const failed = await create('modes-bad', '--mode', 'replicated-job', ...tries, ...badly)
  t.equal(failed.code, 1)
  t.match(failed.stderr, /1 of 1 tasks failed and will not be tried again/)
  await lab.cli('m1', 'service', 'rm', 'modes-job', 'modes-each', 'modes-bad')
}

async function cron(t: Test, lab: TestLab): Promise<void> {
  const name = 'modes-cron'
  const when = ['--schedule', '@yearly', '--time-zone', 'Europe/Berlin']
  const created = await lab.cli(
    'm1',
    'service',
    'create',
    '--name',
    name,
    '--mode',
    'cron',
    ...when,
    ...well,
  )
  t.match(created, /next run: \d{4}-12-31 23:00:00 UTC/)
  t.match(await replicas(lab, name), /^cron 0\/0 \(next \d{4}-12-31 23:00:00 UTC\)$/)
  await lab.cli('m1', 'service', 'update', '--force', '--detach', name)
  const run = await lab.until('the run ends', async () => {
    const format = '{{json .CronStatus.Runs}}'
    const text = await lab.cli('m1', 'service', 'inspect', '--format', format, name)
    return text.includes('"State":"completed"') && text
  })
  t.match(run, /"Iteration":1/)
  const tasks = await lab.tasks('m1', name)
  t.equal(tasks.length, 1)
  t.match(tasks, [{ desired: 'Complete', state: /^Complete/ }], 'kept with its run')
  await lab.cli('m1', 'service', 'rm', name)
}
