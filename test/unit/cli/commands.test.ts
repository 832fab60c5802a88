// Every command against a daemon in this process: what is asked of it, and what is printed.
import t, { type Test } from 'tap'
import { SwarmError } from '../../../proto/errors.ts'
import type { GetJoinTokensResponse, LogLine } from '../../../proto/gen/tsswarm/v1/control.ts'
import type {
  ImageProgress,
  LoadImageRequest,
  SwarmRecovery,
} from '../../../proto/gen/tsswarm/v1/daemon.ts'
import { NodeAvailability, NodeRole } from '../../../proto/gen/tsswarm/v1/objects.ts'
import { nodeId, serviceId, type Task, TaskState } from '../../../proto/objects/index.ts'
import { addNode, addTask, createService, selfId, withConditions } from '../../support/control.ts'
import { anInfo, startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'
import { golden } from '../../support/golden.ts'
import { aTask, replicasOf } from '../../support/objects.ts'

const id = (text: string): string => text.padEnd(25, '0')

async function aDaemon(t: Test): Promise<TestDaemon> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  return daemon
}

/** The last request of a method. */
function asked(daemon: TestDaemon, method: string): unknown {
  return daemon.seen.findLast((call) => call.method === method)?.request
}

const ok = (stdout: string) => ({ code: 0, stdout, stderr: '' })

t.test('service create prints the id, warnings, and waits until tasks run', async (t) => {
  const d = await aDaemon(t)
  const created = d.run([
    'service',
    'create',
    '--name',
    'web',
    '--replicas',
    '2',
    '--constraint',
    'node.rack==1',
    'nginx',
  ])
  const service = await until(() =>
    d.world.store.view((tx) => [...tx.find('services', 'byName', 'web')][0]),
  )
  const facts = { service: service.id, specHash: service.specHash, node: id('n') }
  for (const slot of [1, 2]) await addTask(d.world, aTask({ ...facts, id: id(`t${slot}`), slot }))
  const run = await created
  t.equal(run.code, 0)
  t.equal(
    run.stdout.replace(/^overall progress: [01] .*\n/gm, ''),
    `${service.id}\noverall progress: 2 out of 2 tasks\n` +
      'verify: Waiting 1 second to verify that tasks are stable...\nverify: Service web converged\n',
  )
  t.equal(
    run.stderr,
    'Warning: constraint "node.rack==1" never matches: nodes have no "node.rack"\n',
  )
  t.match(asked(d, 'createService'), { requestId: /^\w{25}$/, spec: { name: 'web' } })
})

t.test('service create --detach, quiet and refused', async (t) => {
  const d = await aDaemon(t)
  t.match(await d.run('service create -d nginx'), { code: 0, stdout: /^\w{25}\n$/, stderr: '' })
  const [service] = d.world.store.view((tx) => [...tx.all('services')])
  t.match(service?.spec.name, /^[a-z]+_[a-z]+$/, 'a name of its own')
  t.match(await d.run(['service', 'create', '-d', '--name', service?.spec.name ?? '', 'nginx']), {
    code: 1,
    stderr: /^Error: name ".*" is already in use by service/,
  })
  const zero = await d.run('service create -q --name none --replicas 0 nginx')
  t.match(zero, { code: 0, stdout: /^\w{25}\n$/ })
})

t.test('Ctrl-C while a service converges leaves it to the cluster', async (t) => {
  const d = await aDaemon(t)
  const controller = new AbortController()
  const run = d.run('service create --name web nginx', { signal: controller.signal })
  await until(() => d.seen.find((call) => call.method === 'watchService'))
  controller.abort()
  const { code, stdout } = await run
  t.equal(code, 0)
  t.match(
    stdout,
    /Operation continuing in background\.\nUse `tsswarm service ps web` to check progress\.\n$/,
  )
})

