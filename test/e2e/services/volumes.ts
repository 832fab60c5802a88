// Volumes and dependencies on real containers: data that stays with its slot, what is missing is told, and services that wait for others.
import type { Test } from 'tap'
import type { TaskRow, TestLab } from '../../support/test-lab.ts'

export async function volumes(t: Test, lab: TestLab): Promise<void> {
  await t.test('a slot keeps its data', (t) => slots(t, lab))
  await t.test('a bind mount whose source is missing is refused', (t) => missing(t, lab))
  await t.test('a service waits for another', (t) => waits(t, lab))
}

const quick = [
  ...['--detach', '--stop-grace-period', '1s', '--restart-delay', '100ms'],
  ...['--update-monitor', '500ms'],
]

async function create(lab: TestLab, name: string, ...args: readonly string[]): Promise<void> {
  await lab.cli('m1', 'service', 'create', '--name', name, ...quick, ...args)
}

/** "volumes-db.1 on w1" of each that runs. */
async function places(lab: TestLab, name: string, n: number): Promise<readonly string[]> {
  return (await lab.untilRunning('m1', name, n))
    .map((task) => `${task.name} on ${task.node}`)
    .sort()
}

async function error(lab: TestLab, name: string, pattern: RegExp): Promise<TaskRow> {
  return await lab.until(`${name} says ${pattern}`, async () =>
    (await lab.tasks('m1', name)).find((task) => pattern.test(task.error)),
  )
}

async function slots(t: Test, lab: TestLab): Promise<void> {
  const name = 'volumes-db'
  const mount = 'source=volumes-{{.Task.Slot}},target=/www,volume-label=of=db'
  // Each start adds a line to what the image brought.
  const script = 'echo $0 >>/www/starts; exec /bin/serve'
  await create(
    lab,
    name,
    ...['--replicas', '2', '--mount', mount, '--entrypoint', `/bin/sh -c '${script}'`],
    'lab/hello',
  )
  const first = await places(lab, name, 2)
  const format = '{{.Name}} on {{.Node}} {{.Labels}} {{.Links}}'
  const ls = ['volume', 'ls', '--all-nodes', '--filter', 'label=of=db', '--format', format]
  const found = (await lab.cli('m1', ...ls)).split('\n')
  t.same(
    found,
    first.map((one) => `${one.replace(`${name}.`, 'volumes-')} of=db 1`),
  )
  const [home = ''] = first.map((one) => one.split(' on ')[1] ?? '')
  const inUse = await lab.try('m1', 'volume', 'rm', '--node', home, 'volumes-1')
  t.match(inUse, { code: 1, stderr: /volume is in use - \[volumes-db\.1/ })

  await lab.cli('m1', 'service', 'update', '--detach', '--update-parallelism', '0', '--force', name)
  await lab.until('all are new', async () => {
    const tasks = await lab.running('m1', name)
    return tasks.length === 2 && (await starts(lab, home)) === 2 ? tasks : undefined
  })
  t.same(await places(lab, name, 2), first, 'an update stays where the data is')

  await lab.cli('m1', 'node', 'update', '--availability', 'drain', home)
  await error(lab, name, /volume "volumes-1" is on node/)
  const explained = await lab.cli('m1', 'service', 'explain', name)
  t.match(explained, new RegExp(`volume "volumes-1" is on node ${home}: .*drain`))
  await lab.cli('m1', 'node', 'update', '--availability', 'active', home)
  t.same(await places(lab, name, 2), first, 'and it comes back')
  // A task that publishes nothing runs before its program has done anything.
  await lab.until('it has written that it was started', async () => (await starts(lab, home)) === 3)

  await lab.cli('m1', 'service', 'rm', name)
  await lab.until('nothing uses them', async () => {
    const left = await lab.cli('m1', ...ls, '--filter', 'dangling=false')
    return left === '' ? true : undefined
  })
  const rm = ['volume', 'prune', '--all', '--force', '--all-nodes', '--filter', 'label=of=db']
  t.match(await lab.cli('m1', ...rm), /volumes-1\n/)
  t.equal(await lab.cli('m1', ...ls), '')
}

/** How often the task of slot 1 was started: its volume outlives it. */
async function starts(lab: TestLab, node: string): Promise<number> {
  const format = '{{.Mountpoint}}'
  const inspect = ['volume', 'inspect', '--node', node, '--format', format, 'volumes-1']
  const path = await lab.cli('m1', ...inspect)
  const { stdout } = await lab.run(node, 'cat', `${path}/starts`)
  const image = await lab.run(node, 'test', '-x', `${path}/cgi-bin/index.cgi`)
  return image.code === 0 ? stdout.trim().split('\n').length : 0
}

async function missing(t: Test, lab: TestLab): Promise<void> {
  const name = 'volumes-bind'
  await create(lab, name, '--mount', 'type=bind,source=/no/such/place,target=/d', 'lab/hello')
  const task = await error(lab, name, /invalid mount config for type "bind"/)
  t.match(task.error, /bind source path does not exist: \/no\/such\/place/)
  t.match(task.state, /^Rejected/)
  await lab.cli('m1', 'service', 'rm', name)
}

async function waits(t: Test, lab: TestLab): Promise<void> {
  const [web, db, circle] = ['volumes-web', 'volumes-late', 'volumes-circle']
  await create(lab, web, '--depends-on', `${db}:healthy`, 'lab/hello')
  const told = await error(lab, web, /waits for service "volumes-late", which does not exist/)
  t.match(told.desired, /^Ready/)
  const refused = await lab.try(
    'm1',
    ...['service', 'create', '--name', db, '--depends-on', web, 'lab/hello'],
  )
  t.match(refused, { code: 1, stderr: /would wait for one another/ })
  await create(lab, db, 'lab/hello')
  await lab.untilRunning('m1', db, 1)
  await lab.untilRunning('m1', web, 1)

  await create(
    lab,
    circle,
    '--restart-condition',
    'none',
    '--entrypoint',
    '/bin/sh -c "exit 0"',
    'lab/hello',
  )
  const change = ['--depends-on-add', `${circle}:completed_successfully`, '--env-add', 'NEW=1']
  await lab.cli('m1', 'service', 'update', '--detach', ...change, web)
  const state = await lab.until('the update ends', async () => {
    const ended = await lab.cli('m1', 'service', 'inspect', '-f', '{{.UpdateStatus.State}}', web)
    return ended === 'completed' ? ended : undefined
  })
  t.equal(state, 'completed')
  await lab.cli('m1', 'service', 'rm', web, db, circle)
}
