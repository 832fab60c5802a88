// Services that reach what belongs to nodes need the cluster's leave (decision 0072).
import t from 'tap'
import {
  aControlWorld,
  aRequestId,
  type ControlWorld,
  createService,
  specOf,
} from '../../../support/control.ts'

async function allow(w: ControlWorld, allowPrivileged: boolean): Promise<void> {
  const { cluster } = await w.api.getCluster(w.caller, {}, w.signal)
  if (cluster?.spec === undefined) throw new Error('no cluster')
  const spec = { ...cluster.spec, allowPrivileged }
  const version = cluster.meta?.version ?? 0
  await w.api.updateCluster(w.caller, { requestId: aRequestId(), version, spec }, w.signal)
}

const privileged = { name: 'web', container: { security: { privileged: true as const } } }
const device = { source: '/dev/fuse', target: '/dev/fuse', access: 'rwm' }
const devices = { name: 'disks', container: { security: { devices: [device] } } }
const harmless = {
  name: 'plain',
  container: { security: { seccomp: 'unconfined', appArmor: 'unconfined' } },
}

t.test('off by default: neither privileged, nor devices, nor open system paths', async (t) => {
  const w = await aControlWorld()
  await t.rejects(createService(w, privileged), {
    code: 'PERMISSION_DENIED',
    message: /service "web" is privileged.*swarm update --allow-privileged/,
  })
  await t.rejects(createService(w, devices), {
    code: 'PERMISSION_DENIED',
    message: /service "disks" asks for devices of its nodes/,
  })
  const open = { name: 'open', container: { security: { systemPathsUnconfined: true as const } } }
  await t.rejects(createService(w, open), {
    code: 'PERMISSION_DENIED',
    message: /service "open" asks for open system paths/,
  })
  await createService(w, harmless)
})

t.test('what does not go together is told', async (t) => {
  const w = await aControlWorld()
  const rows: readonly (readonly [object, RegExp])[] = [
    [{ devices: [device, { ...device, source: '/dev/b' }] }, /has two for "\/dev\/fuse"/],
    [{ devices: [device], privileged: true }, /devices are all there when privileged/],
  ]
  for (const [security, message] of rows) {
    const refused = createService(w, { name: 'web', container: { security } })
    await t.rejects(refused, { code: 'INVALID_ARGUMENT', message })
  }
  const twice = { kind: 'read-bps', device: '/dev/sda', rate: 1 } as const
  const tuning = { swapBytes: 1, ioLimits: [twice, { ...twice, rate: 2 }] }
  await t.rejects(createService(w, { name: 'web', task: { tuning } }), {
    code: 'INVALID_ARGUMENT',
    message: /swapBytes needs a limit of memory.*has two for read-bps of \/dev\/sda/,
  })
})

t.test('allowed, both; taken back, what is there stays and cannot be changed so', async (t) => {
  const w = await aControlWorld()
  await allow(w, true)
  const { id, meta } = await createService(w, privileged)
  await createService(w, devices)
  await allow(w, false)
  t.ok(w.store.view((tx) => tx.get('services', id))?.spec.task.container.security?.privileged)
  const update = (container: object) =>
    w.api.updateService(
      w.caller,
      {
        requestId: aRequestId(),
        serviceId: id,
        version: meta?.version ?? 0,
        spec: specOf({ name: 'web', container }),
        rollback: false,
      },
      w.signal,
    )
  await t.rejects(update(privileged.container), { code: 'PERMISSION_DENIED' })
  await update({})
})