t.test('service ls, ps, inspect, rm', async (t) => {
  const d = await aDaemon(t)
  await addNode(d.world, { id: id('w1'), hostname: 'w1' })
  const web = await createService(d.world, {
    name: 'web',
    labels: { a: '1' },
    container: { env: ['A=1'] },
  })
  await createService(d.world, { name: 'db' })
  await addTask(
    d.world,
    aTask({ id: id('t1'), service: web.id, specHash: web.specHash, node: id('w1') }),
  )
  t.match(await d.run('service ls'), { code: 0, stdout: /db .* 0\/1 .*\n.* web .* 1\/1 / })
  t.strictSame(await d.run('service list --filter label=a=1 --format {{.Name}}'), ok('web\n'))
  t.match(await d.run('service ls --filter nope=1'), {
    code: 1,
    stderr: /^Error: invalid filter "nope"/,
  })
  t.match(await d.run('service ls --format {{'), {
    code: 1,
    stderr: /^Error: template parsing error/,
  })
  t.match(await d.run('service ps web'), {
    code: 0,
    stdout: /t10000000000 +web\.1 +nginx +w1 +Running +Running /,
  })
  t.strictSame(await d.run('service ps -q web'), ok(`${id('t1')}\n`))
  const held = { code: 'PORT_TAKEN', message: 'port 80/tcp is held', serviceId: serviceId(web.id) }
  await withConditions(d.world, nodeId(id('w1')), [held, { code: 'BUS_DOWN', message: 'no bus' }])
  t.match(await d.run('service ps web'), {
    code: 0,
    stderr: 'Warning: node w1: port 80/tcp is held\n',
  })
  t.strictSame(await d.run('service ps -q web'), ok(`${id('t1')}\n`))
  t.match(await d.run('node ls'), {
    stdout: /w1 .* PORT_TAKEN, BUS_DOWN\n/,
    stderr: /node w1: no bus\n/,
  })
  await withConditions(d.world, nodeId(id('w1')), [])
  t.strictSame(await d.run('service ps -q --filter node=self web'), ok(''), 'it runs elsewhere')
  t.match(await d.run('service ps web nope'), {
    code: 1,
    stdout: /web\.1/,
    stderr: 'Error: service "nope" not found: "tsswarm service ls" lists what there is\n',
  })
  t.match(await d.run('service ps nope'), { code: 1, stdout: '', stderr: /not found/ })
  const inspected = await d.run('service inspect web')
  t.match(JSON.parse(inspected.stdout), [
    { ID: web.id, Spec: { Name: 'web', TaskTemplate: { ContainerSpec: { Env: ['A=1'] } } } },
  ])
  t.strictSame(
    await d.run(['service', 'inspect', '-f', '{{.Spec.Name}} {{index .Spec.Labels "a"}}', 'web']),
    ok('web 1\n'),
  )
  const pretty = await d.run('service inspect --pretty web')
  t.match(
    pretty.stdout,
    /^\nID:\t\t\w{25}\nName:\t\tweb\nLabels:\n a=1\nService Mode:\tReplicated\n Replicas:\t1\n/,
  )
  t.strictSame(await d.run('service rm web'), ok('web\n'))
  t.match(await d.run('service rm web db nope'), {
    code: 1,
    stdout: 'db\n',
    stderr: /"web" not found.*\n.*"nope" not found/,
  })
})

t.test('service update reads, changes and writes; again when someone was faster', async (t) => {
  const d = await aDaemon(t)
  await createService(d.world, { name: 'web', container: { env: ['A=1'] } })
  const real = d.world.api.updateService
  let conflicts = 2
  d.control['updateService'] = async (...args: Parameters<typeof real>) => {
    conflicts -= 1
    if (conflicts >= 0) throw new SwarmError('OUT_OF_SEQUENCE', 'faster')
    return await real(...args)
  }
  t.strictSame(await d.run('service update -d --env-add B=2 web'), ok('web\n'))
  t.equal(d.seen.filter((call) => call.method === 'getService').length, 3)
  const [service] = d.world.store.view((tx) => [...tx.all('services')])
  t.strictSame(service?.spec.task.container.env, ['A=1', 'B=2'])
  conflicts = 99
  t.match(await d.run('service update -d web'), { code: 1, stderr: 'Error: faster\n' })
  conflicts = 0
  t.match(await d.run('service update -d --image Bad web'), {
    code: 1,
    stderr: /is no image reference/,
  })
  t.match(await d.run('service update --limit-cpu x web'), { code: 125 })
})

