// Services through the control API: create, update, remove, read, refuse.
import t from 'tap'
import { rollBack } from '../../../../manager/controlapi/roll-back.ts'
import { newRollback } from '../../../../manager/orchestrator/update.ts'
import { hashTaskSpec } from '../../../../proto/codec/spec-hash.ts'
import { taskSpecFromProto } from '../../../../proto/codec/task-spec.ts'
import type { Filter } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { type Service, serviceId, TaskState } from '../../../../proto/objects/index.ts'
import { serviceSpec } from '../../../../proto/spec/service-spec.ts'
import {
  aControlWorld,
  addTask,
  aRequestId,
  type ControlWorld,
  collect,
  createService,
  type ServiceWish,
  specOf,
} from '../../../support/control.ts'
import { aNetwork, aService, aTask } from '../../../support/objects.ts'

async function servicesOf(w: ControlWorld, filters: readonly Filter[] = []) {
  const messages = await collect(w.api.listServices(w.caller, { filters }, w.signal))
  return messages.flatMap(({ services }) => services)
}

t.test('a created service is stored with its task spec and comes back', async (t) => {
  const w = await aControlWorld()
  const service = await createService(w, { name: 'web', mode: { kind: 'replicated', replicas: 3 } })
  t.match(service.spec, { name: 'web', mode: { value: { replicas: 3 } } })
  t.equal(service.specVersion, 1)
  t.ok((service.meta?.version ?? 0) > 0)
  t.ok((service.meta?.createdAtMs ?? 0) > 0)
  const record = w.store.view((tx) => tx.get('taskSpecs', service.specHash))
  t.equal(record === undefined ? '' : hashTaskSpec(record.spec), service.specHash)
  const { service: view } = await w.api.getService(w.caller, { reference: 'web' }, w.signal)
  t.strictSame(view?.service, service)
  t.equal(view?.desiredTasks, 3)
  t.equal(view?.runningTasks, 0)
  t.equal(w.readBarriers, 1, 'reads are linearizable')
})

t.test('a repeated request is applied once and answered with the first result', async (t) => {
  const w = await aControlWorld()
  const request = { requestId: aRequestId(), spec: specOf({ name: 'web' }) }
  const first = await w.api.createService(w.caller, request, w.signal)
  const second = await w.api.createService(w.caller, request, w.signal)
  t.equal(second.service?.id, first.service?.id)
  const services = await servicesOf(w)
  t.equal(services.length, 1)
})

t.test('names are unique whatever their case', async (t) => {
  const w = await aControlWorld()
  await createService(w, { name: 'web' })
  await t.rejects(createService(w, { name: 'web' }), {
    code: 'NAME_CONFLICT',
    message: /name "web" is already in use by service \w{25}\. Choose another with --name/,
  })
  await t.rejects(createService(w, { name: 'WEB' }), {
    code: 'NAME_CONFLICT',
    message: /differ by more than case/,
  })
})

t.test('an update keeps the previous spec and counts generations of tasks', async (t) => {
  const w = await aControlWorld()
  const service = await createService(w, { name: 'web' })
  const update = async (wish: ServiceWish, version: number) =>
    (
      await w.api.updateService(
        w.caller,
        {
          requestId: aRequestId(),
          serviceId: service.id,
          version,
          spec: specOf(wish),
          rollback: false,
        },
        w.signal,
      )
    ).service
  const scaled = await update(
    { name: 'web', mode: { kind: 'replicated', replicas: 5 } },
    service.meta?.version ?? 0,
  )
  t.equal(scaled?.specVersion, 1, 'scaling makes no new generation')
  t.equal(scaled?.specHash, service.specHash)
  t.match(scaled?.previousSpec, { mode: { value: { replicas: 1 } } })
  const changed = await update(
    { name: 'web', container: { image: 'nginx:2' } },
    scaled?.meta?.version ?? 0,
  )
  t.equal(changed?.specVersion, 2)
  t.not(changed?.specHash, service.specHash)
  t.ok(w.store.view((tx) => tx.get('taskSpecs', changed?.specHash ?? '')))
  await t.rejects(update({ name: 'web' }, scaled?.meta?.version ?? 0), {
    code: 'OUT_OF_SEQUENCE',
    message: /service "web" changed since it was read/,
  })
  await t.rejects(update({ name: 'other' }, changed?.meta?.version ?? 0), {
    message: /field name cannot change to "other"/,
  })
  await t.rejects(
    w.api.updateService(
      w.caller,
      {
        requestId: '',
        serviceId: 'nope',
        version: 1,
        spec: specOf({ name: 'x' }),
        rollback: false,
      },
      w.signal,
    ),
    { code: 'NOT_FOUND' },
  )
})

