// Each field of a spec is one of the first version, or has the feature level that it came with (decision 0069).
import t from 'tap'
import {
  connectionsLevel,
  featuresOfService,
  featuresOfTask,
  networksLevel,
  optionsLevel,
} from '../../../../proto/objects/index.ts'
import { mountSpec } from '../../../../proto/spec/mount-spec.ts'
import {
  containerSpec,
  networkUse,
  resourceSpec,
  type ServiceSpecInput,
  serviceSpec,
  taskSpec,
} from '../../../../proto/spec/service-spec.ts'

type TaskInput = ServiceSpecInput['task']
type ContainerInput = TaskInput['container']

const container = (more: Partial<ContainerInput>): Partial<TaskInput> => ({
  container: { image: 'hello', ...more },
})
const mount = (more: object): Partial<TaskInput> =>
  container({ mounts: [{ source: 'data', target: '/data', ...more }] })

/** Schema and field -> a task that says it, and what it needs. */
const rows: readonly (readonly [string, Partial<TaskInput>, string, number])[] = [
  ['task.networks', { networks: [{ target: 'net' }] }, 'networks of the swarm', networksLevel],
  ['task.ports', { ports: [{ targetPort: 80 }] }, 'networks of the swarm', networksLevel],
  [
    'task.networks',
    { networks: [{ target: 'host' }] },
    'networks "host", "none" or "bridge"',
    connectionsLevel,
  ],
  ['container.secrets', container({ secrets: [{ source: 'db' }] }), 'secrets or configs', 5],
  ['container.configs', container({ configs: [{ source: 'cfg' }] }), 'secrets or configs', 5],
  ['container.healthcheck', container({ healthcheck: { test: ['NONE'] } }), 'health checks', 5],
  ['container.healthcheck', container({ healthcheck: { retries: 2 } }), 'health checks', 5],
  ['container.openStdin', container({ openStdin: true }), 'open standard input', 5],
  ['mount.bindNonRecursive', mount({ bindNonRecursive: true }), 'options of mounts', 5],
  ['mount.readOnlyNonRecursive', mount({ readOnlyNonRecursive: true }), 'options of mounts', 5],
  ['mount.readOnlyForceRecursive', mount({ readOnlyForceRecursive: true }), 'options of mounts', 5],
  ['mount.volumeLabels', mount({ volumeLabels: { a: '1' } }), 'options of mounts', 5],
  ['mount.volumeDriver', mount({ volumeDriver: 'local' }), 'options of mounts', 5],
  ['mount.volumeOptions', mount({ volumeOptions: { type: 'tmpfs' } }), 'options of mounts', 5],
  ['mount.volumeSubpath', mount({ volumeSubpath: 'a' }), 'options of mounts', 5],
  ['mount.volumeAffinity', mount({ volumeAffinity: 'slot' }), 'options of mounts', 5],
  ['mount.consistency', mount({ consistency: 'cached' }), 'consistency of mounts', 8],
  [
    'resources.generic',
    { reservations: { generic: [{ kind: 'gpu', count: 1 }] } },
    'generic resources',
    5,
  ],
  ['container.logDriver', container({ logDriver: { name: 'none' } }), 'log drivers', 5],
  ['container.noNewPrivileges', container({ noNewPrivileges: true }), 'no-new-privileges', 5],
  ['task.dns', { dns: { search: ['example.org'] } }, 'DNS settings', 5],
  ['task.oomScoreAdj', { oomScoreAdj: -1 }, 'OOM preferences', 5],
  ['container.security', container({ security: { seccomp: 'unconfined' } }), 'security options', 6],
  ['container.runtime', container({ runtime: 'runc' }), 'runtimes', 7],
  ['task.tuning', { tuning: { cpus: '0' } }, 'swap, cpuset or disk settings', 6],
]

t.test('nodes must know ports in host mode on IPv6 or with source ranges', async (t) => {
  const used = (port: { readonly bindAddress?: string; readonly sources?: string[] }): number =>
    featuresOfTask(specWith({ ports: [{ targetPort: 80, mode: 'host', ...port }] }).task).length
  t.equal(used({ sources: ['10.0.0.0/8'] }), 1)
  t.equal(used({ bindAddress: '::' }), 1)
  t.equal(used({ bindAddress: '10.0.0.5' }), 0)
  t.match(
    featuresOfTask(specWith({ ports: [{ targetPort: 80, sources: ['10.0.0.0/8'] }] }).task),
    [{ words: 'networks of the swarm' }],
    'in the mesh they were there from its beginning',
  )
})