t.test('service rollback, and update --rollback', async (t) => {
  const d = await aDaemon(t)
  await createService(d.world, { name: 'web', container: { image: 'nginx:1' } })
  t.match(await d.run('service rollback -d web'), { code: 1, stderr: /have a previous spec/ })
  t.strictSame(await d.run('service update -d --image nginx:2 web'), ok('web\n'))
  const image = () =>
    d.world.store.view((tx) => [...tx.all('services')])[0]?.spec.task.container.image
  t.strictSame(await d.run('service rollback -d web'), ok('web\n'))
  t.equal(image(), 'nginx:1')
  t.strictSame(await d.run('service update -d --rollback web'), ok('web\n'))
  t.equal(image(), 'nginx:2')
  t.match(await d.run('service update --rollback -d --env-add A=1 web'), {
    code: 125,
    stderr: /flag --env-add cannot be used with --rollback/,
  })
  t.equal(image(), 'nginx:2')
  const pretty = await d.run('service inspect --pretty web')
  t.match(
    pretty.stdout,
    /UpdateStatus:\n State:\t\trollback_started\n(?:.*\n)* Rollback order: +stop-first/,
  )
})

t.test('a refused field names its flag, whether refused here or by the daemon', async (t) => {
  const d = await aDaemon(t)
  await createService(d.world, { name: 'web' })
  const refused = (line: string, stderr: RegExp) =>
    d.run(line).then((run) => t.match(run, { code: 1, stdout: '', stderr }, line))
  t.match(await d.run('service create --replicas 1000000 x'), {
    code: 125,
    stderr: /"--replicas" flag: must be from 0 to 100000\n/,
  })
  await refused('service create --limit-memory 1 x', /at least 4MiB \(flag --limit-memory\)\n$/)
  await refused('service update --limit-cpu 0.0001 web', /0\.001 CPUs \(flag --limit-cpu\)\n$/)
  await refused('service create --name a/b x', /letter or digit \(flag --name\)\n$/)
  await refused(
    'service create --cap-add NET_ADMN x',
    /did you mean NET_ADMIN\? \(flag --cap-add\)/,
  )
  await refused('service create --cap-drop x y', /or ALL \(flag --cap-drop\)\n$/)
  await refused('service create --dns 192.0.2.1 --dns x y', /must be an IP address \(flag --dns\)/)
  await refused('service create --host db y', /such as db:192\.0\.2\.7 \(flag --host\)\n$/)
  await refused('service create --workdir srv y', /absolute path, such as \/srv \(flag --workdir\)/)
  await refused('service create --group= y', /names or numbers of groups \(flag --group\)\n$/)
  await refused('service create --cpuset-cpus 0-99999 y', /none above \d+ \(flag --cpuset-cpus\)/)
  await refused('service create --constraint x y', /write KEY==VALUE or KEY!=VALUE\n$/)
})

t.test('service scale', async (t) => {
  const d = await aDaemon(t)
  for (const name of ['web', 'db']) await createService(d.world, { name })
  t.strictSame(await d.run('service scale -d web=3 db=0'), ok('web scaled to 3\ndb scaled to 0\n'))
  const replicas = () => d.world.store.view((tx) => [...tx.all('services')].map(replicasOf))
  t.strictSame(replicas(), [3, 0])
  t.match(await d.run('service scale db=0'), { code: 0, stdout: /converged\n$/ })
  t.strictSame(
    await d.run('service scale -d web=4 web=5'),
    ok('web scaled to 4\nweb scaled to 5\n'),
    'one service twice: each in turn',
  )
  t.strictSame(replicas(), [5, 0])
  t.match(await d.run('service scale -d web=1000000 db=2'), {
    code: 1,
    stdout: 'db scaled to 2\n',
    stderr: /must be at most 100000/,
  })
})

