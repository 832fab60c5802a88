// Forwarding between two real TLS listeners: whom the leader's handler sees.
import t, { type Test } from 'tap'
import { newNode } from '../../../../manager/ca/ca-handlers.ts'
import { createRootCa, issueCertificate, type RootCa } from '../../../../manager/ca/root-ca.ts'
import { serviceImplementation } from '../../../../manager/rpc/adapter.ts'
import type { NodeDirectory } from '../../../../manager/rpc/authorize.ts'
import type { Caller } from '../../../../manager/rpc/caller.ts'
import { leaderForwarder, ManagerChannels } from '../../../../manager/rpc/forward.ts'
import type { Admission } from '../../../../manager/rpc/policy.ts'
import { listenTls } from '../../../../manager/rpc/server.ts'
import { encodeCaller, tlsCallers } from '../../../../manager/rpc/tls-callers.ts'
import { NodeCaService } from '../../../../proto/gen/tsswarm/v1/ca.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { type NodeRole, nodeId, type TlsIdentity } from '../../../../proto/objects/index.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'

const request = { requestId: '', csrPem: '', token: '', availability: 0 }
const answer = {
  nodeId: '',
  clusterId: '',
  role: 0,
  certPem: '',
  rootCaCertPem: '',
  managerAddresses: [],
}
const leader = nodeId('m1')
const forwarding = nodeId('m2')

const roles: Readonly<Record<string, NodeRole>> = {
  m1: 'manager',
  m2: 'manager',
  w1: 'worker',
  gone: 'manager',
}

const directory: NodeDirectory = {
  clusterId: () => 'c1',
  node: (id) => {
    const role = roles[id]
    return role === undefined ? undefined : newNode(id, role, 0)
  },
  isRemoved: (id) => id === 'gone',
}

async function anIdentity(root: RootCa, id: string): Promise<TlsIdentity> {
  const { csrPem, keyPem } = await createNodeKey()
  const subject = { nodeId: id, role: roles[id] ?? 'worker', clusterId: 'c1' }
  const nowMs = Date.now()
  const certPem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs: 3_600_000 })
  return { certPem: certPem + root.certPem, keyPem, caPem: root.certPem }
}

/** A leader whose one method admits `admits`, and a manager that forwards to it. */
async function aPair(t: Test, admits: Admission) {
  const root = await createRootCa(Date.now())
  const seen: Caller[] = []
  const identity = await anIdentity(root, 'm1')
  const method = NodeCaService.issueCertificate
  const listener = await listenTls(
    '127.0.0.1:0',
    { current: () => identity, onChange: () => () => {} },
    [
      {
        definition: NodeCaService,
        implementation: serviceImplementation(
          NodeCaService,
          {
            issueCertificate: async (caller: Caller) => {
              seen.push(caller)
              return answer
            },
          },
          {
            callerOf: tlsCallers(directory, systemClock),
            policies: { [method.path]: { admits, onLeader: true } },
          },
        ),
      },
    ],
  )
  t.teardown(() => listener.close())
  const own = await anIdentity(root, 'm2')
  const deps = {
    locator: {
      selfNodeId: () => forwarding,
      leaderNodeId: () => leader,
      controlAddress: () => `127.0.0.1:${listener.port}`,
    },
    identity: { current: () => own, onChange: () => () => {} },
    clock: systemClock,
    random: systemRandom,
  }
  const channels = new ManagerChannels(deps)
  t.teardown(() => channels.close())
  const toLeader = leaderForwarder(deps, channels)
  const forward = async (caller: Caller): Promise<unknown> => {
    const call = { caller, request, signal: new AbortController().signal }
    return await toLeader(method as never, call, () => Promise.reject(new Error('not the leader')))
  }
  return { seen, forward }
}

const localAdmin: Caller = { kind: 'local-admin', nodeId: forwarding }
const worker: Caller = { kind: 'node', nodeId: nodeId('w1'), role: 'worker' }
const manager: Caller = { kind: 'node', nodeId: forwarding, role: 'manager' }
const anonymous: Caller = { kind: 'anonymous' }

t.test("the leader's handler sees the caller that was forwarded for", async (t) => {
  const { seen, forward } = await aPair(t, 'anyone')
  for (const caller of [localAdmin, worker, manager, anonymous]) {
    await forward(caller)
    t.same(seen.pop(), caller, encodeCaller(caller))
  }
  t.same(seen, [])
})

t.test('the role is the one the leader knows, not the one that was said', async (t) => {
  const { seen, forward } = await aPair(t, 'nodes')
  await forward({ kind: 'node', nodeId: nodeId('w1'), role: 'manager' })
  t.same(seen, [worker])
})

t.test('whom the method does not admit, or who is unknown or removed, is refused', async (t) => {
  const { seen, forward } = await aPair(t, 'managers')
  const stranger: Caller = { kind: 'local-admin', nodeId: nodeId('stranger') }
  const removed: Caller = { kind: 'node', nodeId: nodeId('gone'), role: 'manager' }
  for (const caller of [worker, anonymous, stranger, removed]) {
    await t.rejects(forward(caller), { code: 'PERMISSION_DENIED', message: encodeCaller(caller) })
  }
  t.same(seen, [])
  await forward(localAdmin)
  await forward(manager)
  t.same(seen, [localAdmin, manager])
})
