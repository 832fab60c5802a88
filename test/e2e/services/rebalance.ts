// Rebalance on real containers: a node that is active again gets tasks, each new one before the former stops and no request lost, when told to
// or with `gradual`, as many at a time as the budget says; with `off` nothing moves.
import type { Test } from 'tap'
import { withDaemon } from '../../../cli/lab/lab.ts'
import { listTasks } from '../../../cli/lists.ts'
import type { TaskView } from '../../../proto/gen/tsswarm/v1/control.ts'
import { TaskState } from '../../../proto/objects/index.ts'
import type { TestLab } from '../../support/test-lab.ts'
import { answeredMin, ask } from './ask.ts'

const port = 18_471
const replicas = 4
const name = 'place-web'

export async function rebalance(t: Test, lab: TestLab): Promise<void> {
  await availability(lab, 'drain')
  const places = ['--constraint', 'node.role==worker', '-p', `${port}:80`, '--no-resolve-image']
  const flags = ['--replicas', `${replicas}`, '--name', name, '--stop-grace-period', '1s']
  await lab.cli('m1', 'service', 'create', ...flags, ...places, 'lab/hello')
  await availability(lab, 'active')
  const before = await idsOn(lab)
  t.same([before.w1?.length, before.w2], [replicas, undefined])

  const asking = await ask(`http://${lab.address('m1')}:${port}/cgi-bin/index.cgi`)
  await t.test('off: nothing moves', async (t) => {
    await lab.steady('all stay', 1_000, async () => {
      const now = await idsOn(lab)
      return JSON.stringify(now) === JSON.stringify(before) ? '' : JSON.stringify(now)
    })
    t.pass()
  })
  await t.test('gradual: one at a time, the new task first', async (t) => {
    await moving(lab, () => lab.cli('m1', 'swarm', 'update', '--rebalance', 'gradual'))
    const moved = (await idsOn(lab)).w2?.[0] ?? ''
    const why = await lab.cli('m1', 'explain', 'task', moved)
    t.match(why, /made because .* fewer/)
    await lab.cli('m1', 'swarm', 'update', '--rebalance', 'off')
  })
  await t.test('by command, once', async (t) => {
    await availability(lab, 'drain')
    await lab.until('all are on w1', async () => (await idsOn(lab)).w1?.length === replicas)
    await availability(lab, 'active')
    await moving(lab, () => lab.cli('m1', 'service', 'rebalance', name))
    const left = await lab.taskViews('m1', name)
    t.equal(left.filter(({ task }) => task?.state === TaskState.FAILED).length, 0)
  })
  const { answered, failed } = await asking.end()
  t.same(failed, [], 'no request is lost')
  t.ok(answered >= answeredMin, `${answered} were answered`)
  await lab.cli('m1', 'service', 'rm', name)
}

function availability(lab: TestLab, wanted: 'active' | 'drain'): Promise<string> {
  return lab.cli('m1', 'node', 'update', '--availability', wanted, 'w2')
}

/** Tasks of the service that shall run. */
async function wanted(lab: TestLab): Promise<readonly TaskView[]> {
  const views = await withDaemon(lab.deps, lab.record, 'm1', (client) => listTasks(client))
  return views.filter(
    ({ serviceName, task }) =>
      serviceName === name && task !== undefined && task.desiredState <= TaskState.RUNNING,
  )
}

/** Tasks that run and shall run, by node. */
async function idsOn(lab: TestLab): Promise<Readonly<Record<string, readonly string[]>>> {
  const ids: Record<string, string[]> = {}
  for (const { task, nodeHostname } of await wanted(lab)) {
    if (task?.state !== TaskState.RUNNING) continue
    ids[nodeHostname] = [...(ids[nodeHostname] ?? []), task.id].sort()
  }
  return ids
}

/** Until both workers have as many; there are never fewer that run than replicas, nor two on the move. */
async function moving(lab: TestLab, begin: () => Promise<string>): Promise<void> {
  const wrong = async (): Promise<string> => {
    const all = await wanted(lab)
    const running = all.filter(({ task }) => task?.state === TaskState.RUNNING).length
    const started = all.length - running
    return running >= replicas && started <= 1 ? '' : `${running} run, ${started} begin`
  }
  await lab.during(wrong, async () => {
    await begin()
    await lab.until('both have as many', async () => {
      const { w1, w2 } = await idsOn(lab)
      return w1?.length === replicas / 2 && w2?.length === replicas / 2
    })
  })
}
