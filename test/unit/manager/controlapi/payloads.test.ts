// Secrets and configs through the control API, and services that have them (swarm-semantics 1.1, 2, 7.5).
import t from 'tap'
import { eventsOfChange } from '../../../../manager/events/event-of-change.ts'
import { reapPayloads } from '../../../../manager/loops/payload-reaper-loop.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import type { PayloadSpec, Service } from '../../../../proto/gen/tsswarm/v1/objects.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { TaskState } from '../../../../proto/objects/index.ts'
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
import { aCluster, aTask } from '../../../support/objects.ts'

type Kind = 'secret' | 'config'

function aSpec(name: string, data = 'data', more: Partial<PayloadSpec> = {}): PayloadSpec {
  return { name, labels: {}, data: Buffer.from(data), templateDriver: '', ...more }
}

async function create(w: ControlWorld, kind: Kind, spec: PayloadSpec, requestId = aRequestId()) {
  const method = kind === 'secret' ? w.api.createSecret : w.api.createConfig
  const { payload } = await method(w.caller, { requestId, spec }, w.signal)
  if (payload === undefined) throw new Error('no payload')
  return payload
}

async function update(w: ControlWorld, kind: Kind, spec: PayloadSpec, version = 0) {
  const method = kind === 'secret' ? w.api.updateSecret : w.api.updateConfig
  const request = { requestId: aRequestId(), reference: spec.name, version, spec }
  return await method(w.caller, request, w.signal)
}

async function get(w: ControlWorld, kind: Kind, reference: string) {
  const method = kind === 'secret' ? w.api.getSecret : w.api.getConfig
  return (await method(w.caller, { reference }, w.signal)).payload
}

async function list(w: ControlWorld, kind: Kind, allVersions = false, filter?: [string, string]) {
  const method = kind === 'secret' ? w.api.listSecrets : w.api.listConfigs
  const filters = filter === undefined ? [] : [{ key: filter[0], values: [filter[1]] }]
  const pages = await collect(method(w.caller, { filters, allVersions }, w.signal))
  return pages.flatMap(({ payloads }) => payloads)
}

const remove = async (w: ControlWorld, kind: Kind, reference: string) =>
  await (kind === 'secret' ? w.api.removeSecret : w.api.removeConfig)(
    w.caller,
    { requestId: aRequestId(), reference },
    w.signal,
  )

const withSecret = (source: string, name = 'web'): ServiceWish => ({
  name,
  container: { secrets: [{ source }] },
})

async function updateService(w: ControlWorld, service: Service, wish: ServiceWish | 'rollback') {
  const isRollback = wish === 'rollback'
  const version = w.store.view((tx) => tx.get('services', service.id))?.version ?? 0
  const request = {
    requestId: aRequestId(),
    serviceId: service.id,
    version,
    spec: isRollback ? undefined : specOf(wish),
    rollback: isRollback,
  }
  return (await w.api.updateService(w.caller, request, w.signal)).service
}

const textOf = (data: Uint8Array | undefined): string => Buffer.from(data ?? []).toString()

const sourcesOf = (w: ControlWorld, id: string) =>
  w.store.view((tx) => tx.get('services', id))?.spec.task.container.secrets.map((s) => s.source)

t.test('a secret is made once a request, and its data is in no answer', async (t) => {
  const w = await aControlWorld()
  const requestId = aRequestId()
  const secret = await create(w, 'secret', aSpec('db', 'top secret'), requestId)
  t.equal((await create(w, 'secret', aSpec('db', 'top secret'), requestId)).id, secret.id)
  const stored = w.store.view((tx) => tx.get('secrets', secret.id))
  t.equal(textOf(stored?.spec.data), 'top secret')
  for (const reference of ['db', 'DB', secret.id, secret.id.slice(0, 20)]) {
    t.match(await get(w, 'secret', reference), {
      payload: { id: secret.id, revision: 1, spec: { data: Buffer.alloc(0) } },
      present: true,
    })
  }
  const answers = [
    secret,
    await get(w, 'secret', 'db'),
    await list(w, 'secret'),
    await list(w, 'secret', true),
    await update(w, 'secret', aSpec('db', 'another top secret')),
  ]
  const sent = answers.map((answer) => JSON.stringify(answer, (_, v) => bytesAsText(v))).join()
  t.notMatch(sent, /top secret/)
})