t.test('a service goes back to what it was before, and a second time returns', async (t) => {
  const w = await aControlWorld()
  const service = await createService(w, { name: 'web', container: { image: 'nginx:1' } })
  const write = async (wish: ServiceWish | undefined) => {
    const version = w.store.view((tx) => tx.get('services', service.id))?.version ?? 0
    const spec = wish && specOf(wish)
    const rollback = wish === undefined
    const request = { requestId: aRequestId(), serviceId: service.id, version, spec, rollback }
    return (await w.api.updateService(w.caller, request, w.signal)).service
  }
  await t.rejects(write(undefined), {
    code: 'FAILED_PRECONDITION',
    message: /service "web" does not have a previous spec/,
  })
  const second = await write({ name: 'web', container: { image: 'nginx:2' } })
  t.equal(second?.updateStatus, undefined)
  const back = await write(undefined)
  t.match(back, {
    spec: { task: { container: { image: 'nginx:1' } } },
    previousSpec: { task: { container: { image: 'nginx:2' } } },
    updateStatus: { state: 'rollback_started', message: 'manually requested rollback', slots: 0 },
    specVersion: 3,
  })
  t.equal(back?.specHash, service.specHash)
  t.match(await write(undefined), { spec: { task: { container: { image: 'nginx:2' } } } })
  const scaled = await write({ name: 'web', mode: { kind: 'replicated', replicas: 2 } })
  t.equal(
    scaled?.updateStatus,
    undefined,
    'another update has no status until it replaces something',
  )
})

t.test('an update that failed goes back, or says why it cannot', async (t) => {
  const w = await aControlWorld()
  await w.store.update((tx) => tx.create('networks', aNetwork({ id: 'in', isIngress: true })))
  const { id } = await createService(w, { name: 'web', container: { image: 'nginx:1' } })
  const status = newRollback(1, 'update rolled back')
  const service = () => w.store.view((tx) => tx.get('services', id))
  const go = (version: number) =>
    w.store.update((tx) => rollBack(tx, { id: serviceId(id), version, updateStatus: status }))
  await t.rejects(go(service()?.version ?? 0), { code: 'OUT_OF_SEQUENCE' }, 'there is none before')
  const change = async (fields: Partial<Service>) => {
    const now = service()
    if (now !== undefined)
      await w.store.update((tx) => tx.update('services', { ...now, ...fields }))
  }
  const spec = (image: string, publishedPort = 0) =>
    serviceSpec.parse({
      name: 'web',
      task: { container: { image }, ports: [{ targetPort: 80, publishedPort }] },
    })
  await change({ spec: spec('nginx:2'), previousSpec: spec('nginx:1') })
  await t.rejects(go(0), { code: 'OUT_OF_SEQUENCE' })
  await go(service()?.version ?? 0)
  t.match(service(), {
    spec: { task: { container: { image: 'nginx:1' } } },
    previousSpec: undefined,
    updateStatus: status,
  })
  const ports = [{ protocol: 'tcp' as const, targetPort: 80, publishedPort: 81 }]
  await w.store.update((tx) =>
    tx.create('services', aService({ id: 'other', endpoint: { ports } })),
  )
  await change({ previousSpec: spec('nginx:3', 81) })
  await go(service()?.version ?? 0)
  t.match(service()?.updateStatus, { state: 'rollback_paused', message: /no longer fits: .*81/ })
  t.equal(service()?.spec.task.container.image, 'nginx:1')
  const onNetwork = serviceSpec.parse({
    name: 'web',
    task: { container: { image: 'nginx:4' }, networks: [{ target: 'gone' }] },
  })
  await change({ previousSpec: onNetwork })
  await go(service()?.version ?? 0)
  t.match(service()?.updateStatus, { state: 'rollback_paused', message: /network "gone"/ })
  await w.store.update((tx) => tx.remove('services', id))
  await t.rejects(go(1), { code: 'NOT_FOUND' })
})

