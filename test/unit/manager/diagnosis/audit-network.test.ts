import t from 'tap'
import { storeOverlay } from '../../../../manager/bus/store-overlay.ts'
import { auditNetwork } from '../../../../manager/diagnosis/audit-network.ts'
import { inOrderOfAnswer } from '../../../../manager/diagnosis/in-order-of-answer.ts'
import type { AskNode } from '../../../../manager/diagnosis/node-asker.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { Store } from '../../../../manager/store/store.ts'
import { pathsDigest, viewDigest } from '../../../../proto/codec/overlay-digest.ts'
import {
  type AuditedNode,
  AuditFindingKind,
  type AuditNetworkRequest,
} from '../../../../proto/gen/tsswarm/v1/control.ts'
import type { NodeAudit, ToldSubject } from '../../../../proto/gen/tsswarm/v1/diagnosis.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { networkId, nodeId } from '../../../../proto/objects/index.ts'
import { viewAt } from '../../../../proto/objects/overlay.ts'
import { collect } from '../../../support/control.ts'
import { aDifference, anAudit } from '../../../support/diagnosis.ts'
import {
  aCluster,
  aNetwork,
  aNode,
  aService,
  aSpecRecord,
  aTask,
} from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const caller = { kind: 'local-admin', nodeId: nodeId('m1') } as const
const never = new AbortController().signal

/** Nodes m1, w1 and w2; service web with a task on w1, and network back. */
async function aStore(): Promise<Store> {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  await store.update((tx) => {
    tx.create('cluster', aCluster({}))
    for (const [at, id] of ['m1', 'w1', 'w2'].entries()) {
      tx.create(
        'nodes',
        aNode({ id: `id-${id}`, hostname: id, address: `10.9.0.${at}`, mark: at + 1 }),
      )
    }
    tx.create('networks', aNetwork({ id: 'net-back', name: 'back' }))
    tx.create('taskSpecs', aSpecRecord('spec-1', { networks: [{ target: 'net-back' }] }))
    tx.create(
      'services',
      aService({ id: 'svc', name: 'web', task: { networks: [{ target: 'net-back' }] } }),
    )
    const attachments = { 'net-back': ['10.0.1.6'] }
    tx.create('tasks', aTask({ id: 't1', service: 'svc', slot: 3, node: 'id-w1', attachments }))
  })
  return store
}

/** What a node says that was told all of it. */
function toldBy(store: Store): readonly ToldSubject[] {
  return store.view((tx) => {
    const view = storeOverlay.view(tx, networkId('net-back'))
    return [
      ...(view === undefined ? [] : [{ id: 'net-back', digest: viewDigest(view) }]),
      { id: '', digest: pathsDigest(storeOverlay.paths(tx)) },
    ]
  })
}

type Answer = () => Partial<NodeAudit> | Error

async function audit(
  store: Store,
  answers: Readonly<Record<string, Answer>>,
  request: Partial<AuditNetworkRequest> = {},
) {
  const clock = new VirtualClock()
  const ask: AskNode = async (node) => {
    const answer = answers[node.id]?.() ?? {}
    if (answer instanceof Error) throw answer
    return { $case: 'audit', value: anAudit({ told: toldBy(store), ...answer }) }
  }
  const cluster = { selfNodeId: () => nodeId('id-m1'), readBarrier: async () => {} }
  const handler = auditNetwork({ store, cluster, ask, clock })
  const running = collect(handler(caller, { network: '', nodes: [], ...request }, never))
  let isDone = false
  running.then(
    () => {
      isDone = true
    },
    () => {
      isDone = true
    },
  )
  await clock.until(() => isDone, 60_000, 'the audit ends')
  const messages = await running
  const nodes = messages.flatMap(({ kind }): AuditedNode[] =>
    kind?.$case === 'node' ? [kind.value] : [],
  )
  const [first] = messages
  const asked = first?.kind?.$case === 'asked' ? first.kind.value.names : []
  return { asked, of: (name: string) => nodes.find((one) => one.name === name), nodes }
}

t.test('every node is asked, and what they answer names tasks, nodes and networks', async (t) => {
  const store = await aStore()
  const difference = aDifference({ networkId: 'net-back', taskId: 't1' })
  const { asked, of } = await audit(store, {
    'id-w2': () => ({
      differences: [
        difference,
        aDifference({ subject: 'nft chain svc4', problem: 'is missing', serviceId: 'svc' }),
        aDifference({ subject: 'entry', nodeId: 'id-w1', inHost: true }),
        aDifference({ taskId: 'c0123456789abc' }),
      ],
      silentPeers: [{ nodeId: 'id-w1', address: '10.9.0.1', silentMs: 12_300, port: 4789 }],
      host: [{ text: 'ufw drops', remedy: 'ufw allow' }],
      healing: {
        forMs: 5,
        comparisons: 2,
        mended: 2,
        last: [
          { agoMs: 1, difference, text: '' },
          { agoMs: 2, difference: undefined, text: 'other' },
        ],
      },
    }),
    'id-m1': () => new Error('there was no answer within 20 s'),
  })
  t.same(asked, ['m1', 'w1', 'w2'])
  t.same(of('w1')?.findings, [])
  t.match(of('m1'), { err: 'there was no answer within 20 s', findings: [] })
  const found = of('w2')
  t.same(
    found?.findings.map(({ text }) => text),
    [
      'gets no answer from w1 (10.9.0.1) through UDP 4789 (VXLAN) for 12 s: a firewall between them or on w1 drops it',
      'ufw drops',
      'route to 10.0.1.6 (task web.3 on w1) is missing on network back',
      'nft chain svc4 (service web) is missing',
      "entry (node w1) is missing in the host's namespace",
      'route to 10.0.1.6 (container c0123456789a) is missing',
    ],
  )
  t.match(found?.findings[0], { kind: AuditFindingKind.PEER, remedy: /admit 4789\/udp/ })
  t.match(found?.findings[2], { kind: AuditFindingKind.KERNEL, network: 'back' })
  t.match(found?.healing, {
    mended: 2,
    last: [
      { text: 'route to 10.0.1.6 (task web.3 on w1) is missing on network back' },
      { text: 'other' },
    ],
  })
})