t.test('service explain', async (t) => {
  const d = await aDaemon(t)
  await addNode(d.world, { id: id('w1'), hostname: 'w1', state: 'down' })
  const big = await createService(d.world, {
    name: 'big',
    mode: { kind: 'replicated', replicas: 2 },
    task: { reservations: { memoryBytes: 2 ** 40 } },
  })
  for (const slot of [1, 2]) {
    await addTask(
      d.world,
      aTask({ id: id(`t${slot}`), service: big.id, specHash: big.specHash, slot }),
    )
  }
  golden(t, 'test/golden/cli/service-explain.txt', (await d.run('service explain big')).stdout)
  const json = JSON.parse((await d.run('service explain --format json big')).stdout)
  t.match(json, [
    {
      TaskName: 'big.1',
      Refusals: [
        { Hostname: 'm1', Filter: 'resources' },
        { Hostname: 'w1', Filter: 'ready' },
      ],
    },
    { TaskName: 'big.2' },
  ])
  await createService(d.world, { name: 'fine' })
  t.match(await d.run('service explain fine'), {
    code: 0,
    stdout: /^No task of service fine waits for a node \(0 of 1 are running\)/,
  })
})

t.test('service logs', async (t) => {
  const d = await aDaemon(t)
  const line = (facts: Partial<LogLine>): LogLine => ({
    taskId: id('t1'),
    taskName: 'web.1',
    nodeId: id('n'),
    nodeHostname: 'w1',
    atMs: 1_700_000_000_123,
    atNanos: 456_789,
    stderr: false,
    text: new TextEncoder().encode('hello\n'),
    err: '',
    serviceId: id('s'),
    attributes: { tier: 'a b', ENV: 'x,y=z' },
    ...facts,
  })
  d.control['serviceLogs'] = async function* (): AsyncGenerator<LogLine> {
    yield line({})
    yield line({ stderr: true, text: new TextEncoder().encode('oh') })
    yield line({ taskName: 'web.2', text: new Uint8Array(), err: 'node w2 cannot be reached' })
  }
  const run = await d.run('service logs web')
  t.strictSame(run, {
    code: 1,
    stdout: 'web.1.t10000000000@w1    | hello\n',
    stderr: 'web.1.t10000000000@w1    | oh\nError: web.2 on w1: node w2 cannot be reached\n',
  })
  t.match(asked(d, 'serviceLogs'), {
    reference: 'web',
    follow: false,
    sinceMs: 0,
    tail: undefined,
    stdout: true,
    stderr: true,
  })
  t.match(await d.run('service logs -t --no-task-ids --tail 5 --since 2024-01-01 web'), {
    stdout: '2023-11-14T22:13:20.123456789Z web.1@w1    | hello\n',
  })
  t.match(asked(d, 'serviceLogs'), { tail: 5, sinceMs: Date.UTC(2024, 0, 1) })
  t.match(await d.run('service logs --raw -n all web'), { stdout: 'hello\n' })
  t.match(await d.run('service logs --no-resolve --no-trunc web'), {
    stdout: `${id('t1')}@${id('n')}    | hello\n`,
  })
  t.match(asked(d, 'serviceLogs'), { details: false })
  t.match(await d.run('service logs -t --details web'), {
    stdout: '2023-11-14T22:13:20.123456789Z web.1.t10000000000@w1    | ENV=x,y=z,tier=a b hello\n',
  })
  t.match(asked(d, 'serviceLogs'), { details: true })
  const ids = ['node', 'n', 'service', 's', 'task', 't1']
  const raw = [0, 2, 4].map((at) => `com.docker.swarm.${ids[at]}.id=${id(ids[at + 1] ?? '')}`)
  t.match(await d.run('service logs --raw --details web'), {
    stdout: `ENV=x%2Cy%3Dz,${raw.join()},tier=a+b hello\n`,
  })
  const binary = new Uint8Array([0xff, 0x00, 0x0a, 0xfe])
  d.control['serviceLogs'] = async function* (): AsyncGenerator<LogLine> {
    yield line({ text: binary })
  }
  const written: number[] = []
  await d.run('service logs --raw web', { onOutput: (_, bytes) => written.push(...bytes) })
  t.same(written, [...binary, 0x0a], 'bytes stay as they are')
  const controller = new AbortController()
  d.control['serviceLogs'] = async function* (_: unknown, __: unknown, signal: AbortSignal) {
    yield line({})
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
  }
  t.match(
    await d.run('service logs -f web', {
      signal: controller.signal,
      onOutput: () => controller.abort(),
    }),
    {
      code: 0,
      stdout: /hello/,
    },
  )
})

