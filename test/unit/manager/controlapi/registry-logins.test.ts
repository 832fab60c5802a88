// Credentials of registries come with requests, move with the specs of their service, and are in no answer. Source: swarm-semantics 6
// (service update: no auth keeps the stored one; registryAuthFrom).
import t from 'tap'
import { rollBack } from '../../../../manager/controlapi/roll-back.ts'
import { encodeRegistryAuth } from '../../../../proto/codec/registry-login.ts'
import { registryLoginsLevel, type Service } from '../../../../proto/objects/index.ts'
import {
  aControlWorld,
  aRequestId,
  type ControlWorld,
  collect,
  specOf,
} from '../../../support/control.ts'

const authOf = (password: string): string => encodeRegistryAuth({ username: 'someone', password })
const withImage = (image: string, more: object = {}) =>
  specOf({ name: 'web', container: { image, ...more } })

async function create(w: ControlWorld, image: string, registryAuth?: string): Promise<string> {
  const request = { requestId: aRequestId(), spec: withImage(image), registryAuth }
  return (await w.api.createService(w.caller, request, w.signal)).service?.id ?? ''
}

function stored(w: ControlWorld, id: string): Service {
  const service = w.store.view((tx) => tx.get('services', id))
  if (service === undefined) throw new Error(`no service ${id}`)
  return service
}

interface Update {
  readonly image?: string
  readonly auth?: string
  readonly from?: string
  readonly rollback?: boolean
  readonly secrets?: readonly object[]
}

async function update(w: ControlWorld, id: string, { auth, from, ...wish }: Update) {
  const { spec, version } = stored(w, id)
  const { image = spec.task.container.image, rollback = false, ...more } = wish
  const request = {
    ...{ requestId: aRequestId(), serviceId: id, version, rollback },
    spec: rollback ? undefined : withImage(image, more),
    registryAuth: auth,
    registryAuthFrom: from,
  }
  return await w.api.updateService(w.caller, request, w.signal)
}

/** The passwords of the spec and of the one before, with the registry that they are for. */
function kept(w: ControlWorld, id: string): readonly (string | undefined)[] {
  const row = w.store.view((tx) => tx.get('registryLogins', id))
  return [row?.present, row?.previous].map((login) => {
    if (login === undefined) return undefined
    const { password } = JSON.parse(Buffer.from(login.auth, 'base64').toString())
    return `${password}@${login.registry}`
  })
}

t.test('they are kept, replaced and swapped as the specs are', async (t) => {
  const w = await aControlWorld()
  const id = await create(w, 'r.lan/app:1', authOf('one'))
  t.same(kept(w, id), ['one@r.lan', undefined])
  await update(w, id, { image: 'r.lan/app:2' })
  t.same(kept(w, id), ['one@r.lan', 'one@r.lan'], 'without credentials it keeps the former')
  await update(w, id, { image: 'o.lan/app:3', auth: authOf('two') })
  t.same(kept(w, id), ['two@o.lan', 'one@r.lan'])
  await update(w, id, { rollback: true })
  t.same(kept(w, id), ['one@r.lan', 'two@o.lan'])
  await update(w, id, { rollback: true })
  t.same(kept(w, id), ['two@o.lan', 'one@r.lan'], 'and back')
  await update(w, id, { image: 'r.lan/app:4', from: 'previous-spec' })
  t.same(kept(w, id), ['one@r.lan', 'two@o.lan'])
  await update(w, id, { image: 'r.lan/app:5', from: 'spec' })
  t.same(kept(w, id), ['one@r.lan', 'one@r.lan'])
  await w.api.removeService(w.caller, { requestId: aRequestId(), reference: id }, w.signal)
  t.same(kept(w, id), [undefined, undefined], 'they go with the service')
})

t.test('with credentials alone the service stays what it is, and a pause ends', async (t) => {
  const w = await aControlWorld()
  const id = await create(w, 'r.lan/app:1')
  t.same(kept(w, id), [undefined, undefined])
  await update(w, id, { image: 'r.lan/app:2', auth: authOf('one') })
  t.same(kept(w, id), ['one@r.lan', undefined])
  const before = stored(w, id)
  await update(w, id, { auth: authOf('two') })
  t.same(kept(w, id), ['two@r.lan', undefined])
  t.same(stored(w, id), before)
  const updateStatus = {
    ...{ state: 'paused' as const, startedAtMs: 1, completedAtMs: 0, message: '', slots: 1 },
  }
  await w.store.update((tx) => tx.update('services', { ...before, updateStatus }))
  await update(w, id, { auth: authOf('three') })
  t.equal(stored(w, id).updateStatus, undefined)
  t.equal(stored(w, id).previousSpec?.task.container.image, 'r.lan/app:1')
})

