// Nodes through the control API, with what Swarm refuses.
import t from 'tap'
import { type Filter, Reachability } from '../../../../proto/gen/tsswarm/v1/control.ts'
import {
  NodeAvailability,
  NodeRole,
  type NodeSpec,
} from '../../../../proto/gen/tsswarm/v1/objects.ts'
import {
  aControlWorld,
  addNode,
  aRequestId,
  type ControlWorld,
  collect,
  selfId,
} from '../../../support/control.ts'

const id = (text: string): string => text.padEnd(25, '0')

async function update(w: ControlWorld, reference: string, change: Partial<NodeSpec>) {
  const { node } = await w.api.getNode(w.caller, { reference }, w.signal)
  const spec = node?.node?.spec
  if (node?.node === undefined || spec === undefined) throw new Error('no node')
  return await w.api.updateNode(
    w.caller,
    {
      requestId: aRequestId(),
      nodeId: node.node.id,
      version: node.node.meta?.version ?? 0,
      spec: { ...spec, ...change },
    },
    w.signal,
  )
}

async function nodesOf(w: ControlWorld, filters: readonly Filter[]) {
  const messages = await collect(w.api.listNodes(w.caller, { filters }, w.signal))
  return messages.flatMap(({ nodes }) => nodes)
}

function remove(w: ControlWorld, reference: string, force = false) {
  return w.api.removeNode(w.caller, { requestId: aRequestId(), reference, force }, w.signal)
}

t.test('nodes are found by id, hostname, prefix and "self"', async (t) => {
  const w = await aControlWorld()
  await addNode(w, { id: id('w1'), hostname: 'alpha' })
  await addNode(w, { id: id('w2'), hostname: 'beta' })
  await addNode(w, { id: id('x'), hostname: 'beta' })
  const found = async (reference: string) =>
    (await w.api.getNode(w.caller, { reference }, w.signal)).node?.node?.id
  t.equal(await found('self'), selfId)
  t.equal(await found(id('w1')), id('w1'))
  t.equal(await found('alpha'), id('w1'))
  t.equal(await found('ALPHA'), id('w1'))
  t.equal(await found('w2'), id('w2'))
  await t.rejects(found('w'), {
    code: 'AMBIGUOUS',
    message: /node w is ambiguous \(2 matches found\)/,
  })
  await t.rejects(found('beta'), { code: 'AMBIGUOUS' })
  await t.rejects(found('gamma'), {
    code: 'NOT_FOUND',
    message: /node "gamma" not found: "tsswarm node ls"/,
  })
})

t.test('managers show whether they lead and can be reached', async (t) => {
  const w = await aControlWorld()
  await addNode(w, { id: id('m2'), hostname: 'm2', role: 'manager' })
  await addNode(w, { id: id('m3'), hostname: 'm3', role: 'manager' })
  await addNode(w, { id: id('w1'), hostname: 'w1' })
  w.unreachable.add(id('m3'))
  const list = async () => nodesOf(w, [])
  t.strictSame(
    (await list()).map((view) => [
      view.node?.description?.hostname,
      view.leader,
      view.reachability,
    ]),
    [
      ['m1', true, Reachability.REACHABLE],
      ['m2', false, Reachability.REACHABLE],
      ['m3', false, Reachability.UNREACHABLE],
      ['w1', false, Reachability.UNKNOWN],
    ],
  )
  w.leader = undefined
  t.ok((await list()).every((view) => !view.leader && view.reachability === Reachability.UNKNOWN))
})

t.test('filters of nodes', async (t) => {
  const w = await aControlWorld()
  await addNode(w, {
    id: id('w1'),
    hostname: 'w1',
    labels: { zone: 'east' },
    engineLabels: { disk: 'ssd' },
  })
  const names = async (key: string, ...values: readonly string[]) => {
    const nodes = await nodesOf(w, [{ key, values }])
    return nodes.map((view) => view.node?.description?.hostname)
  }
  t.strictSame(await names('role', 'manager'), ['m1'])
  t.strictSame(await names('role', 'manager', 'worker'), ['m1', 'w1'])
  t.strictSame(await names('name', 'w'), ['w1'])
  t.strictSame(await names('id', 'w1'), ['w1'])
  t.strictSame(await names('node.label', 'zone=east'), ['w1'])
  t.strictSame(await names('node.label', 'zone=west'), [])
  t.strictSame(await names('label', 'disk'), ['w1'])
  t.strictSame(await names('engine.label', 'disk=ssd'), ['w1'])
  t.strictSame(await names('membership', 'accepted'), ['m1', 'w1'])
  t.strictSame(await names('membership', 'pending'), [])
  await t.rejects(names('role', 'boss'), { message: /one of manager, worker/ })
  await t.rejects(names('zone', 'x'), {
    message: /invalid filter "zone": nodes are filtered by id, name/,
  })
})