t.test('node ls, ps, inspect, update, promote, demote, rm', async (t) => {
  const d = await aDaemon(t)
  await addNode(d.world, { id: id('w1'), hostname: 'w1', labels: { a: '1' } })
  await addNode(d.world, { id: id('w2'), hostname: 'w2', state: 'down' })
  t.match(await d.run('node ls'), {
    code: 0,
    stdout: new RegExp(`${selfId} \\* +m1 +Ready +Active +Leader`),
  })
  t.strictSame(await d.run('node ls -q --filter role=worker'), ok(`${id('w1')}\n${id('w2')}\n`))
  const web = await createService(d.world, { name: 'web' })
  await addTask(
    d.world,
    aTask({ id: id('t1'), service: web.id, specHash: web.specHash, node: id('w1') }),
  )
  t.match(await d.run('node ps w1'), { code: 0, stdout: /web\.1/ })
  t.notMatch(await d.run('node ps'), { stdout: /web\.1/ }, 'this node by default')
  t.match(JSON.parse((await d.run('node inspect self w1')).stdout), [
    { ID: selfId, ManagerStatus: { Leader: true, Reachability: 'reachable' } },
    { Description: { Hostname: 'w1' }, Spec: { Labels: { a: '1' }, Role: 'worker' } },
  ])
  golden(
    t,
    'test/golden/cli/node-inspect-pretty.txt',
    (await d.run('node inspect --pretty self')).stdout.replace(/(Joined at: +\t).*/, '$1'),
  )
  t.strictSame(
    await d.run('node update --availability drain --label-add b=2 --label-rm a w1'),
    ok('w1\n'),
  )
  t.match(asked(d, 'updateNode'), {
    spec: { labels: { b: '2' }, availability: NodeAvailability.DRAIN, role: NodeRole.WORKER },
  })
  t.strictSame(await d.run('node promote w1'), ok('Node w1 promoted to a manager in the swarm.\n'))
  t.strictSame(await d.run('node promote w1'), ok('Node w1 is already a manager.\n'))
  t.strictSame(await d.run('node demote w1'), ok('Manager w1 demoted in the swarm.\n'))
  t.strictSame(await d.run('node demote w1'), ok('Node w1 is already a worker.\n'))
  t.match(await d.run('node demote m1'), { code: 1, stderr: /last manager/ })
  t.match(await d.run('node rm w1'), { code: 1, stderr: /not down and can't be removed/ })
  t.strictSame(await d.run('node rm w2'), ok('w2\n'))
  t.strictSame(await d.run('node rm --force w1'), ok('w1\n'))
})

t.test('swarm init --force-new-cluster', async (t) => {
  const d = await aDaemon(t)
  const recovery = {
    epoch: 2,
    wasAlone: false,
    services: 1,
    tasks: 3,
    nodes: 5,
    newestAtMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    lost: [
      { nodeId: 'n2', hostname: 'm2' },
      { nodeId: 'n3', hostname: '' },
    ],
  }
  let answer: SwarmRecovery = recovery
  d.daemon['initSwarm'] = async () => ({
    nodeId: 'n1',
    workerJoinToken: '',
    advertiseAddress: '10.0.0.1:2377',
    recovery: answer,
  })
  const run = (line: string) => d.run(`swarm init --force-new-cluster ${line}`)
  golden(t, 'test/golden/cli/swarm-recovery.txt', (await run('--listen-addr 0.0.0.0:9')).stdout)
  t.match(asked(d, 'initSwarm'), {
    forceNewCluster: true,
    force: false,
    listenAddress: '0.0.0.0:9',
    spec: undefined,
  })
  answer = { ...recovery, newestAtMs: 0, lost: [] }
  const nobody = await run('--force')
  t.match(nobody.stdout, /No other manager was known/)
  t.notMatch(nobody.stdout, /changes up to/)
  t.match(asked(d, 'initSwarm'), { force: true })
  answer = { ...recovery, wasAlone: true }
  t.match((await run('')).stdout, /^Nothing to recover: node n1 is the only manager .*epoch 2/)
  t.match(await run('--availability drain'), { code: 125, stderr: /leave out --availability/ })
  t.match(await run('--scheduling spread'), { code: 125, stderr: /leave out --scheduling/ })
  t.match(await d.run('swarm init --force'), { code: 125, stderr: /--force-new-cluster only/ })
})

t.test('swarm reconnect', async (t) => {
  const d = await aDaemon(t)
  const step = { address: '', nodeId: '', error: '', found: '' }
  let steps = [
    { ...step, address: '10.0.0.2:2377', nodeId: 'n2' },
    { ...step, found: '10.0.0.2:2377' },
  ]
  d.daemon['reconnectSwarm'] = async function* () {
    yield* steps
  }
  t.strictSame(
    await d.run('swarm reconnect 10.0.0.2'),
    ok('10.0.0.2:2377: manager n2\nConnected: 10.0.0.2:2377 answers for the swarm.\n'),
  )
  t.match(asked(d, 'reconnectSwarm'), { addresses: ['10.0.0.2'] })
  steps = [{ ...step, address: '10.0.0.9:2377', error: 'no answer' }, ...steps]
  t.match(await d.run('swarm reconnect 10.0.0.9 10.0.0.2'), {
    code: 1,
    stdout: /^10\.0\.0\.9:2377: no answer$/m,
    stderr: /no manager of this swarm was found at 10\.0\.0\.9:2377/,
  })
  steps = [{ ...step, error: 'the managers have no leader yet' }]
  t.match(await d.run('swarm reconnect 10.0.0.2'), { code: 1, stderr: /no leader yet/ })
  t.match(await d.run('swarm reconnect'), { code: 125 })
})

t.test('swarm init, join, leave, join-token, update', async (t) => {
  const d = await aDaemon(t)
  d.daemon['initSwarm'] = async () => ({
    nodeId: 'n1',
    workerJoinToken: 'SWMTKN-1-x',
    advertiseAddress: '10.0.0.1:2377',
    recovery: undefined,
  })
  const init = await d.run(
    'swarm init --advertise-addr 10.0.0.1 --availability drain --task-history-limit 3 --version-history-limit 2',
  )
  golden(t, 'test/golden/cli/swarm-init.txt', init.stdout)
  t.match(asked(d, 'initSwarm'), {
    advertiseAddress: '10.0.0.1',
    listenAddress: '',
    availability: NodeAvailability.DRAIN,
    spec: { taskHistoryLimit: 3, payloadHistoryLimit: 2, heartbeatMs: 500, scheduling: 'spread' },
  })
  t.match(await d.run('swarm init --cert-expiry 1m'), { code: 1, stderr: /must be at least 1h/ })
  d.daemon['joinSwarm'] = async () => ({ nodeId: 'n1', role: NodeRole.MANAGER })
  t.strictSame(
    await d.run('swarm join --token T 10.0.0.1'),
    ok('This node joined a swarm as a manager.\n'),
  )
  t.match(asked(d, 'joinSwarm'), { token: 'T', remoteAddresses: ['10.0.0.1:2377'] })
  await d.run('swarm join --token T [fd00::1]:4000')
  t.match(asked(d, 'joinSwarm'), { remoteAddresses: ['[fd00::1]:4000'] })
  d.daemon['leaveSwarm'] = async () => ({})
  t.strictSame(await d.run('swarm leave -f'), ok('Node left the swarm.\n'))
  t.match(asked(d, 'leaveSwarm'), { force: true })
  const tokens: GetJoinTokensResponse = await d.world.api.getJoinTokens(
    d.world.caller,
    {},
    d.world.signal,
  )
  t.strictSame(
    await d.run('swarm join-token worker'),
    ok(
      `To add a worker to this swarm, run the following command:\n\n    tsswarm swarm join --token ${tokens.worker} 10.0.0.1:2377\n\n`,
    ),
  )
  t.strictSame(await d.run('swarm join-token -q manager'), ok(`${tokens.manager}\n`))
  t.match(await d.run('swarm join-token --rotate manager'), {
    stdout:
      /^Successfully rotated manager join token\.\n\nTo add a manager .*\n\n.*SWMTKN-1-root-1 /,
  })
  t.strictSame(await d.run('swarm update --scheduling binpack'), ok('Swarm updated.\n'))
  t.match(asked(d, 'updateCluster'), { spec: { scheduling: 'binpack', taskHistoryLimit: 5 } })
})

t.test('image ls, rm, pull, load', async (t) => {
  const d = await aDaemon(t)
  const image = {
    id: `sha256:${'ab'.repeat(32)}`,
    names: ['nginx:1'],
    digests: ['nginx@sha256:cd'],
    sizeBytes: 5_000_000,
    createdAtMs: 0,
  }
  d.daemon['listImages'] = async () => ({ images: [image] })
  t.match(await d.run('image ls'), { code: 0, stdout: /nginx +1 +abababababab +N\/A +5MB/ })
  t.match(await d.run('image ls --digests --no-trunc'), { stdout: /sha256:cd +sha256:abab/ })
  t.strictSame(await d.run('image ls -q'), ok('abababababab\n'))
  d.daemon['removeImage'] = async () => ({ untagged: ['nginx:1'], deleted: ['sha256:ab'] })
  t.strictSame(await d.run('image rm -f nginx:1'), ok('Untagged: nginx:1\nDeleted: sha256:ab\n'))
  const step = (facts: Partial<ImageProgress>): ImageProgress => ({
    step: '',
    subject: '',
    doneBytes: 0,
    totalBytes: 0,
    image: undefined,
    ...facts,
  })
  d.daemon['pullImage'] = async function* (): AsyncGenerator<ImageProgress> {
    const subject = `sha256:${'ef'.repeat(32)}`
    yield step({ step: 'Resolving', subject: 'nginx:1' })
    yield step({ step: 'Downloading', subject, doneBytes: 1_000_000, totalBytes: 4_000_000 })
    yield step({ step: 'Downloading', subject, doneBytes: 4_000_000, totalBytes: 4_000_000 })
    yield step({ step: 'Pull complete', subject })
    yield step({ image })
  }
  t.strictSame(
    await d.run('image pull nginx:1'),
    ok(
      'nginx:1: Resolving\nefefefefefef: Downloading\nefefefefefef: Pull complete\nDigest: sha256:cd\nStatus: Downloaded newer image for nginx:1\ndocker.io/library/nginx:1\n',
    ),
  )
  const drawn = await d.run('image pull nginx:1', { terminal: true })
  golden(
    t,
    'test/golden/cli/image-pull-terminal.txt',
    drawn.stdout.replaceAll('\x1b', 'ESC').replaceAll('\r', 'CR'),
  )
  t.strictSame(await d.run('image pull -q nginx:1'), ok('docker.io/library/nginx:1\n'))
  const sent: number[] = []
  const load = async (
    _: unknown,
    incoming: AsyncIterable<LoadImageRequest>,
    send: (m: ImageProgress) => Promise<void>,
  ) => {
    for await (const { chunk } of incoming) sent.push(chunk.length)
    await send(step({ image }))
  }
  d.daemon['loadImage'] = load as TestDaemon['daemon'][string]
  t.strictSame(
    await d.run('image load', { stdin: [new Uint8Array(600_000)] }),
    ok('Loaded image: nginx:1\n'),
  )
  t.strictSame(sent, [262_144, 262_144, 75_712])
  t.match(await d.run('image load -i package.json'), { code: 0 })
  t.match(await d.run('image load -i /etc'), {
    code: 1,
    stderr: /^Error: cannot read \/etc: it is a folder, not an archive$/m,
  })
})

t.test('info and version', async (t) => {
  const d = await aDaemon(t)
  t.match(await d.run('info'), {
    code: 0,
    stdout:
      /^Name: host\nServer Version: 9\.9\.9\n.*CPUs: 4\nTotal Memory: 8GiB\n.*Swarm: inactive\n$/s,
  })
  d.daemon['info'] = async () => ({
    ...anInfo,
    swarmState: 'active',
    nodeId: selfId,
    controlAvailable: true,
    leaderNodeId: selfId,
    managerAddresses: ['10.0.0.1:2377'],
  })
  t.match(await d.run('info'), {
    stdout: /Is Manager: true\n Leader: \w+\n Managers: 1\n Nodes: 1 \(1 ready\)\n/,
  })
  t.strictSame(
    await d.run(['info', '-f', '{{.Swarm.LocalNodeState}} {{.Swarm.Nodes}}']),
    ok('active 1\n'),
  )
  const { stdout } = await d.run(['info', '-f', '{{.Swarm.LeaderNodeID}}'])
  t.equal(stdout.trim(), selfId)
  d.daemon['info'] = async () => ({ ...anInfo, swarmState: 'active', controlAvailable: true })
  d.control['listNodes'] = () => ({
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        throw new SwarmError('NO_LEADER', 'the swarm does not have a leader')
      },
    }),
  })
  t.match(
    await d.run('info'),
    { code: 0, stdout: /Leader: none known\n.*Error: the swarm does not have a leader/s },
    'information must not fail',
  )
  t.match(await d.run('version'), {
    code: 0,
    stdout: /^Client:\n Version: .*\nServer:\n Version: +9\.9\.9\n$/s,
  })
  t.strictSame(await d.run('version --format {{.Server.Version}}'), ok('9.9.9\n'))
  d.close()
  t.match(await d.run('version'), { code: 1, stdout: /^Client:/, stderr: /daemon is not running/ })
})

