// What a manager of an older version would drop from the store is not written before all are upgraded (decision 0069).
import t from 'tap'
import { networkSpecToProto } from '../../../../proto/codec/network.ts'
import { localNetworksLevel, optionsLevel } from '../../../../proto/objects/index.ts'
import { networkSpec } from '../../../../proto/spec/network-spec.ts'
import {
  aControlWorld,
  aRequestId,
  type ControlWorld,
  createService,
  specOf,
} from '../../../support/control.ts'

/** A cluster where a manager still has the version before. Levels cannot be lowered, so it is made anew. */
async function anOldWorld(featureLevel = optionsLevel - 1): Promise<ControlWorld> {
  const w = await aControlWorld()
  await w.store.update((tx) => {
    for (const cluster of tx.all('cluster')) {
      tx.remove('cluster', cluster.id)
      tx.create('cluster', { ...cluster, featureLevel })
    }
  })
  return w
}

async function upgrade(w: ControlWorld, featureLevel = optionsLevel): Promise<void> {
  await w.store.update((tx) => {
    for (const cluster of tx.all('cluster')) {
      tx.update('cluster', { ...cluster, featureLevel })
    }
  })
}

const healthy = { name: 'web', container: { healthcheck: { retries: 2 } } }
const refusal = (what: string, words: string) => ({
  code: 'FAILED_PRECONDITION',
  message:
    `${what} cannot be made: the cluster is at feature level ${optionsLevel - 1}, and ${words} came with ` +
    `${optionsLevel}. Upgrade tsswarm on all managers; the cluster moves on by itself`,
})

t.test('services: at creation, at update and when they go back', async (t) => {
  const w = await anOldWorld()
  const refused = refusal('service "web"', 'health checks')
  await t.rejects(createService(w, healthy), refused)
  const { id, meta } = await createService(w, { name: 'web' })
  const version = meta?.version ?? 0
  const spec = specOf(healthy)
  const update = (at: number) =>
    w.api.updateService(
      w.caller,
      { requestId: aRequestId(), serviceId: id, version: at, spec, rollback: false },
      w.signal,
    )
  await t.rejects(update(version), refused)
  await upgrade(w)
  await update(version)
  t.match(w.store.view((tx) => tx.get('services', id))?.spec.task.container.healthcheck, {
    retries: 2,
  })
})

t.test('templates of secrets, moves of tasks, and what the cluster says of them', async (t) => {
  const w = await anOldWorld()
  const secret = (templateDriver: string) =>
    w.api.createSecret(
      w.caller,
      {
        requestId: aRequestId(),
        spec: { name: 'db', labels: {}, data: Buffer.from('x'), templateDriver },
      },
      w.signal,
    )
  await t.rejects(secret('golang'), refusal('secret "db"', 'templates'))
  await secret('')
  await createService(w, { name: 'web' })
  const rebalance = () =>
    w.api.rebalanceService(w.caller, { requestId: aRequestId(), reference: 'web' }, w.signal)
  await t.rejects(rebalance(), { code: 'FAILED_PRECONDITION', message: /service "web"/ })
  const { cluster } = await w.api.getCluster(w.caller, {}, w.signal)
  const change = (payloadHistoryLimit: number) =>
    w.api.updateCluster(
      w.caller,
      {
        requestId: aRequestId(),
        version: cluster?.meta?.version ?? 0,
        spec: cluster?.spec && { ...cluster.spec, payloadHistoryLimit },
      },
      w.signal,
    )
  await t.rejects(change(1), { code: 'FAILED_PRECONDITION', message: /version history came with/ })
  await upgrade(w)
  await rebalance()
  await secret('golang').catch((err: unknown) => t.match(err, { code: 'NAME_CONFLICT' }))
})

t.test('networks of the driver bridge, which older managers would take for others', async (t) => {
  const w = await anOldWorld(localNetworksLevel - 1)
  const create = (driver: string) => {
    const spec = networkSpecToProto(networkSpec.parse({ name: `n-${driver}`, driver }))
    return w.api.createNetwork(w.caller, { requestId: aRequestId(), spec }, w.signal)
  }
  await t.rejects(create('bridge'), {
    code: 'FAILED_PRECONDITION',
    message:
      'network "n-bridge" cannot be made: the cluster is at feature level 7, and networks of the driver bridge came with 8. ' +
      'Upgrade tsswarm on all managers; the cluster moves on by itself',
  })
  await create('overlay')
  await upgrade(w, localNetworksLevel)
  await create('bridge')
})