t.test('a network limits who is asked, and nodes can be named', async (t) => {
  const store = await aStore()
  t.same((await audit(store, {}, { network: 'back' })).asked, ['w1'])
  t.same((await audit(store, {}, { nodes: ['self', 'w2', 'id-m1'] })).asked, ['m1', 'w2'])
  await t.rejects(audit(store, {}, { network: 'nope' }), { code: 'NOT_FOUND' })
  await t.rejects(audit(store, {}, { nodes: ['nope'] }), { code: 'NOT_FOUND' })
})

t.test('a node that was told otherwise and does not catch up is found out', async (t) => {
  const store = await aStore()
  const paths = toldBy(store).filter(({ id }) => id === '')
  const stuck = await audit(store, { 'id-w1': () => ({ told: paths }) })
  t.match(stuck.of('w1')?.findings, [
    { kind: AuditFindingKind.STATE, network: 'back', text: /something else of network back/ },
  ])
  t.same(stuck.of('w2')?.findings, [], 'it holds nothing of that network')
  const noPaths = await audit(store, { 'id-w2': () => ({ told: [] }) })
  t.match(noPaths.of('w2')?.findings, [{ text: /how nodes are reached/ }])
  let times = 0
  const following = await audit(store, {
    'id-w1': () => {
      times += 1
      return times === 1 ? { told: paths } : {}
    },
  })
  t.same(following.of('w1')?.findings, [], 'news were on their way')
  t.equal(times, 2)
})

t.test('what a node tells of itself counts, also while it does not answer', async (t) => {
  const store = await aStore()
  await store.update((tx) => {
    const node = tx.get('nodes', 'id-w1')
    if (node?.description === undefined) return
    const conditions = [
      { code: 'PORT_TAKEN', message: 'port 80 is taken' },
      { code: 'PEER_UNREACHABLE', message: 'no answer from w2' },
    ]
    tx.update('nodes', { ...node, description: { ...node.description, conditions } })
  })
  const { of } = await audit(store, { 'id-w1': () => new Error('it is down') })
  t.match(of('w1'), {
    err: 'it is down',
    findings: [
      { kind: AuditFindingKind.HOST, text: 'port 80 is taken' },
      { kind: AuditFindingKind.PEER, text: 'no answer from w2' },
    ],
  })
})

t.test('answers come in their order, a few questions at a time', async (t) => {
  const open = new Map<number, () => void>()
  let most = 0
  const ask = async (item: number): Promise<number> => {
    most = Math.max(most, open.size + 1)
    await new Promise<void>((resolve) => open.set(item, resolve))
    open.delete(item)
    return item
  }
  const got: number[] = []
  const reading = (async () => {
    for await (const one of inOrderOfAnswer([1, 2, 3, 4], 2, ask)) got.push(one)
  })()
  for (const item of [2, 3, 1, 4]) {
    await new Promise((resolve) => setImmediate(resolve))
    open.get(item)?.()
  }
  await reading
  t.same(got, [2, 3, 1, 4])
  t.equal(most, 2)
})

t.test('of a bridge network a node is to know what is on itself', async (t) => {
  const store = await aStore()
  await store.update((tx) => {
    tx.create('networks', aNetwork({ id: 'near', driver: 'bridge', subnets: ['10.0.2.0/24'] }))
    const on = (id: string, node: string, address: string): void => {
      const task = { id, service: 'svc', node, attachments: { near: [address] } }
      tx.create('tasks', aTask({ ...task, specHash: 'spec-near' }))
    }
    tx.create('taskSpecs', aSpecRecord('spec-near', { networks: [{ target: 'near' }] }))
    on('n1', 'id-w1', '10.0.2.5')
    on('n2', 'id-w2', '10.0.2.6')
  })
  const told = (node: string, of = node): readonly ToldSubject[] => {
    const view = store.view((tx) => storeOverlay.view(tx, networkId('near')))
    if (view === undefined) throw new Error('no network')
    const back = node === 'id-w1' ? [] : [{ id: 'net-back', digest: '' }]
    return [...toldBy(store), ...back, { id: 'near', digest: viewDigest(viewAt(view, nodeId(of))) }]
  }
  const right = await audit(store, {
    'id-w1': () => ({ told: told('id-w1') }),
    'id-w2': () => ({ told: told('id-w2') }),
  })
  t.same(right.asked, ['m1', 'w1', 'w2'])
  t.same([right.of('w1')?.findings, right.of('w2')?.findings], [[], []])
  const wrong = await audit(store, {
    'id-w1': () => ({ told: told('id-w1', 'id-w2') }),
    'id-w2': () => ({ told: told('id-w2') }),
  })
  t.match(wrong.of('w1')?.findings, [{ text: /something else of network near/ }])
})