t.test('removing by name, prefix or id; what is gone is not found', async (t) => {
  const w = await aControlWorld()
  for (const name of ['a', 'b', 'c']) await createService(w, { name })
  const services = await servicesOf(w)
  const [a, b, c] = services.map((view) => view.service)
  const remove = (reference: string) =>
    w.api.removeService(w.caller, { requestId: aRequestId(), reference }, w.signal)
  t.strictSame(await remove('a'), { serviceId: a?.id })
  t.strictSame(await remove(b?.id ?? ''), { serviceId: b?.id })
  t.strictSame(await remove((c?.id ?? '').slice(0, 10)), { serviceId: c?.id })
  await t.rejects(remove('a'), {
    code: 'NOT_FOUND',
    message: /service "a" not found: "tsswarm service ls" lists/,
  })
  await t.rejects(remove(''), { code: 'INVALID_ARGUMENT' })
})

t.test('a mistyped name is answered with the nearest there is', async (t) => {
  const w = await aControlWorld()
  for (const name of ['web', 'database']) await createService(w, { name })
  const remove = (reference: string) =>
    w.api.removeService(w.caller, { requestId: aRequestId(), reference }, w.signal)
  await t.rejects(remove('databse'), {
    code: 'NOT_FOUND',
    message: /^service "databse" not found \(did you mean "database"\?\): "tsswarm service ls"/,
  })
  await t.rejects(remove('cache'), { message: /^service "cache" not found: / })
})

t.test('only tasks that run and are meant to are counted as running', async (t) => {
  const w = await aControlWorld()
  const service = await createService(w, { name: 'web', mode: { kind: 'replicated', replicas: 4 } })
  const task = { service: service.id, specHash: service.specHash, node: 'n' }
  await addTask(w, aTask({ ...task, id: 't1', slot: 1 }))
  await addTask(w, aTask({ ...task, id: 't2', slot: 2, state: TaskState.STARTING }))
  await addTask(w, aTask({ ...task, id: 't3', slot: 3, desiredState: TaskState.SHUTDOWN }))
  await addTask(w, aTask({ ...task, id: 't4', slot: 4, service: 'other' }))
  const { service: view } = await w.api.getService(w.caller, { reference: service.id }, w.signal)
  t.match(view, { runningTasks: 1, desiredTasks: 4 })
})

t.test('an id prefix that several share is ambiguous', async (t) => {
  const w = await aControlWorld()
  for (let i = 0; i < 40; i += 1) await createService(w, { name: `s${i}` })
  const ids = w.store.view((tx) => [...tx.all('services')].map((service) => service.id))
  const prefix = [...'0123456789abcdefghijklmnopqrstuvwxyz'].find(
    (letter) => ids.filter((id) => id.startsWith(letter)).length > 1,
  )
  t.ok(prefix, 'forty ids share a first letter somewhere')
  const count = ids.filter((id) => id.startsWith(prefix ?? '?')).length
  await t.rejects(w.api.getService(w.caller, { reference: prefix ?? '' }, w.signal), {
    code: 'AMBIGUOUS',
    message: `service ${prefix} is ambiguous (${count} matches found): give its full id`,
  })
})

