// A real cluster of three managers and two workers through its life and its faults. One lab for the whole file.
import t from 'tap'
import { processMark } from '../support/process-mark.ts'
import { TestLab } from '../support/test-lab.ts'

t.setTimeout(900_000)
const lab = await TestLab.up('e2e', { managers: 3, workers: 2 })
t.teardown(() => lab.down())

/** What a replica answers on its node's published port, asked from another host. */
async function answer(host: string, port: number): Promise<string> {
  const script = 'fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)'
  const url = `http://${lab.address(host)}:${port}`
  return (await lab.run(host === 'w1' ? 'm1' : 'w1', process.execPath, '-e', script, url)).stdout
}

/** The containers of a service as the kernel knows them: task, node, process id and start of the process. */
async function containers(service: string): Promise<readonly string[]> {
  const views = await lab.taskViews('m1', service)
  return views
    .map(({ task }) => `${task?.id} ${task?.nodeId} ${processMark(task?.pid ?? 0)}`)
    .sort()
}

/** How often the daemons of a host have taken over containers, and how often they opened a session after it. */
function adoptions(host: string): { readonly adopted: readonly number[]; readonly ready: number } {
  const events = lab.log(host).map((line) => JSON.parse(line) as LogEvent)
  const adopted = events.filter(({ msg }) => msg === 'containers adopted')
  const last = events.findLastIndex(({ msg }) => msg === 'containers adopted')
  return {
    adopted: adopted.map(({ containers = 0 }) => containers),
    ready: events.slice(last).filter(({ msg }) => msg === 'session started').length,
  }
}

interface LogEvent {
  readonly msg: string
  readonly containers?: number
}

/** Waits until the new daemon of a host has taken over `count` containers and is in session. */
async function untilAdopted(host: string, formerly: number, count: number): Promise<void> {
  await lab.until(`${host} has taken over ${count} containers`, async () => {
    const { adopted, ready } = adoptions(host)
    return adopted.length > formerly && adopted.at(-1) === count && ready > 0
  })
}

t.test('five nodes are ready, three of them managers, one the leader', async (t) => {
  const format = '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'
  const lines = await lab.until('m2 knows of all five', async () => {
    const rows = (await lab.look('m2', 'node', 'ls', '--format', format)).split('\n').sort()
    const managers = rows.filter((row) => /(Leader|Reachable)$/.test(row))
    return (
      rows.filter((row) => row.includes(' Ready')).length === 5 && managers.length === 3 && rows
    )
  })
  t.equal(lines.length, 5)
  t.equal(lines.filter((line) => line.endsWith('Leader')).length, 1)
})

t.test('a service is created, scaled, updated and removed', async (t) => {
  const web = ['--name', 'web', '--replicas', '3', '--update-monitor', '1s']
  await lab.cli('m1', 'service', 'create', ...web, 'lab/hello')
  t.equal((await lab.untilRunning('m2', 'web', 3)).length, 3)
  t.equal(await lab.cli('m3', 'service', 'ls', '--format', '{{.Name}} {{.Replicas}}'), 'web 3/3')
  await lab.cli('m2', 'service', 'scale', 'web=10')
  const ten = await lab.untilRunning('m1', 'web', 10)
  const perNode = new Map<string, number>()
  for (const { node } of ten) perNode.set(node, (perNode.get(node) ?? 0) + 1)
  t.same([...perNode.values()], [2, 2, 2, 2, 2], 'spread evenly')
  await lab.cli('m2', 'service', 'scale', 'web=2')
  await lab.untilRunning('m1', 'web', 2)
  const before = await lab.running('m1', 'web')
  await lab.cli('m1', 'service', 'update', '--env-add', 'COLOR=blue', 'web')
  const after = await lab.until('both tasks replaced', async () => {
    const now = await lab.running('m1', 'web')
    return now.length === 2 && now.every(({ id }) => before.every((old) => old.id !== id)) && now
  })
  t.equal(after.length, 2)
  t.match(await lab.cli('m1', 'service', 'inspect', 'web'), /COLOR=blue/)
  await lab.cli('m1', 'service', 'rm', 'web')
  const gone = await lab.try('m1', 'service', 'inspect', 'web')
  t.equal(gone.code, 1)
  t.match(gone.stderr, /web/)
})

