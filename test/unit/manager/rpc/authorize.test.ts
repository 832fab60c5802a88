// Who is let in: every reason to refuse, one by one.
import t from 'tap'
import { newNode } from '../../../../manager/ca/ca-handlers.ts'
import { authorize, type NodeDirectory, type PeerFacts } from '../../../../manager/rpc/authorize.ts'
import type { Node, NodeRole } from '../../../../proto/objects/index.ts'

const managers = { admits: 'managers', onLeader: false } as const
const nodes = { admits: 'nodes', onLeader: false } as const
const anyone = { admits: 'anyone', onLeader: false } as const

function directory(
  known: Readonly<Record<string, NodeRole>>,
  removed: string[] = [],
): NodeDirectory {
  const rows = new Map<string, Node>()
  for (const [id, role] of Object.entries(known)) rows.set(id, newNode(id, role, 0))
  return {
    clusterId: () => 'c1',
    node: (id) => rows.get(id),
    isRemoved: (id) => removed.includes(id),
  }
}

function facts(changes: Partial<PeerFacts> = {}): PeerFacts {
  const base = {
    nodeId: 'n1',
    role: 'manager',
    clusterId: 'c1',
    notBeforeMs: 0,
    notAfterMs: 1_000,
  } as const
  return { ...base, ...changes }
}

t.test('a manager is let in everywhere', async (t) => {
  for (const policy of [managers, nodes, anyone]) {
    t.match(authorize(facts(), policy, directory({ n1: 'manager' }), 500), {
      nodeId: 'n1',
      role: 'manager',
    })
  }
})

t.test('without a certificate only methods for anyone admit', async (t) => {
  t.same(authorize(undefined, anyone, directory({}), 500), { kind: 'anonymous' })
  for (const policy of [managers, nodes]) {
    t.throws(() => authorize(undefined, policy, directory({}), 500), { code: 'UNAUTHENTICATED' })
  }
})

t.test('refused: the certificate or its node is not good', async (t) => {
  const known = directory({ n1: 'manager', n2: 'worker' }, ['n3'])
  const cases: readonly (readonly [string, Partial<PeerFacts>, RegExp])[] = [
    ['foreign cluster', { clusterId: 'c2' }, /another cluster/],
    ['expired', { notAfterMs: 500 }, /expired/],
    ['not yet valid', { notBeforeMs: 501 }, /not valid yet/],
    ['removed', { nodeId: 'n3' }, /removed/],
    ['unknown', { nodeId: 'n4' }, /not part/],
  ]
  for (const [name, change, text] of cases) {
    for (const policy of [managers, nodes, anyone]) {
      const attempt = (): unknown => authorize(facts(change), policy, known, 500)
      t.throws(attempt, { code: 'PERMISSION_DENIED', message: text }, name)
    }
  }
})

t.test('both the certificate and the store must say manager', async (t) => {
  const worker = facts({ role: 'worker' })
  t.throws(() => authorize(worker, managers, directory({ n1: 'manager' }), 500), /not a manager/)
  t.throws(() => authorize(facts(), managers, directory({ n1: 'worker' }), 500), /not a manager/)
  t.match(authorize(facts(), nodes, directory({ n1: 'worker' }), 500), { role: 'worker' })
})