t.test('filters', async (t) => {
  const w = await aControlWorld()
  const web = await createService(w, { name: 'web', labels: { tier: 'front', x: '' } })
  await createService(w, { name: 'worker', labels: { tier: 'back' } })
  const names = async (...filters: readonly (readonly [string, ...string[]])[]) => {
    const wanted = filters.map(([key, ...values]) => ({ key, values }))
    const services = await servicesOf(w, wanted)
    return services.map((view) => view.service?.spec?.name)
  }
  t.strictSame(await names(), ['web', 'worker'])
  t.strictSame(await names(['name', 'w']), ['web', 'worker'])
  t.strictSame(await names(['name', 'WEB', 'zzz']), ['web'])
  t.strictSame(await names(['label', 'tier=back']), ['worker'])
  t.strictSame(await names(['label', 'x']), ['web'])
  t.strictSame(await names(['label', 'tier'], ['id', web.id.slice(0, 8)]), ['web'])
  t.strictSame(await names(['mode', 'replicated']), ['web', 'worker'])
  t.strictSame(await names(['mode', 'global']), [])
  await t.rejects(names(['foo', 'x']), {
    code: 'INVALID_ARGUMENT',
    message: 'invalid filter "foo": services are filtered by id, name, label, mode',
  })
  await t.rejects(names(['mode', 'x']), { message: /value must be one of replicated, global/ })
})

t.test('specs that no task could follow are refused with field, reason and remedy', async (t) => {
  const w = await aControlWorld()
  const cases: readonly (readonly [Omit<ServiceWish, 'name'>, RegExp])[] = [
    [{ container: { image: 'Nginx' } }, /task\.container\.image \("Nginx"\) is no image reference/],
    [{ container: { stopSignal: 'SIGFOO' } }, /stopSignal \("SIGFOO"\) is no signal/],
    [{ container: { capAdd: ['CAP_FLY'] } }, /\("CAP_FLY"\) is no capability/],
    [{ container: { hosts: ['db'] } }, /hosts \("db"\) must be HOST:IP/],
    [
      { container: { ulimits: [{ name: 'nofile', soft: 2, hard: 1 }] } },
      /soft limit above the hard one: 2 > 1/,
    ],
    [
      {
        container: {
          ulimits: [
            { name: 'core', soft: 1, hard: 1 },
            { name: 'core', soft: 1, hard: 2 },
          ],
        },
      },
      /\(core\) is given twice/,
    ],
    [
      {
        container: {
          mounts: [
            { source: 'a', target: '/d' },
            { source: 'b', target: '/d/' },
          ],
        },
      },
      /mount two things on "\/d"/,
    ],
    [{ container: { mounts: [{ source: 'a', target: '/' }] } }, /mounts\[0\] has the target "\/"/],
    [
      { container: { mounts: [{ kind: 'bind', source: 'rel', target: '/d' }] } },
      /of type bind has the source "rel"/,
    ],
    [
      { container: { mounts: [{ kind: 'volume', source: '/a', target: '/d' }] } },
      /write type=bind/,
    ],
    [
      { container: { mounts: [{ kind: 'volume', source: 'a b', target: '/d' }] } },
      /volume name "a b"/,
    ],
    [
      { container: { mounts: [{ kind: 'tmpfs', source: 'x', target: '/d' }] } },
      /of type tmpfs has a source/,
    ],
    [
      { task: { limits: { nanoCpus: 1_000 } } },
      /limits\.nanoCpus \(0\.000001 CPUs\) must be at least 0\.001 CPUs/,
    ],
    [
      { task: { reservations: { memoryBytes: 4096 } } },
      /reservations\.memoryBytes \(4KiB\) must be at least 4MiB/,
    ],
    [
      { task: { limits: { memoryBytes: 2 ** 23 }, reservations: { memoryBytes: 2 ** 24 } } },
      /\(16MiB\) is above the limit \(8MiB\)/,
    ],
    [
      { task: { placement: { constraints: ['node.role=manager'] } } },
      /constraint "node\.role=manager" has no operator: write KEY==VALUE/,
    ],
    [{ task: { placement: { spread: ['zone'] } } }, /placement preference "zone" names no label/],
    [
      {
        task: {
          ports: [
            { mode: 'host', targetPort: 80, publishedPort: 8080 },
            { mode: 'host', targetPort: 81, publishedPort: 8080 },
          ],
        },
      },
      /publishes port tcp\/8080 a second time/,
    ],
    [
      {
        task: {
          ports: [
            { mode: 'host', targetPort: 80, publishedPort: 8080, bindAddress: '10.0.0.1' },
            { mode: 'host', targetPort: 81, publishedPort: 8080 },
          ],
        },
      },
      /a second time/,
    ],
    [
      { task: { ports: [{ mode: 'host', targetPort: 80, bindAddress: 'eth0' }] } },
      /bindAddress \("eth0"\) must be an IP address/,
    ],
  ]
  for (const [wish, message] of cases) {
    await t.rejects(
      createService(w, { name: 'web', ...wish }),
      { code: 'INVALID_ARGUMENT', message },
      String(message),
    )
  }
  t.equal(
    w.store.view((tx) => tx.count('services')),
    0,
    'nothing was changed',
  )
  t.equal(
    w.store.view((tx) => tx.count('taskSpecs')),
    0,
  )
})

