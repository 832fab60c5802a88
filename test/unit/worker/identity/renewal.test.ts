// A node renews its certificate in time, at any manager, and at once when its role changed. Over real TLS.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCaHandlers, newNode } from '../../../../manager/ca/ca-handlers.ts'
import { createRootCa, issueCertificate, type RootCa } from '../../../../manager/ca/root-ca.ts'
import { type HandlerTable, serviceImplementation } from '../../../../manager/rpc/adapter.ts'
import { listenTls } from '../../../../manager/rpc/server.ts'
import { tlsCallers } from '../../../../manager/rpc/tls-callers.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { NodeCaService } from '../../../../proto/gen/tsswarm/v1/ca.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { newId } from '../../../../proto/lib/ids.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import type { NodeRole, TlsIdentity } from '../../../../proto/objects/index.ts'
import { IdentityStore } from '../../../../worker/identity/identity-store.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'
import { renewalLoop } from '../../../../worker/identity/renewal.ts'
import { aCluster } from '../../../support/objects.ts'
import { until } from '../../../support/until.ts'

const hourMs = 3_600_000

/** `agoMs`: when it was made. */
async function anIdentity(
  root: RootCa,
  id: string,
  role: NodeRole,
  life: { readonly agoMs: number; readonly lifeMs: number },
): Promise<TlsIdentity> {
  const { csrPem, keyPem } = await createNodeKey()
  const subject = { nodeId: id, role, clusterId: 'cluster-1' }
  const nowMs = Date.now() - life.agoMs
  const certPem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs: life.lifeMs })
  return { certPem: certPem + root.certPem, keyPem, caPem: root.certPem }
}

/** A manager that signs, and the identity of worker w1, made so long ago. */
async function aWorld(t: Test, life: { readonly agoMs: number; readonly lifeMs: number }) {
  const root = await createRootCa(Date.now())
  const store = createMemoryStore({ clock: systemClock, random: systemRandom })
  await store.update((tx) => {
    const keys = { rootCaCertPem: root.certPem, rootCaKeyPem: root.keyPem }
    tx.create('cluster', { ...aCluster({}), ...keys })
    tx.create('nodes', newNode('w1', 'worker', 0))
  })
  const manager = await anIdentity(root, 'm1', 'manager', { agoMs: 0, lifeMs: hourMs })
  const handlers = createCaHandlers({ store, clock: systemClock, newId: () => newId(systemRandom) })
  const directory = {
    clusterId: () => 'cluster-1',
    node: (id: string) => store.view((tx) => tx.get('nodes', id)),
    isRemoved: () => false,
  }
  const deps = { callerOf: tlsCallers(directory, systemClock) }
  const implementation = serviceImplementation(
    NodeCaService,
    handlers as unknown as HandlerTable,
    deps,
  )
  const served = { definition: NodeCaService, implementation }
  const source = { current: () => manager, onChange: () => () => {} }
  const listener = await listenTls('127.0.0.1:0', source, [served])
  const directoryPath = mkdtempSync(join(tmpdir(), 'tsswarm-renewal-'))
  const identity = IdentityStore.create(directoryPath, await anIdentity(root, 'w1', 'worker', life))
  let wanted: NodeRole | undefined
  let looks = 0
  const loop = renewalLoop({
    identity,
    wantedRole: () => {
      looks += 1
      return wanted
    },
    // The first one does not answer.
    managers: () => ['127.0.0.1:1', `127.0.0.1:${listener.port}`],
    clock: systemClock,
    random: systemRandom,
    log: silentLogger,
  })
  const stop = new AbortController()
  const running = loop(stop.signal)
  t.teardown(async () => {
    stop.abort()
    await running
    listener.close()
    rmSync(directoryPath, { recursive: true })
  })
  const want = (role: NodeRole): void => {
    wanted = role
  }
  return { store, identity, want, looks: () => looks }
}

t.test('a certificate past 80 % of its life is renewed at once, at whoever answers', async (t) => {
  const { store, identity } = await aWorld(t, { agoMs: 0.85 * hourMs, lifeMs: hourMs })
  const before = identity.current()
  const { notAfterMs } = identity.certificate()
  await until(() => identity.current() !== before, 'a new certificate')
  t.ok(identity.certificate().notAfterMs > notAfterMs + hourMs)
  t.not(identity.current().keyPem, before.keyPem, 'under a new key')
  t.equal(identity.certificate().nodeId, 'w1')
  const row = store.view((tx) => tx.get('nodes', 'w1'))
  t.ok(Math.abs((row?.certificateExpiresAtMs ?? 0) - identity.certificate().notAfterMs) < 1_000)
})

t.test('a young certificate stays, until the node gets another role', async (t) => {
  const { store, identity, want, looks } = await aWorld(t, { agoMs: 0.4 * hourMs, lifeMs: hourMs })
  const before = identity.current()
  want('worker')
  const seen = looks()
  await until(() => looks() > seen + 2, 'the loop has looked and looked again')
  t.equal(identity.current(), before)
  await store.update((tx) => {
    const node = tx.get('nodes', 'w1')
    if (node !== undefined) tx.update('nodes', { ...node, role: 'manager' })
  })
  want('manager')
  await until(() => identity.certificate().role === 'manager', 'a certificate of a manager')
  t.not(identity.current(), before)
})