t.test(
  'a published port answers on the nodes of the replicas, and logs are read across nodes',
  async (t) => {
    await lab.cli(
      'm1',
      'service',
      'create',
      '--name',
      'port',
      '--replicas',
      '5',
      '--publish',
      'mode=host,published=8090,target=80',
      '--env',
      'NODE={{.Node.Hostname}}',
      '--env',
      'TASK={{.Task.Name}}',
      'lab/hello',
    )
    const tasks = await lab.untilRunning('m1', 'port', 5)
    t.equal(new Set(tasks.map(({ node }) => node)).size, 5, 'one a node: the port is taken there')
    for (const { node, name } of tasks) {
      const text = await lab.until(
        `an answer of ${node}`,
        async () => (await answer(node, 8090)) || undefined,
      )
      t.ok(text.includes(name), `${node} answers as ${name}: ${text.slice(0, 200)}`)
    }
    for (const { node, name } of tasks) {
      await lab.until(`the log has lines of ${name} on ${node}`, async () =>
        (await lab.cli('m2', 'service', 'logs', 'port')).includes(name),
      )
    }
    const explained = await lab.try(
      'm1',
      'service',
      'create',
      '--detach',
      '--name',
      'port2',
      '--publish',
      'mode=host,published=8090,target=80',
      'lab/hello',
    )
    t.equal(explained.code, 0)
    const pending = await lab.until('the conflict is named', async () =>
      (await lab.tasks('m1', 'port2')).find(({ error }) => error !== ''),
    )
    t.match(pending.error, /host-mode port already in use on 5 nodes/)
    await lab.cli('m1', 'service', 'rm', 'port2', 'port')
  },
)

t.test('an update that fails goes back by itself, and one that is good by command', async (t) => {
  const image = '{{.Spec.TaskTemplate.ContainerSpec.Env}} {{.UpdateStatus.State}}'
  const state = () => lab.cli('m2', 'service', 'inspect', '-f', image, 'rolls')
  const flags = ['--quiet', '--name', 'rolls', '--replicas', '2', '--env', 'V=1']
  const policy = [
    '--update-failure-action',
    'rollback',
    '--update-monitor',
    '2s',
    '--rollback-monitor',
    '1s',
  ]
  await lab.cli('m2', 'service', 'create', ...flags, ...policy, 'lab/hello')
  const update = (...args: readonly string[]) => lab.try('m2', 'service', 'update', '-q', ...args)
  const bad = await update('--entrypoint', 'false', '--update-order', 'start-first', 'rolls')
  t.equal(bad.code, 1)
  t.match(bad.stderr, /service rolls was rolled back/)
  t.equal(await state(), '[V=1] rollback_completed')
  t.equal((await lab.running('m2', 'rolls')).length, 2)
  t.equal((await update('--env-add', 'V=2', 'rolls')).code, 0)
  t.equal(await state(), '[V=2] completed')
  await lab.cli('m2', 'service', 'rollback', '-q', 'rolls')
  t.match(await state(), /^\[V=1\] rollback_/)
  await lab.cli('m2', 'service', 'rm', 'rolls')
})

t.test("kill -9 of a worker's daemon: its containers go on and are adopted", async (t) => {
  // A loaded machine starts a daemon more slowly than a node is taken for lost: give it time.
  await lab.cli('m1', 'swarm', 'update', '--dispatcher-heartbeat', '10s')
  await lab.cli('m1', 'service', 'create', '--name', 'stay', '--replicas', '5', 'lab/hello')
  const tasks = await lab.untilRunning('m1', 'stay', 5)
  const before = await containers('stay')
  t.equal(before.length, 5)
  const onHost = tasks.filter(({ node }) => node === 'w1').length
  t.ok(onHost > 0, `${onHost} on w1`)
  const formerly = adoptions('w1').adopted.length
  await lab.kill('w1')
  t.same(await containers('stay'), before, 'they go on without their daemon')
  await lab.start('w1')
  await untilAdopted('w1', formerly, onHost)
  await lab.steady('the same processes', 1_000, async () => {
    const now = await containers('stay')
    return now.join() === before.join() ? '' : `${now.join('\n')}\ninstead of\n${before.join('\n')}`
  })
  t.same(
    (await lab.untilRunning('m1', 'stay', 5)).map(({ id }) => id).sort(),
    tasks.map(({ id }) => id).sort(),
  )
  await lab.cli('m1', 'service', 'rm', 'stay')
  await lab.cli('m1', 'swarm', 'update', '--dispatcher-heartbeat', '500ms')
})