function bytesAsText(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : value
}

t.test('a config answers with its data, a list of configs does not', async (t) => {
  const w = await aControlWorld()
  await create(w, 'config', aSpec('conf', 'a=1'))
  t.equal(textOf((await get(w, 'config', 'conf'))?.payload?.spec?.data), 'a=1')
  const [listed] = await list(w, 'config')
  t.equal(listed?.payload?.spec?.data.length, 0)
})

t.test('names and sizes that Swarm refuses are refused (swarm-semantics 1.1)', async (t) => {
  const w = await aControlWorld()
  const refused: readonly (readonly [Kind, PayloadSpec, RegExp])[] = [
    ['secret', aSpec(''), /secret "" is not valid: name .*must be 1 to 64 letters/],
    ['secret', aSpec('a b'), /name \("a b"\) must be 1 to 64 letters/],
    ['secret', aSpec('-a'), /begin and end with a letter or digit/],
    ['secret', aSpec('x'.repeat(65)), /must be 1 to 64 letters/],
    ['secret', aSpec('x', ''), /secret "x" is not valid: data must not be empty/],
    ['secret', aSpec('x', 'y'.repeat(500 * 1024)), /data must be less than 500 KiB/],
    ['config', aSpec('x', 'y'.repeat(1000 * 1024)), /data must be less than 1000 KiB/],
    ['config', aSpec('x', 'y', { templateDriver: 'jinja' }), /templateDriver .*"golang"/],
  ]
  for (const [kind, spec, message] of refused) {
    await t.rejects(create(w, kind, spec), { code: 'INVALID_ARGUMENT', message })
  }
  await create(w, 'secret', aSpec('x'.repeat(64), 'y'.repeat(500 * 1024 - 1)))
  await create(w, 'config', aSpec('a.b-c_D', 'y'.repeat(1000 * 1024 - 1)))
  await t.rejects(create(w, 'config', aSpec('A.b-c_D')), {
    code: 'NAME_CONFLICT',
    message: /config A\.b-c_D already exists \("a\.b-c_D": names must differ by more than case\)/,
  })
  await create(w, 'secret', aSpec('a.b-c_D'))
  await t.rejects(get(w, 'secret', 'nothing'), {
    code: 'NOT_FOUND',
    message: /secret "nothing" not found: "tsswarm secret ls"/,
  })
})

t.test('lists are filtered', async (t) => {
  const w = await aControlWorld()
  await create(w, 'secret', aSpec('one', '1', { labels: { tier: 'db' } }))
  const two = await create(w, 'secret', aSpec('onetwo', '2'))
  const names = async (key: string, value: string) =>
    (await list(w, 'secret', false, [key, value])).map((view) => view.payload?.spec?.name)
  t.same(await names('name', 'ONE'), ['one', 'onetwo'])
  t.same(await names('names', 'one'), ['one'])
  t.same(await names('label', 'tier=db'), ['one'])
  t.same(await names('id', two.id.slice(0, 8)), ['onetwo'])
  await t.rejects(list(w, 'secret', false, ['driver', 'x']), /invalid filter "driver": secrets/)
})

t.test('services keep the id and name of what they use, and hold it', async (t) => {
  const w = await aControlWorld()
  const secret = await create(w, 'secret', aSpec('db'))
  const config = await create(w, 'config', aSpec('conf'))
  const wish = {
    ...withSecret('db'),
    container: { secrets: [{ source: 'db' }], configs: [{ source: config.id, target: '/etc/c' }] },
  }
  const service = await createService(w, wish)
  t.match(service.spec?.task?.container, {
    secrets: [{ source: secret.id, name: 'db', target: 'db', uid: '0', gid: '0', mode: 0o444 }],
    configs: [{ source: config.id, name: 'conf', target: '/etc/c' }],
  })
  await t.rejects(remove(w, 'secret', 'db'), {
    code: 'IN_USE',
    message: /secret "db" is in use by the following service: "web"\. Take it .*--secret-rm db/,
  })
  await t.rejects(remove(w, 'config', 'conf'), /config "conf" is in use by .*"web"/)
  t.match(await get(w, 'secret', 'db'), { services: ['web'], tasks: 0 })
  await updateService(w, service, { name: 'web' })
  t.equal((await remove(w, 'secret', 'db')).payloadId, secret.id)
  await remove(w, 'config', 'conf')
  await t.rejects(updateService(w, service, 'rollback'), { code: 'NOT_FOUND', message: /secret/ })
})

