// Who gets a certificate, and what for.
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { createCaHandlers } from '../../../../manager/ca/ca-handlers.ts'
import { createRootCa } from '../../../../manager/ca/root-ca.ts'
import type { Caller } from '../../../../manager/rpc/caller.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { newJoinToken } from '../../../../proto/codec/join-token.ts'
import type { IssueCertificateRequest } from '../../../../proto/gen/tsswarm/v1/ca.ts'
import { newId } from '../../../../proto/lib/ids.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'
import { aCluster } from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const anonymous: Caller = { kind: 'anonymous' }

async function aWorld() {
  const clock = new VirtualClock()
  const random = seededRandom(3)
  const store = createMemoryStore({ clock, random })
  const root = await createRootCa(clock.wallMs())
  const tokens = {
    worker: newJoinToken(root.certPem, random),
    manager: newJoinToken(root.certPem, random),
  }
  await store.update((tx) =>
    tx.create('cluster', {
      ...aCluster({}),
      rootCaCertPem: root.certPem,
      rootCaKeyPem: root.keyPem,
      workerJoinToken: tokens.worker,
      managerJoinToken: tokens.manager,
    }),
  )
  const handlers = createCaHandlers({ store, clock, newId: () => newId(random) })
  const { csrPem } = await createNodeKey()
  let requests = 0
  const ask = (token: string, more: Partial<IssueCertificateRequest> = {}, caller = anonymous) => {
    requests += 1
    const request = { requestId: `r${requests}`, csrPem, token, availability: 0, ...more } as const
    return handlers.issueCertificate(caller, request)
  }
  const nodes = () => store.view((tx) => [...tx.all('nodes')])
  return { clock, random, store, root, tokens, ask, nodes }
}

const subjectOf = (certPem: string): string =>
  new X509Certificate(certPem).subject.replaceAll('\n', ' ')

t.test(
  'the token decides the role; the store knows until when the certificate lives',
  async (t) => {
    const { clock, tokens, ask, nodes } = await aWorld()
    const worker = await ask(tokens.worker, { availability: 2 })
    const manager = await ask(` ${tokens.manager}\n`)
    t.equal(subjectOf(worker.certPem), `CN=${worker.nodeId} OU=swarm-worker O=cluster-1`)
    t.equal(subjectOf(manager.certPem), `CN=${manager.nodeId} OU=swarm-manager O=cluster-1`)
    const expiresAtMs = Date.parse(new X509Certificate(worker.certPem).validTo)
    t.match(
      nodes().find(({ id }) => id === worker.nodeId),
      { role: 'worker', spec: { role: 'worker', availability: 'drain' } },
    )
    for (const { certificateExpiresAtMs } of nodes()) {
      t.ok(Math.abs(certificateExpiresAtMs - expiresAtMs) < 1_000)
      t.equal(certificateExpiresAtMs, clock.wallMs() + aCluster({}).spec.nodeCertExpiryMs)
    }
  },
)

t.test('what is not a token of this cluster, or not any more, is refused', async (t) => {
  const { random, store, root, tokens, ask, nodes } = await aWorld()
  const foreign = newJoinToken((await createRootCa(0)).certPem, random)
  await t.rejects(ask(foreign), { code: 'PERMISSION_DENIED', message: /another cluster/ })
  await t.rejects(ask('SWMTKN-1-x'), { code: 'INVALID_ARGUMENT' })
  await t.rejects(ask(''), { code: 'INVALID_ARGUMENT' })
  await store.update((tx) => {
    const fresh = newJoinToken(root.certPem, random)
    for (const cluster of tx.all('cluster'))
      tx.update('cluster', { ...cluster, workerJoinToken: fresh })
  })
  await t.rejects(ask(tokens.worker), {
    code: 'PERMISSION_DENIED',
    message: /not valid \(any more\).*swarm join-token/,
  })
  t.same(nodes(), [], 'and nobody has joined')
})

t.test('a request that is none changes nothing, one that is repeated makes one node', async (t) => {
  const { tokens, ask, nodes } = await aWorld()
  await t.rejects(ask(tokens.worker, { csrPem: 'nonsense' }), { code: 'INVALID_ARGUMENT' })
  t.same(nodes(), [])
  const first = await ask(tokens.worker, { requestId: 'same' })
  const second = await ask(tokens.worker, { requestId: 'same' })
  t.equal(second.nodeId, first.nodeId)
  t.equal(nodes().length, 1)
})

t.test('a node renews under its id and gets the role that the store says', async (t) => {
  const { store, tokens, ask } = await aWorld()
  const { nodeId: id } = await ask(tokens.worker)
  const caller: Caller = { kind: 'node', nodeId: nodeId(id), role: 'worker' }
  await store.update((tx) => {
    const node = tx.get('nodes', id)
    if (node !== undefined) tx.update('nodes', { ...node, role: 'manager' })
  })
  const renewed = await ask('', {}, caller)
  t.equal(subjectOf(renewed.certPem), `CN=${id} OU=swarm-manager O=cluster-1`)
  await store.update((tx) => tx.remove('nodes', id))
  await t.rejects(ask('', {}, caller), { code: 'PERMISSION_DENIED', message: /not part of/ })
})