t.test('what only looks wrong is allowed', async (t) => {
  const w = await aControlWorld()
  const allowed: readonly Omit<ServiceWish, 'name'>[] = [
    {
      container: {
        image: 'registry.example.com:5000/team/app:v1.2@sha256:'.concat('a'.repeat(64)),
      },
    },
    {
      container: {
        image: 'localhost/a__b',
        stopSignal: '9',
        capAdd: ['all', 'net_admin'],
        capDrop: ['CAP_CHOWN'],
      },
    },
    {
      container: {
        stopSignal: 'SIGRTMIN+3',
        hosts: ['db:10.0.0.1', 'six:::1'],
        ulimits: [{ name: 'core', soft: 1, hard: -1 }],
      },
    },
    {
      container: {
        mounts: [
          { source: 'a', target: '/d' },
          { kind: 'tmpfs', target: '/d/e' },
          { kind: 'volume', target: '/anonymous' },
        ],
      },
    },
    {
      task: {
        ports: [
          { mode: 'host', targetPort: 80, publishedPort: 8080 },
          { mode: 'host', targetPort: 80, publishedPort: 8080, protocol: 'udp' },
          { mode: 'host', targetPort: 80 },
          { mode: 'host', targetPort: 80 },
        ],
      },
    },
    {
      task: {
        ports: [
          { mode: 'host', targetPort: 80, publishedPort: 1, bindAddress: '10.0.0.1' },
          { mode: 'host', targetPort: 80, publishedPort: 1, bindAddress: '10.0.0.2' },
        ],
      },
    },
    { task: { limits: { nanoCpus: 1_000_000, memoryBytes: 4 * 2 ** 20 } } },
    { mode: { kind: 'replicated', replicas: 0 } },
  ]
  for (const [i, wish] of allowed.entries()) await createService(w, { name: `s${i}`, ...wish })
  t.equal(
    w.store.view((tx) => tx.count('services')),
    allowed.length,
  )
})

t.test('a constraint that never matches is warned of', async (t) => {
  const w = await aControlWorld()
  const spec = specOf({ name: 'web', task: { placement: { constraints: ['node.rack==1'] } } })
  const { warnings } = await w.api.createService(
    w.caller,
    { requestId: aRequestId(), spec },
    w.signal,
  )
  t.strictSame(warnings, ['constraint "node.rack==1" never matches: nodes have no "node.rack"'])
})

t.test('a request without a spec, or with one a schema refuses', async (t) => {
  const w = await aControlWorld()
  await t.rejects(w.api.createService(w.caller, { requestId: '', spec: undefined }, w.signal), {
    code: 'INVALID_ARGUMENT',
  })
  const absurd = {
    ...specOf({ name: 'web' }),
    mode: { $case: 'replicated', value: { replicas: 4e9 } },
  } as const
  await t.rejects(w.api.createService(w.caller, { requestId: '', spec: absurd }, w.signal), {
    message: /service "web" is not valid: mode\.replicas \(4000000000\) must be at most 100000/,
  })
})

t.test('equal task specs are kept once', async (t) => {
  const w = await aControlWorld()
  const a = await createService(w, { name: 'a' })
  const b = await createService(w, { name: 'b' })
  t.equal(a.specHash, b.specHash)
  t.equal(
    w.store.view((tx) => tx.count('taskSpecs')),
    1,
  )
  t.ok(a.spec?.task && hashTaskSpec(taskSpecFromProto(a.spec.task)) === a.specHash)
})

