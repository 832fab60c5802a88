import t from 'tap'
import { nodeId, TaskState } from '../../../proto/objects/index.ts'
import { taskSpec } from '../../../proto/spec/service-spec.ts'
import { containerConfig, type HostFacts, hostPortsOf } from '../../../worker/container-config.ts'
import { anAssignedTask } from '../../support/task-builders.ts'

const host: HostFacts = {
  nodeId: nodeId('node1'),
  hostname: 'w1',
  os: 'linux',
  architecture: 'aarch64',
  network: (_task, { ports }) => ({ kind: 'attached', endpoints: [], ports: hostPortsOf(ports) }),
}

const task = anAssignedTask({
  id: 'abc',
  slot: 3,
  desiredState: TaskState.RUNNING,
  serviceLabels: { tier: 'front end' },
})

t.test('a bare spec gives a bare container with Swarm names and labels', async (t) => {
  const spec = taskSpec.parse({ container: { image: 'nginx:1', labels: { mine: '1' } } })
  const config = containerConfig(task, spec, host)
  t.match(config, { id: 'abc', name: 'web.3.abc', image: 'nginx:1', stopGraceMs: 10_000 })
  t.same(config.labels, {
    mine: '1',
    'com.docker.swarm.task': '',
    'com.docker.swarm.task.id': 'abc',
    'com.docker.swarm.task.name': 'web.3.abc',
    'com.docker.swarm.node.id': 'node1',
    'com.docker.swarm.service.id': 'service1',
    'com.docker.swarm.service.name': 'web',
  })
  for (const absent of [
    'entrypoint',
    'args',
    'hostname',
    'user',
    'workdir',
    'stopSignal',
    'init',
  ]) {
    t.notOk(absent in config, absent)
  }
})

t.test("the cluster's labels win over the user's", async (t) => {
  const labels = { 'com.docker.swarm.task.id': 'forged' }
  const spec = taskSpec.parse({ container: { image: 'x', labels } })
  t.equal(containerConfig(task, spec, host).labels['com.docker.swarm.task.id'], 'abc')
})

t.test('everything of a spec reaches the container', async (t) => {
  const spec = taskSpec.parse({
    container: {
      image: 'x',
      command: ['/run'],
      args: ['--fast'],
      hostname: '{{.Service.Name}}-{{.Task.Slot}}',
      env: ['NODE={{.Node.Hostname}}', 'TIER={{index .Service.Labels "tier"}}', 'PLAIN=1'],
      workdir: '/srv',
      user: 'www:www',
      init: true,
      tty: true,
      openStdin: true,
      readOnly: true,
      stopSignal: 'SIGQUIT',
      stopGraceMs: 500,
      hosts: ['db:10.1.1.1', 'six:fd00::1'],
      mounts: [
        { kind: 'bind', source: '/data/{{.Task.Slot}}', target: '/data', bindCreate: true },
        { kind: 'volume', target: '/anonymous' },
        { kind: 'volume', source: 'v', target: '/named', volumeNoCopy: true },
        { kind: 'tmpfs', target: '/tmp', tmpfsSizeBytes: 4096 },
      ],
    },
    limits: { memoryBytes: 1e8 },
    reservations: { memoryBytes: 5e7 },
    ports: [
      { mode: 'host', targetPort: 80, publishedPort: 8080 },
      { mode: 'ingress', targetPort: 80, publishedPort: 9090 },
    ],
  })
  t.match(containerConfig(task, spec, host), {
    entrypoint: ['/run'],
    args: ['--fast'],
    hostname: 'web-3',
    env: ['NODE=w1', 'TIER=front end', 'PLAIN=1'],
    workdir: '/srv',
    user: 'www:www',
    init: true,
    tty: true,
    openStdin: true,
    readOnly: true,
    stopSignal: 'SIGQUIT',
    stopGraceMs: 500,
    hosts: ['10.1.1.1 db', 'fd00::1 six'],
    resources: { memoryBytes: 1e8 },
    mounts: [
      { kind: 'bind', source: '/data/3', target: '/data', createSource: true },
      { kind: 'volume', target: '/anonymous', name: undefined },
      { kind: 'volume', name: 'v', target: '/named', noCopy: true },
      { kind: 'tmpfs', target: '/tmp', sizeBytes: 4096 },
    ],
    network: {
      kind: 'attached',
      ports: [{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 }],
    },
  })
})

t.test('what logs tell of the container is what it gets', async (t) => {
  const logOf = (options: Readonly<Record<string, string>>) => {
    const logDriver = { name: 'json-file', options }
    const env = ['PLACE={{.Task.Slot}}']
    const spec = taskSpec.parse({
      container: { image: 'x', env, labels: { mine: '1' }, logDriver },
    })
    return containerConfig(task, spec, host).log
  }
  t.same(logOf({ labels: 'mine,com.docker.swarm.service.name', env: 'PLACE' }), {
    kind: 'files',
    attributes: { PLACE: '3', 'com.docker.swarm.service.name': 'web', mine: '1' },
  })
  t.same(logOf({}), { kind: 'files' })
})

t.test('an unknown placeholder is refused with its place and what there is', async (t) => {
  const spec = taskSpec.parse({ container: { image: 'x', env: ['A=1', 'B={{.Nod.ID}}'] } })
  t.throws(() => containerConfig(task, spec, host), {
    code: 'INVALID_ARGUMENT',
    message: /^env B: template: no field "Nod" here: known fields are Node, Service, Task/,
  })
})

t.test('a hostname of a template is as long as what comes of it, and no longer', async (t) => {
  const hostname = (text: string): string | undefined => {
    const spec = taskSpec.parse({ container: { image: 'x', hostname: text } })
    return containerConfig(task, spec, host).hostname
  }
  const long = '{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}.{{.Node.Platform.OS}}.example'
  t.ok(long.length > 63)
  t.equal(hostname(long), 'web-3-w1.linux.example')
  const letters = 'x'.repeat(62)
  t.equal(hostname(`${letters}{{.Node.Hostname}}`), `${letters}w1`)
  t.throws(() => hostname(`${letters}{{.Service.Name}}`), {
    code: 'INVALID_ARGUMENT',
    message: /^hostname: "x+web" has 65 characters, and at most 64 are possible/,
  })
})

t.test(
  'swarm-semantics 5.3: what a task holds of generic resources is in its environment',
  async (t) => {
    const generic = [
      { kind: 'gpu', count: 2, names: ['GPU-a', 'GPU-b'] },
      { kind: 'lane', count: 3, names: [] },
    ]
    const spec = taskSpec.parse({ container: { image: 'x', env: ['A=1'] } })
    const { env } = containerConfig(anAssignedTask({ id: 'abc', generic }), spec, host)
    t.same(env, ['A=1', 'DOCKER_RESOURCE_GPU=GPU-a,GPU-b', 'DOCKER_RESOURCE_LANE=3'])
  },
)