t.test('what changes a service by itself moves them too', async (t) => {
  const w = await aControlWorld()
  const payload = { name: 'db', labels: {}, data: Buffer.from('x'), templateDriver: '' }
  await w.api.createSecret(w.caller, { requestId: aRequestId(), spec: payload }, w.signal)
  const id = await create(w, 'r.lan/app:1', authOf('one'))
  const secrets = [{ source: 'db' }]
  await update(w, id, { image: 'r.lan/app:2', auth: authOf('two'), secrets })
  t.same(kept(w, id), ['two@r.lan', 'one@r.lan'])
  const next = { ...payload, data: Buffer.from('y') }
  const request = { requestId: aRequestId(), reference: 'db', version: 0, spec: next }
  await w.api.updateSecret(w.caller, request, w.signal)
  t.same(kept(w, id), ['two@r.lan', 'two@r.lan'], 'the spec before the new secret had them')
  await update(w, id, { image: 'r.lan/app:3', auth: authOf('three'), secrets })
  const updateStatus = {
    ...{ state: 'rollback_started' as const, startedAtMs: 1, completedAtMs: 0, message: '' },
    slots: 1,
  }
  const service = stored(w, id)
  await w.store.update((tx) =>
    rollBack(tx, { id: service.id, version: service.version, updateStatus }),
  )
  t.same(kept(w, id), ['two@r.lan', undefined], 'an update that failed')
})

t.test('no answer holds them, nor an error', async (t) => {
  const w = await aControlWorld()
  const secret = authOf('swordfish')
  const request = { requestId: aRequestId(), spec: withImage('r.lan/app:1'), registryAuth: secret }
  const answers: unknown[] = [await w.api.createService(w.caller, request, w.signal)]
  const id = [...w.store.view((tx) => tx.all('services'))][0]?.id ?? ''
  answers.push(await update(w, id, { image: 'r.lan/app:2', auth: secret }))
  answers.push(await w.api.getService(w.caller, { reference: id }, w.signal))
  answers.push(await collect(w.api.listServices(w.caller, { filters: [] }, w.signal)))
  t.notMatch(JSON.stringify(answers), new RegExp(`${secret.slice(8, 24)}|swordfish`))
  for (const [wish, message] of [
    [{ auth: 'swordfish' }, /credentials are not valid: they must be base64/],
    [{ auth: Buffer.from('{"username": "swordfish"}').toString('base64') }, /are not valid/],
    [{ auth: 'swordfish'.repeat(10_000) }, /are not valid/],
    [{ from: 'elsewhere' }, /registryAuthFrom "elsewhere" is not valid/],
  ] as const) {
    const err = await update(w, id, wish).catch((cause: unknown) => cause)
    t.match(err, { code: 'INVALID_ARGUMENT', message })
    t.notMatch(String(err), /swordfish/)
  }
  const fresh = await create(w, 'r.lan/other').catch((cause: unknown) => cause)
  t.match(fresh, { code: 'NAME_CONFLICT' })
})

t.test('what there is not, and what a manager would drop, is refused', async (t) => {
  const w = await aControlWorld()
  const id = await create(w, 'r.lan/app:1')
  await t.rejects(update(w, id, { from: 'previous-spec' }), {
    code: 'FAILED_PRECONDITION',
    message: /does not have a previous spec whose credentials/,
  })
  await w.store.update((tx) => {
    for (const cluster of tx.all('cluster')) {
      tx.remove('cluster', cluster.id)
      tx.create('cluster', { ...cluster, featureLevel: registryLoginsLevel - 1 })
    }
  })
  const refused = { code: 'FAILED_PRECONDITION', message: /credentials of registries came with 7/ }
  await t.rejects(update(w, id, { auth: authOf('one') }), refused)
  await update(w, id, { image: 'r.lan/app:2' })
})