t.test('what a service depends on: others, once, in no circle; it may come later', async (t) => {
  const w = await aControlWorld()
  const depending = (name: string, ...names: readonly string[]) =>
    specOf({ name, task: { dependsOn: names.map((service) => ({ service })) } })
  const create = (spec: ReturnType<typeof specOf>) =>
    w.api.createService(w.caller, { requestId: aRequestId(), spec }, w.signal)
  const { service, warnings } = await create(depending('web', 'api'))
  t.strictSame(warnings, ['it waits for service "api", which does not exist yet'])
  await create(depending('api', 'db'))
  await t.rejects(create(depending('db', 'Web')), {
    code: 'INVALID_ARGUMENT',
    message: /would wait for one another: "db" -> "Web" -> "api" -> "db"/,
  })
  await create(depending('db'))
  const db = w.store.view((tx) => [...tx.find('services', 'byName', 'db')][0])
  const request = { serviceId: db?.id ?? '', version: db?.version ?? 0, rollback: false }
  const update = { ...request, requestId: aRequestId(), spec: depending('db', 'web') }
  await t.rejects(w.api.updateService(w.caller, update, w.signal), { code: 'INVALID_ARGUMENT' })
  t.ok(service)
  const bad: readonly (readonly [ReturnType<typeof specOf>, RegExp])[] = [
    [depending('self', 'Self'), /dependsOn names the service itself/],
    [depending('twice', 'db', 'DB'), /dependsOn names "db" twice/],
  ]
  for (const [spec, message] of bad) await t.rejects(create(spec), { message })
})

t.test('mounts: names, drivers, options, subpaths, recursion and affinity', async (t) => {
  const w = await aControlWorld()
  const bind = { kind: 'bind', source: '/a', target: '/d' } as const
  const cases: readonly (readonly [object, RegExp | undefined])[] = [
    [{ source: 'db-{{.Task.Slot}}', target: '/d', volumeOptions: { type: 'nfs' } }, undefined],
    [{ source: 'a', target: '/d', volumeDriver: 'local', volumeSubpath: 'x/y' }, undefined],
    [
      { source: 'a', target: '/d', volumeDriver: 'rexray' },
      /volume driver "rexray": there is "local"/,
    ],
    [{ source: 'a', target: '/d', volumeOptions: { size: '1' } }, /volume option "size"/],
    [{ source: 'a', target: '/d', volumeSubpath: '../x' }, /must stay inside the volume/],
    [{ source: 'a', target: '/d', volumeSubpath: '/x' }, /must stay inside the volume/],
    [{ target: '/d', volumeAffinity: 'slot' }, /has a volume affinity, but no name/],
    [{ source: 'a-{{.Node.ID}}', target: '/d', volumeAffinity: 'slot' }, /another volume for each/],
    [{ ...bind, readOnly: true, readOnlyNonRecursive: true }, undefined],
    [{ ...bind, readOnlyNonRecursive: true }, /needs readonly/],
    [
      { ...bind, readOnly: true, readOnlyNonRecursive: true, readOnlyForceRecursive: true },
      /choose one/,
    ],
    [
      { ...bind, readOnly: true, readOnlyForceRecursive: true, bindPropagation: 'rslave' },
      /needs bind-propagation=rprivate/,
    ],
    [
      { ...bind, readOnly: true, readOnlyForceRecursive: true, bindNonRecursive: true },
      /leaves out/,
    ],
  ]
  for (const [at, [mount, message]] of cases.entries()) {
    const container = { mounts: [mount as { target: string }] }
    const made = createService(w, { name: `web-${at}`, container })
    if (message === undefined) await t.resolves(made)
    else await t.rejects(made, { code: 'INVALID_ARGUMENT', message })
  }
})

t.test('name servers of one’s own are kept', async (t) => {
  const w = await aControlWorld()
  const dns = { nameservers: ['10.0.0.2'] }
  const { spec } = await createService(w, { name: 'b', task: { dns, oomScoreAdj: -5 } })
  t.match(spec?.task, { dns: { nameservers: ['10.0.0.2'], search: [] }, oomScoreAdj: -5 })
  const plain = await createService(w, { name: 'c' })
  t.equal(plain.spec?.task?.dns, undefined, 'what says nothing is not written')
})
