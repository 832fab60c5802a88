// Health checks on real containers: who serves when, what an unhealthy task ends with, and that no request is lost when it goes.
import { rmSync, writeFileSync } from 'node:fs'
import type { Test } from 'tap'
import { runCommand } from '../../../proto/lib/command.ts'
import { TaskState } from '../../../proto/objects/index.ts'
import type { TaskRow, TestLab } from '../../support/test-lab.ts'
import { answeredMin, ask } from './ask.ts'

const port = 18_462
const often = ['--health-interval', '400ms', '--health-retries', '2', '--restart-delay', '200ms']
const create = ['service', 'create', '--detach', '--stop-grace-period', '1s']

export async function health(t: Test, lab: TestLab): Promise<void> {
  await lab.cli('m1', 'network', 'create', '--driver', 'overlay', 'health-net')
  await t.test('a task serves while its check says so', (t) => byCommand(t, lab))
  await t.test('a container is asked over the network too', (t) => overNetwork(t, lab))
  await lab.until('the network is free', async () => {
    return (await lab.try('m1', 'network', 'rm', 'health-net')).code === 0
  })
}

async function byCommand(t: Test, lab: TestLab): Promise<void> {
  // Until the test makes them well.
  const patient = ['--health-start-period', '10m', '--health-start-interval', '300ms']
  const check = ['--health-cmd', 'test -e /etc/well', ...patient, ...often]
  const places = ['--network', 'health-net', '-p', `${port}:80`, '--replicas', '2']
  await lab.cli('m1', ...create, '--name', 'health-web', ...check, ...places, 'lab/hello')
  const [first, second] = await living(lab, 'health-web')
  await lab.until('both are asked', async () => {
    const all = await tasks(lab, 'health-web')
    return all.every(({ error }) => error === '"health check: exit code 1"')
  })
  const starting = (await tasks(lab, 'health-web')).map(({ state }) => state)
  t.match(starting, [/^Starting .* \(health: starting\)$/, /^Starting .* \(health: starting\)$/])
  t.equal(await serving(first.pid), 0, 'nobody serves that is not healthy')
  for (const { pid } of [first, second]) writeFileSync(well(pid), '')
  await lab.until('both serve', async () => (await serving(first.pid)) === 2)
  const healthy = (await tasks(lab, 'health-web')).map(({ state }) => state)
  t.match(healthy, [/^Running .* \(healthy\)$/, /^Running .* \(healthy\)$/])

  const asking = await ask(`http://${lab.address('w2')}:${port}/cgi-bin/index.cgi`)
  rmSync(well(second.pid))
  const gone = await lab.until('the unhealthy one has ended', async () => {
    const all = await lab.tasks('m1', 'health-web')
    return all.find(({ id, state }) => id === second.id && state.startsWith('Failed'))
  })
  t.match(gone.error, /task: (non-zero exit \(\d+\): )?dockerexec: unhealthy container \(2 health/)
  const [, next] = await living(lab, 'health-web', second.id)
  t.equal(await serving(first.pid), 1, 'its replacement does not serve yet')
  writeFileSync(well(next.pid), '')
  await lab.until('its replacement serves', async () => (await serving(first.pid)) === 2)
  const { answered, failed } = await asking.end()
  t.same(failed, [], 'no request is lost')
  t.ok(answered >= answeredMin, `${answered} were answered`)
  await restart(t, lab)
  await lab.cli('m1', 'service', 'rm', 'health-web')
}

/** A daemon that comes back goes on asking: its healthy tasks stay what they are. */
async function restart(t: Test, lab: TestLab): Promise<void> {
  const before = await tasks(lab, 'health-web')
  const { node = 'w1' } = before.find((one) => one.node !== 'm1') ?? {}
  await lab.stop(node)
  await lab.start(node)
  await lab.until('it is back', async () => (await lab.nodeView('m1', node))?.node?.state === 2)
  const after = await tasks(lab, 'health-web')
  t.same(after.map(({ id }) => id).sort(), before.map(({ id }) => id).sort(), 'no task is another')
  const states = after.map(({ state }) => state)
  t.match(states, [/ \(healthy\)$/, / \(healthy\)$/])
  const views = await lab.taskViews('m1', 'health-web')
  const ofNode = views.find(
    (view) => view.nodeHostname === node && view.task?.state === TaskState.RUNNING,
  )
  rmSync(well(ofNode?.task?.pid ?? 0))
  await lab.until('it is asked still', async () =>
    (await lab.tasks('m1', 'health-web')).some(
      ({ id, state }) => id === ofNode?.task?.id && state.startsWith('Failed'),
    ),
  )
}

async function overNetwork(t: Test, lab: TestLab): Promise<void> {
  const http = ['--health-http', '80/cgi-bin/index.cgi', '--network', 'health-net', ...often]
  await lab.cli('m1', ...create, '--name', 'health-http', ...http, 'lab/hello')
  const tcp = ['--health-tcp', '81', '--restart-condition', 'none', ...often]
  await lab.cli('m1', ...create, '--name', 'health-tcp', ...tcp, 'lab/hello')
  const [healthy] = await lab.untilRunning('m1', 'health-http', 1)
  t.match(healthy?.state, / \(healthy\)$/)
  await lab.cli('m1', 'service', 'update', '--detach', '--health-http', '80/nowhere', 'health-http')
  const errors = async (service: string) =>
    (await lab.tasks('m1', service)).map(({ error }) => error).join('\n')
  await lab.until('a page that is not there is unhealthy', async () =>
    /unhealthy container .*\/nowhere: status 404/.test(await errors('health-http')),
  )
  await lab.until('a port that nobody waits on is unhealthy', async () =>
    /unhealthy container .*:81: connect ECONNREFUSED/.test(await errors('health-tcp')),
  )
  await lab.cli('m1', 'service', 'rm', 'health-http', 'health-tcp')
}

/** Tasks that shall run. */
async function tasks(lab: TestLab, service: string): Promise<readonly TaskRow[]> {
  return (await lab.tasks('m1', service)).filter(({ desired }) => desired === 'Running')
}

interface Living {
  readonly id: string
  readonly pid: number
}

/** Two tasks with a process, by slot; `former` is not one of them. */
function living(
  lab: TestLab,
  service: string,
  former?: string,
): Promise<readonly [Living, Living]> {
  return lab.until('two tasks have a process', async () => {
    const views = await lab.taskViews('m1', service)
    const alive = views.flatMap(({ task }) => {
      const isAlive = task?.state === TaskState.STARTING || task?.state === TaskState.RUNNING
      return task === undefined || !isAlive || task.pid === 0 || task.id === former ? [] : [task]
    })
    const [a, b] = alive.sort((one, other) => one.slot - other.slot)
    return a !== undefined && b !== undefined && ([a, b] as const)
  })
}

/** The file that makes a container well. */
function well(pid: number): string {
  return `/proc/${pid}/root/etc/well`
}

/** How many tasks have an address under their service's name, as a container of it sees them. */
async function serving(pid: number): Promise<number> {
  const look = ['busybox', 'nslookup', 'tasks.health-web', '127.0.0.11']
  const { stdout } = await runCommand(['nsenter', '-t', `${pid}`, '-n', '--', ...look])
  const answer = stdout.slice(stdout.indexOf('Name:'))
  return stdout.includes('Name:') ? (answer.match(/^Address.*: *\d+\.\d+/gm)?.length ?? 0) : 0
}