t.test('a service cannot have what is not there, or two things in one place', async (t) => {
  const w = await aControlWorld()
  await create(w, 'secret', aSpec('db'))
  await create(w, 'config', aSpec('db'))
  await t.rejects(createService(w, withSecret('nothing')), /secret "nothing" not found/)
  const both = async (container: ServiceWish['container']) =>
    await createService(w, { name: 'web', ...(container && { container }) })
  await t.rejects(both({ secrets: [{ source: 'db' }, { source: 'db' }] }), {
    code: 'INVALID_ARGUMENT',
    message: /secret "db" has the target "\/run\/secrets\/db", which secret "db" has too/,
  })
  await t.rejects(
    both({
      secrets: [{ source: 'db', target: '/x//y' }],
      configs: [{ source: 'db', target: 'x/y' }],
    }),
    /config "db" has the target "\/x\/y", which secret "db" has too/,
  )
  await t.rejects(
    both({ configs: [{ source: 'db', target: '/x' }], mounts: [{ source: 'v', target: '/x/' }] }),
    /config "db" has the target "\/x", which a mount has too/,
  )
  await t.rejects(both({ configs: [{ source: 'db', target: '/' }] }), /which is no file/)
  await both({ secrets: [{ source: 'db' }, { source: 'db', target: 'again' }] })
})

t.test('before all managers know of them they are not made', async (t) => {
  const w = await aControlWorld()
  await w.store.update((tx) => {
    for (const cluster of tx.all('cluster')) tx.remove('cluster', cluster.id)
  })
  await w.store.update((tx) => tx.create('cluster', { ...aCluster({}), featureLevel: 3 }))
  await t.rejects(create(w, 'secret', aSpec('db')), {
    code: 'FAILED_PRECONDITION',
    message:
      /secret "db" cannot be made: the cluster is at feature level 3, and secrets and configs came with 4/,
  })
})

t.test('other labels change in place, other data is a version that services get', async (t) => {
  const w = await aControlWorld()
  const first = await create(w, 'secret', aSpec('db', 'one'))
  const service = await createService(w, withSecret('db'))
  const other = await createService(w, { name: 'other' })
  const labelled = await update(w, 'secret', aSpec('db', '', { labels: { a: '1' } }))
  t.match(labelled, { payload: { id: first.id, revision: 1, spec: { labels: { a: '1' } } } })
  t.equal(textOf(w.store.view((tx) => tx.get('secrets', first.id))?.spec.data), 'one')

  const { payload: second, services } = await update(w, 'secret', aSpec('db', 'two'))
  t.match(second, { revision: 2 })
  t.same(services, ['web'])
  t.same(sourcesOf(w, service.id), [second?.id])
  const now = w.store.view((tx) => tx.get('services', service.id))
  t.equal(now?.specVersion, 2, 'its tasks are outdated')
  t.equal(w.store.view((tx) => tx.get('services', other.id))?.specVersion, 1)

  const same = await update(w, 'secret', aSpec('db', 'two'))
  t.equal(same.payload?.id, second?.id, 'the same data is no new version')
  t.same(same.services, [])

  await updateService(w, service, 'rollback')
  t.same(sourcesOf(w, service.id), [first.id], 'a rollback is back at the version before')
  t.match(await list(w, 'secret', true), [
    { payload: { id: first.id }, present: false, services: ['web'] },
    { payload: { id: second?.id }, present: true, services: [] },
  ])
  t.equal((await list(w, 'secret')).length, 1)
  await t.rejects(remove(w, 'secret', 'db'), { code: 'IN_USE' }, 'an earlier version is in use')
  const third = await update(w, 'secret', aSpec('db', 'three'))
  t.same(third.services, ['web'], 'one that went back goes on with the next version')
})

