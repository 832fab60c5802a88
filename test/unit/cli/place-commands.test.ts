// The commands that explain, plan and rebalance, against a daemon in this process.
import t, { type Test } from 'tap'
import { TaskState } from '../../../proto/objects/index.ts'
import { addNode, addTask, createService } from '../../support/control.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'
import { aTask } from '../../support/objects.ts'

const id = (text: string): string => text.padEnd(25, '0')

async function aDaemon(t: Test): Promise<TestDaemon> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  return daemon
}

t.test('explain says why a task is pending, node by node, for people and programs', async (t) => {
  const d = await aDaemon(t)
  await addNode(d.world, { id: id('w1'), hostname: 'small', memoryBytes: 2 ** 23 })
  const service = await createService(d.world, {
    name: 'big',
    mode: { kind: 'replicated', replicas: 12 },
    task: { reservations: { memoryBytes: 2 ** 40 } },
  })
  const facts = { service: service.id, specHash: service.specHash }
  for (let slot = 1; slot <= 12; slot++) {
    await addTask(d.world, aTask({ ...facts, id: id(`t${slot}x`), slot, reason: 'new' }))
  }
  const { stdout } = await d.run('explain task big.1')
  t.match(stdout, /^big\.1 \(t1x0+\)\n- pending on no node for /)
  t.match(
    stdout,
    /- no suitable node \(insufficient resources on 2 nodes\)\n {4}NODE +FILTER +REASON\n/,
  )
  t.match(stdout, /\n {4}small +resources +needs 1048576 MiB of memory, 8 MiB of 8 MiB free\n/)
  t.match(stdout, /\n- it was made because its slot was empty/)
  const json = JSON.parse((await d.run('explain task --format json big.1')).stdout)
  t.match(json, [
    { Name: 'big.1', Findings: [{ Code: 'STATE' }, { Code: 'PENDING' }, { Code: 'MADE' }] },
  ])
  t.equal(json[0].Findings[1].Refusals.length, 2)
  const whole = await d.run('explain service big')
  t.match(whole.stdout, /- big\.1, big\.2, .*, big\.10 and 2 more: no suitable node/)
  t.match(await d.run('explain task nope.1'), { code: 1, stderr: /task "nope.1" not found/ })
})