t.test('labels, availability and role are updated under the version that was read', async (t) => {
  const w = await aControlWorld()
  await addNode(w, { id: id('w1'), hostname: 'w1' })
  const { node } = await update(w, 'w1', {
    labels: { zone: 'east' },
    availability: NodeAvailability.DRAIN,
    role: NodeRole.MANAGER,
  })
  t.match(node?.spec, {
    labels: { zone: 'east' },
    availability: NodeAvailability.DRAIN,
    role: NodeRole.MANAGER,
  })
  t.equal(node?.role, NodeRole.WORKER, 'the wish, not the fact')
  await t.rejects(
    w.api.updateNode(
      w.caller,
      { requestId: aRequestId(), nodeId: id('w1'), version: 1, spec: node?.spec },
      w.signal,
    ),
    { code: 'OUT_OF_SEQUENCE', message: /node "w1 \(w10+\)" changed since it was read/ },
  )
  await t.rejects(
    w.api.updateNode(
      w.caller,
      { requestId: '', nodeId: 'nope', version: 1, spec: node?.spec },
      w.signal,
    ),
    { code: 'NOT_FOUND' },
  )
  await t.rejects(update(w, 'w1', { availability: 9 as NodeAvailability }), {
    code: 'INVALID_ARGUMENT',
  })
})

t.test('the last manager cannot be demoted', async (t) => {
  const w = await aControlWorld()
  await t.rejects(update(w, 'm1', { role: NodeRole.WORKER }), {
    code: 'FAILED_PRECONDITION',
    message:
      /cannot demote node m1 \(.*\): it is the last manager of the swarm\. Promote another node first/,
  })
  // A promoted node that is no member yet does not count.
  await addNode(w, { id: id('w1'), hostname: 'w1', roleWish: 'manager' })
  await t.rejects(update(w, 'm1', { role: NodeRole.WORKER }), { code: 'FAILED_PRECONDITION' })
  await update(w, 'w1', { role: NodeRole.WORKER })
})

t.test(
  'a demotion that would lose the quorum is refused, one that would not is done',
  async (t) => {
    const w = await aControlWorld()
    for (const name of ['m2', 'm3'])
      await addNode(w, { id: id(name), hostname: name, role: 'manager' })
    w.unreachable.add(id('m3'))
    await t.rejects(update(w, 'm2', { role: NodeRole.WORKER }), {
      code: 'QUORUM_LOSS',
      message: /of the other 2 managers only 1 can be reached, 2 are needed/,
    })
    const { node } = await update(w, 'm3', { role: NodeRole.WORKER })
    t.equal(node?.spec?.role, NodeRole.WORKER, 'the one that is missing may go')
    // Its wish is gone though it may still be a member: two are left.
    const { node: second } = await update(w, 'm2', { role: NodeRole.WORKER })
    t.equal(second?.spec?.role, NodeRole.WORKER)
    await t.rejects(update(w, 'm1', { role: NodeRole.WORKER }), { message: /last manager/ })
  },
)

t.test(
  'a node is removed when it is down, or by force; its certificate is remembered',
  async (t) => {
    const w = await aControlWorld()
    await addNode(w, { id: id('w1'), hostname: 'w1' })
    await addNode(w, { id: id('w2'), hostname: 'w2', state: 'down' })
    await t.rejects(remove(w, 'w1'), {
      code: 'FAILED_PRECONDITION',
      message:
        /node w1 \(.*\) is not down and can't be removed\. Run "tsswarm swarm leave" on it first, or remove it with --force/,
    })
    t.strictSame(await remove(w, 'w2'), { nodeId: id('w2') })
    t.strictSame(await remove(w, 'w1', true), { nodeId: id('w1') })
    const removed = w.store.view((tx) => [...tx.all('removedNodes')])
    t.strictSame(
      removed.map((node) => node.id),
      [id('w2'), id('w1')],
    )
    t.ok(
      removed.every((node) => node.expiresAtMs > 1e15),
      'past the end of the certificate',
    )
    await t.rejects(remove(w, 'w1', true), { code: 'NOT_FOUND' })
  },
)

t.test('managers are demoted before they are removed', async (t) => {
  const w = await aControlWorld()
  await addNode(w, { id: id('m2'), hostname: 'm2', role: 'manager', state: 'down' })
  await t.rejects(remove(w, 'm2', true), {
    code: 'FAILED_PRECONDITION',
    message:
      /is a cluster manager and is a member of the raft cluster\. It must be demoted to worker before removal/,
  })
  await update(w, 'm2', { role: NodeRole.WORKER })
  await t.rejects(
    remove(w, 'm2', true),
    { code: 'FAILED_PRECONDITION' },
    'while Raft has not let it go',
  )
  await t.rejects(remove(w, 'self', true), { message: /a node cannot remove itself/ })
})