t.test(
  'a host that is cut off: replaced elsewhere, its old tasks stopped after healing',
  async (t) => {
    await lab.cli('m1', 'service', 'create', '--name', 'cut', '--replicas', '5', 'lab/hello')
    await lab.untilRunning('m1', 'cut', 5)
    let replaced = 0
    // The definition is in docs/task-model.md. An owner that is cut off is still reported running, but shall not run.
    const owners = async (): Promise<string> => {
      const tasks = await lab.tasks('m1', 'cut')
      const running = tasks.filter(({ state }) => state.startsWith('Running'))
      const wanted = running.filter(({ desired }) => desired === 'Running')
      if (running.length > wanted.length) replaced += 1
      const names = wanted.map(({ name }) => name)
      const twice = names.filter((name, at) => names.indexOf(name) !== at)
      return twice.length === 0 ? '' : `two owners of ${twice.join()}: ${JSON.stringify(tasks)}`
    }
    const looks = await lab.during(owners, async () => {
      await lab.cut('w2')
      const isReplaced = async (): Promise<boolean> => {
        const now = await lab.running('m1', 'cut')
        return now.length === 5 && now.every(({ node }) => node !== 'w2')
      }
      // For a while after the test before this one, a node may be silent for 12 s.
      await lab.until('five run without w2', isReplaced, 90_000)
      const old = (await lab.tasks('m1', 'cut')).find(({ node }) => node === 'w2')
      t.equal(old?.desired, 'Shutdown')
      t.match(old?.state, /^Running/, 'the last that was reported')
      await lab.until('a look has seen that', async () => replaced > 0)
      await lab.heal('w2')
      await lab.until('the old task is stopped', async () => {
        const tasks = await lab.tasks('m1', 'cut')
        const left = tasks.filter(({ node, state }) => node === 'w2' && state.startsWith('Running'))
        return (
          left.length === 0 && tasks.filter(({ desired }) => desired === 'Running').length === 5
        )
      })
    })
    t.ok(looks > 3, `${looks} looks`)
    t.ok(replaced > 0, `${replaced} of them saw the old owner reported running, but not meant to`)
    t.equal(await lab.cli('m1', 'node', 'inspect', '--format', '{{.Status.State}}', 'w2'), 'ready')
    await lab.cli('m1', 'service', 'rm', 'cut')
  },
)

interface Writes {
  readonly created: string[]
  /** How many updates each writer saw acknowledged. */
  readonly updated: number[]
  /** Errors, whatever they say. */
  readonly refused: string[]
}

interface Inspected {
  readonly Spec: { readonly TaskTemplate: { readonly ForceUpdate: number } }
}

function createOf(name: string): readonly string[] {
  const how = ['--detach', '--quiet', '--replicas', '0']
  return ['service', 'create', ...how, '--name', name, 'lab/hello']
}