t.test('an update knows what it changes', async (t) => {
  const w = await aControlWorld()
  const first = await create(w, 'config', aSpec('conf', 'one'))
  const version = first.meta?.version ?? 0
  await update(w, 'config', aSpec('conf', 'two'), version)
  await t.rejects(update(w, 'config', aSpec('conf', 'three'), version), { code: 'OUT_OF_SEQUENCE' })
  await t.rejects(update(w, 'config', aSpec('nothing')), { code: 'NOT_FOUND' })
  const request = { requestId: aRequestId(), reference: 'conf', version: 0, spec: aSpec('other') }
  await t.rejects(
    w.api.updateConfig(w.caller, request, w.signal),
    /config "conf": field name cannot change to "other"/,
  )
  const again = { requestId: aRequestId(), reference: 'conf', version: 0, spec: aSpec('conf', '4') }
  const made = await w.api.updateConfig(w.caller, again, w.signal)
  const repeated = await w.api.updateConfig(w.caller, again, w.signal)
  t.equal(repeated.payload?.id, made.payload?.id, 'a repeat makes no other version')
})

t.test('services beyond one transaction get a version too', async (t) => {
  const w = await aControlWorld()
  await create(w, 'secret', aSpec('db', 'one'))
  for (let i = 0; i < 45; i++) await createService(w, withSecret('db', `web${i}`))
  const { services } = await update(w, 'secret', aSpec('db', 'two'))
  t.equal(services.length, 45)
})

t.test('fifty updates leave the present version and those kept for going back', async (t) => {
  const w = await aControlWorld()
  await create(w, 'secret', aSpec('db', '0'))
  const service = await createService(w, withSecret('db'))
  for (let i = 1; i <= 50; i++) await update(w, 'secret', aSpec('db', String(i)))
  const revisions = (await list(w, 'secret', true)).map(({ payload }) => payload?.revision)
  t.same(revisions, [46, 47, 48, 49, 50, 51])
  await updateService(w, service, 'rollback')
  t.match(await list(w, 'secret', true), { length: 6 })
})

t.test('a version that a task still has stays until the task has ended', async (t) => {
  const w = await aControlWorld()
  await create(w, 'secret', aSpec('db', '0'))
  const { id, specHash } = await createService(w, withSecret('db'))
  const task = await addTask(w, aTask({ id: 't', service: id, node: 'n', specHash }))
  for (let i = 1; i <= 8; i++) await update(w, 'secret', aSpec('db', String(i)))
  const revisions = async () =>
    (await list(w, 'secret', true)).map(({ payload }) => payload?.revision)
  t.same(await revisions(), [1, 4, 5, 6, 7, 8, 9])
  await w.store.update((tx) => tx.update('tasks', { ...task, state: TaskState.SHUTDOWN }))
  t.equal(await reapPayloads({ store: w.store, log: silentLogger }), 1)
  t.equal(await reapPayloads({ store: w.store, log: silentLogger }), 0)
  t.same(await revisions(), [4, 5, 6, 7, 8, 9])
})

t.test('events name a secret and tell nothing of its data', async (t) => {
  const w = await aControlWorld()
  const { id } = await create(w, 'secret', aSpec('db', 'top secret'))
  const object = w.store.view((tx) => tx.get('secrets', id))
  if (object === undefined) throw new Error('no secret')
  const change = { kind: 'create', table: 'secrets', object } as const
  const events = w.store.view((tx) => eventsOfChange(tx, change))
  t.same(events, [
    { type: 'secret', action: 'create', actorId: id, attributes: { name: 'db', revision: '1' } },
  ])
})

t.test(
  'an update that is cut off goes on with the client’s repeat (a leader that dies in between)',
  async (t) => {
    const w = await aControlWorld()
    const first = await create(w, 'secret', aSpec('db', 'one'))
    const service = await createService(w, withSecret('db'))
    const real = w.store.update.bind(w.store)
    let calls = 0
    w.store.update = (fn, options) => {
      calls += 1
      const lost = new SwarmError('OUTCOME_UNKNOWN', 'the leader is gone')
      return calls === 2 ? Promise.reject(lost) : real(fn, options)
    }
    const request = { requestId: 'same', reference: 'db', version: 0, spec: aSpec('db', 'two') }
    await t.rejects(w.api.updateSecret(w.caller, request, w.signal), { code: 'OUTCOME_UNKNOWN' })
    t.same(sourcesOf(w, service.id), [first.id], 'the version is there, the service has not got it')
    const { payload, services } = await w.api.updateSecret(w.caller, request, w.signal)
    t.same(services, ['web'])
    t.same(sourcesOf(w, service.id), [payload?.id])
    t.equal((await list(w, 'secret', true)).length, 2)
  },
)