/** What programs of the first feature level kept. */
const ofFirstVersion: Readonly<Record<string, readonly string[]>> = {
  task: ['container', 'limits', 'reservations', 'restart', 'placement', 'forceUpdate'],
  container: [
    ...['image', 'labels', 'command', 'args', 'hostname', 'env', 'workdir', 'user', 'groups'],
    ...['init', 'tty', 'readOnly', 'stopSignal', 'stopGraceMs', 'mounts', 'capAdd', 'capDrop'],
    ...['hosts', 'sysctls', 'ulimits'],
  ],
  mount: [
    ...['kind', 'source', 'target', 'readOnly', 'bindPropagation', 'bindCreate', 'volumeNoCopy'],
    ...['tmpfsSizeBytes', 'tmpfsMode'],
  ],
  resources: ['nanoCpus', 'memoryBytes', 'pids'],
  networkUse: ['target', 'aliases'],
}
/** Managers alone go by them. */
const ofManagers = ['task.dependsOn']
/** With more than one level: they have tests of their own. */
const ofSeveral = ['networkUse.isLocal', 'networkUse.driverOptions']

function specWith(task: Partial<TaskInput>) {
  return serviceSpec.parse({ name: 'web', task: { container: { image: 'hello' }, ...task } })
}

for (const [field, task, words, level] of rows) {
  t.test(`${field} needs ${words}, level ${level}`, async (t) => {
    const spec = specWith(task)
    t.strictSame(featuresOfTask(spec.task), [{ words, level }])
    t.strictSame(featuresOfService(spec), [{ words, level }], 'managers must know it too')
  })
}

t.test('what was there from the beginning needs nothing', async (t) => {
  const spec = specWith({
    container: { image: 'hello', mounts: [{ source: 'data', target: '/data' }] },
    ports: [{ targetPort: 80, publishedPort: 8080, mode: 'host' }],
  })
  t.strictSame(featuresOfService(spec), [])
})

t.test('one driver came later than the others', async (t) => {
  const spec = specWith(container({ logDriver: { name: 'journald' } }))
  t.match(featuresOfTask(spec.task), [
    { words: 'log drivers', level: 5 },
    { words: 'the log driver journald', level: 7 },
  ])
})

t.test('details of logs came later than log drivers', async (t) => {
  const spec = specWith(container({ logDriver: { name: 'json-file', options: { labels: 'a' } } }))
  t.match(featuresOfTask(spec.task), [
    { words: 'log drivers', level: 5 },
    { words: 'details of logs', level: 8 },
  ])
})

t.test('name servers beside networks of the swarm came later than those without', async (t) => {
  const dns = { nameservers: ['192.0.2.1'] }
  const levels = (networks: readonly { target: string }[]) =>
    featuresOfTask(specWith({ dns, networks }).task).filter(({ words }) => /server|DNS/.test(words))
  t.match(levels([{ target: 'host' }]), [{ words: 'DNS settings', level: 5 }])
  t.match(levels([{ target: 'back' }]), [{}, { words: 'name servers beside networks', level: 8 }])
})

t.test('options of an interface came later than networks', async (t) => {
  const spec = specWith({ networks: [{ target: 'net', driverOptions: { a: '1' } }] })
  t.match(featuresOfTask(spec.task), [
    { words: 'networks of the swarm', level: 2 },
    { words: 'driver options of networks', level: 8 },
  ])
})

t.test('networks of the driver bridge came later than those over all nodes', async (t) => {
  const levels = (networks: readonly { target: string; isLocal?: true }[]) =>
    featuresOfService(specWith({ networks }))
  const swarm = { words: 'networks of the swarm', level: networksLevel }
  t.strictSame(levels([{ target: 'back' }]), [swarm])
  t.strictSame(levels([{ target: 'back' }, { target: 'near', isLocal: true }]), [
    swarm,
    { words: 'networks of the driver bridge', level: 8 },
  ])
})

t.test('users of the node came later than other rights', async (t) => {
  const spec = specWith(container({ security: { hostUsers: true } }))
  t.match(featuresOfTask(spec.task), [
    { words: 'security options', level: 6 },
    { words: 'users of the node (--userns host)', level: 8 },
  ])
})

t.test('what managers alone go by is nothing that a node needs', async (t) => {
  const spec = specWith({ dependsOn: [{ service: 'db' }] })
  t.strictSame(featuresOfTask(spec.task), [])
  t.strictSame(featuresOfService(spec), [{ words: 'depends_on', level: optionsLevel }])
  const words = 'update or rollback policies'
  for (const field of ['update', 'rollback'] as const) {
    const other = serviceSpec.parse({ ...spec, task: specWith({}).task, [field]: { delayMs: 1 } })
    t.strictSame(featuresOfService(other), [{ words, level: optionsLevel }])
  }
})

t.test('a field that is added is given a level here', async (t) => {
  const schemas = {
    task: taskSpec.unwrap().shape,
    container: containerSpec.unwrap().shape,
    mount: mountSpec.unwrap().shape,
    resources: resourceSpec.unwrap().shape,
    networkUse: networkUse.unwrap().shape,
  }
  for (const [schema, shape] of Object.entries(schemas)) {
    const known = [...rows.map(([field]) => field), ...ofManagers, ...ofSeveral]
    const missing = Object.keys(shape).filter(
      (field) => !ofFirstVersion[schema]?.includes(field) && !known.includes(`${schema}.${field}`),
    )
    t.strictSame(missing, [], `fields of ${schema} that older programs would drop`)
  }
})