t.test(
  'kill -9 of the leader under writes: nothing acknowledged is lost, nothing applied twice',
  async (t) => {
    const leader = await lab.leader('m1')
    const writers = ['m1', 'm2', 'm3'].filter((host) => host !== leader)
    const seen: Writes = { created: [], updated: [0, 0], refused: [] }
    let stop = false
    for (const at of writers.keys()) await lab.cli(leader, ...createOf(`counter${at}`))
    const write = async (host: string, at: number): Promise<void> => {
      for (let n = 0; !stop; n++) {
        const name = `w${at}-${n}`
        const created = await lab.try(host, ...createOf(name))
        if (created.code === 0) seen.created.push(name)
        else seen.refused.push(`${name}: ${created.stderr}`)
        // Every forced update counts one up, from what it has read.
        const update = ['service', 'update', '--detach', '--quiet', '--force', `counter${at}`]
        const updated = await lab.try(host, ...update)
        if (updated.code === 0) seen.updated[at] = (seen.updated[at] ?? 0) + 1
        else seen.refused.push(`counter${at}: ${updated.stderr}`)
      }
    }
    const running = writers.map(write)
    const writes = (): number => seen.created.length + seen.updated.reduce((sum, n) => sum + n, 0)
    await lab.until('some writes went through', async () => writes() > 8)
    await lab.kill(leader)
    const beforeKill = writes()
    await lab.until('writes go through again', async () => writes() > beforeKill + 8)
    stop = true
    await Promise.all(running)
    const other = writers[0] ?? ''
    t.not(await lab.leader(other), leader, 'another one leads')
    await lab.start(leader)
    // The command line repeats what has no known outcome, with the same request id: a write that was applied twice
    // would end with "name in use" or "out of sequence", or count twice.
    t.same(seen.refused, [], 'every write ended well')
    const names = (await lab.cli(other, 'service', 'ls', '--format', '{{.Name}}')).split('\n')
    t.same(names.sort(), [...seen.created, 'counter0', 'counter1'].sort(), 'each is there once')
    for (const [at, count] of seen.updated.entries()) {
      const text = await lab.cli(other, 'service', 'inspect', `counter${at}`)
      const [service] = JSON.parse(text) as readonly Inspected[]
      t.equal(
        service?.Spec.TaskTemplate.ForceUpdate,
        count,
        `all updates of writer ${at}, each once`,
      )
    }
    await lab.cli(other, 'service', 'rm', ...names)
  },
)

t.test('all daemons killed at once and started again', async (t) => {
  // A busy machine starts a daemon more slowly than a node is missed: its tasks would be replaced.
  await lab.cli('m1', 'swarm', 'update', '--dispatcher-heartbeat', '60s')
  await lab.cli('m1', 'service', 'create', '--name', 'all', '--replicas', '5', 'lab/hello')
  const tasks = await lab.untilRunning('m1', 'all', 5)
  const before = await containers('all')
  const hosts = ['m1', 'm2', 'm3', 'w1', 'w2']
  const formerly = new Map(hosts.map((host) => [host, adoptions(host).adopted.length]))
  await Promise.all(hosts.map((host) => lab.kill(host)))
  await Promise.all(hosts.map((host) => lab.start(host)))
  for (const host of hosts) {
    const count = tasks.filter(({ node }) => node === host).length
    await untilAdopted(host, formerly.get(host) ?? 0, count)
  }
  await lab.until('all are ready and run', async () => {
    const ready = await lab.look('m1', 'node', 'ls', '--format', '{{.Status}}')
    const now = await lab.running('m1', 'all')
    return ready.split('\n').every((state) => state === 'Ready') && now.length === 5
  })
  t.equal(before.length, 5)
  t.same(await containers('all'), before, 'the same processes')
  await lab.cli('m1', 'service', 'rm', 'all')
  await lab.cli('m1', 'swarm', 'update', '--dispatcher-heartbeat', '500ms')
})

t.test('drain moves tasks, promote and demote change managers', async (t) => {
  await lab.cli('m1', 'service', 'create', '--name', 'move', '--replicas', '5', 'lab/hello')
  await lab.untilRunning('m1', 'move', 5)
  await lab.cli('m1', 'node', 'update', '--availability', 'drain', 'w1')
  await lab.until('w1 is empty', async () => {
    const now = await lab.running('m1', 'move')
    return now.length === 5 && now.every(({ node }) => node !== 'w1')
  })
  await lab.cli('m1', 'node', 'update', '--availability', 'active', 'w1')
  await lab.cli('m1', 'node', 'promote', 'w1')
  await lab.until('w1 is a reachable manager', async () =>
    (await lab.look('m1', 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}')).includes(
      'w1 Reachable',
    ),
  )
  await lab.until('w1 answers as a manager', async () =>
    (await lab.cli('w1', 'service', 'ls')).includes('move'),
  )
  await lab.cli('m1', 'node', 'demote', 'w1')
  await lab.until('w1 is a worker', async () => {
    const result = await lab.try('w1', 'node', 'ls')
    return result.code === 1 && /not a swarm manager/.test(result.stderr)
  })
  t.equal((await lab.untilRunning('m1', 'move', 5)).length, 5)
  await lab.cli('m1', 'service', 'rm', 'move')
})