t.test('completion asks the daemon for names', async (t) => {
  const d = await aDaemon(t)
  await createService(d.world, { name: 'web' })
  await createService(d.world, { name: 'worker' })
  d.daemon['listImages'] = async () => ({
    images: [{ id: 'x', names: ['nginx:1'], digests: [], sizeBytes: 0, createdAtMs: 0 }],
  })
  const words = async (...typed: readonly string[]) =>
    (await d.run(['__complete', '--', ...typed])).stdout
      .split('\n')
      .map((line) => line.split('\t')[0])
  t.strictSame(await words('service', 'inspect', 'w'), ['web', 'worker', ''])
  t.strictSame(await words('service', 'ps', 'web', 'wo'), ['worker', ''])
  t.strictSame(await words('node', 'update', ''), ['m1', 'self', ''])
  t.strictSame(await words('service', 'update', '--image', 'n'), ['nginx:1', ''])
  t.strictSame(await words('service', 'scale', 'we'), ['web', ''])
})

/** Waits (without a fixed time) until a value is there. */
async function until<T>(get: () => T | undefined): Promise<T> {
  const endMs = performance.now() + 10_000
  while (performance.now() < endMs) {
    const value = get()
    if (value !== undefined) return value
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error('it did not come')
}

t.test('state numbers of tasks and docker words agree', async (t) => {
  const d = await aDaemon(t)
  const web = await createService(d.world, { name: 'web' })
  const states = Object.entries(TaskState)
  for (const [i, [, state]] of states.entries()) {
    const task: Task = aTask({
      id: id(`t${i}x`),
      service: web.id,
      specHash: web.specHash,
      slot: i + 1,
      node: id('n'),
      state,
    })
    await addTask(d.world, task)
  }
  const { stdout } = await d.run('service ps --format {{.CurrentState}} web')
  t.strictSame(
    stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(' ')[0]?.toUpperCase()),
    states.map(([name]) => name),
  )
})