t.test('explain tells causes and what to do', async (t) => {
  const d = await aDaemon(t)
  await addNode(d.world, { id: id('w1'), hostname: 'w1', availability: 'drain' })
  const service = await createService(d.world, {
    name: 'job',
    task: { restart: { condition: 'none' } },
  })
  const ended = aTask({
    service: service.id,
    specHash: service.specHash,
    id: id('a'),
    node: id('w1'),
    state: TaskState.FAILED,
    err: 'task: non-zero exit (3)',
  })
  await addTask(d.world, ended)
  const { stdout } = await d.run('explain service job')
  t.match(stdout, /- job\.1: it failed on node w1 .*: task: non-zero exit \(3\)\n/)
  t.match(stdout, /what to do: change the service/)
  const node = await d.run('explain node w1')
  t.match(node.stdout, /- its availability is drain: .*\n {4}what to do: "tsswarm node update/)
  t.match(node.stdout, / {4}because: a0+: task: non-zero exit \(3\)\n/)
})

t.test('plan drain and plan service say what would be, and change nothing', async (t) => {
  const d = await aDaemon(t)
  const { world } = d
  await addNode(world, { id: id('w1'), hostname: 'w1' })
  const service = await createService(world, {
    name: 'web',
    mode: { kind: 'replicated', replicas: 2 },
    task: { placement: { maxReplicasPerNode: 1 } },
  })
  const facts = { service: service.id, specHash: service.specHash, node: id('w1') }
  await addTask(world, aTask({ ...facts, id: id('t1x'), slot: 1 }))
  const tables = ['tasks', 'services', 'taskSpecs', 'nodes'] as const
  const rows = () => world.store.view((tx) => tables.map((table) => [...tx.all(table)]))
  const before = rows()
  const drain = await d.run('plan drain w1')
  t.equal(drain.code, 1, 'a task would find no node')
  t.match(
    drain.stdout,
    /^TASK +ACTION +FROM +TO\nweb\.1 +moved +w1 +m1 *\nweb\.2 +unplaceable +- +- *\n/,
  )
  t.match(
    drain.stdout,
    /web\.2: no suitable node \(.*\)\n {2}NODE +FILTER +REASON\n {2}m1 +max-replicas/,
  )
  t.match(
    drain.stdout,
    /1 moved, 1 unplaceable, 0 tasks stay as they are\. Nothing was changed\.\n$/,
  )
  const scale = await d.run('plan service scale web=1')
  t.match(scale, { code: 0, stdout: /^1 task stays as it is\. Nothing was changed\.\n$/ })
  const create = await d.run(
    'plan service create --name db --constraint node.hostname==w1 --mode global x',
  )
  t.match(create, { code: 0, stdout: /placed +- +w1 *\n/ })
  const json = await d.run(
    'plan service --format json update --constraint-add node.hostname!=w1 web',
  )
  t.match(JSON.parse(json.stdout), [
    {
      Tasks: [{ Name: 'web.1', Action: 'replaced', To: { Hostname: 'm1' } }, { Name: 'web.2' }],
      Cut: false,
    },
  ])
  t.same(rows(), before)
})

t.test('a plan refuses what the action refuses', async (t) => {
  const d = await aDaemon(t)
  await createService(d.world, { name: 'web' })
  t.match(await d.run('plan service create --name web x'), { code: 1, stderr: /already in use/ })
  t.match(await d.run('plan service create --constraint zone x'), {
    code: 1,
    stderr: /has no operator/,
  })
  t.match(await d.run('plan drain nope'), { code: 1, stderr: /node "nope" not found/ })
  t.match(await d.run('plan service rm web'), {
    code: 125,
    stderr: /write create, update or scale/,
  })
  t.match(await d.run('plan service update --rollback web'), {
    code: 125,
    stderr: /--rollback cannot be planned/,
  })
  t.match(await d.run('plan service scale web=1 api=2'), { code: 125, stderr: /one service/ })
  t.match(await d.run('plan service create --help'), {
    code: 125,
    stderr: /see "tsswarm service create --help"/,
  })
})

t.test('service rebalance tells the service; global ones are refused', async (t) => {
  const d = await aDaemon(t)
  const web = await createService(d.world, { name: 'web' })
  t.match(await d.run('service rebalance web'), { code: 0, stdout: 'web\n' })
  const told = d.world.store.view((tx) => tx.get('services', web.id))?.rebalance
  t.match(told, { moved: 0 })
  t.match(await d.run('service rebalance web'), { code: 0 })
  t.same(d.world.store.view((tx) => tx.get('services', web.id))?.rebalance, told, 'it goes on')
  await createService(d.world, { name: 'all', mode: { kind: 'global' } })
  t.match(await d.run('service rebalance all'), { code: 1, stderr: /is global: only tasks of/ })
  t.match(await d.run('service rebalance nope'), { code: 1, stderr: /not found/ })
})

t.test('swarm update --rebalance keeps what it is not told', async (t) => {
  const d = await aDaemon(t)
  const policy = () => d.world.store.view((tx) => [...tx.all('cluster')][0]?.spec.rebalance)
  t.same(policy(), { mode: 'off', movesMax: 1 })
  t.match(await d.run('swarm update --rebalance gradual'), { code: 0 })
  t.match(await d.run('swarm update --rebalance-moves 3'), { code: 0 })
  t.same(policy(), { mode: 'gradual', movesMax: 3 })
  t.match(await d.run('swarm update --rebalance-moves 0'), { code: 125 })
})
