import t from 'tap'
import type { AskNode } from '../../../../manager/diagnosis/node-asker.ts'
import { nodeVolumes } from '../../../../manager/diagnosis/node-volumes.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import type { NodeVolumesRequest } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import { collect } from '../../../support/control.ts'
import { anAudit } from '../../../support/diagnosis.ts'
import { aNode } from '../../../support/objects.ts'

const caller = { kind: 'local-admin', nodeId: nodeId('id-m1') } as const
const never = new AbortController().signal
const list = { kind: { $case: 'list', value: {} } } as const

async function asked(request: NodeVolumesRequest, ask: AskNode) {
  const store = createMemoryStore({ clock: systemClock, random: seededRandom(1) })
  await store.update((tx) => {
    for (const id of ['m1', 'w1', 'w2']) tx.create('nodes', aNode({ id: `id-${id}`, hostname: id }))
  })
  const cluster = { selfNodeId: () => nodeId('id-m1'), readBarrier: async () => {} }
  return await collect(nodeVolumes({ store, cluster, ask })(caller, request, never))
}

t.test(
  'all nodes, or those that are named, each with its answer or why there is none',
  async (t) => {
    const ask: AskNode = async (node) => {
      if (node.id === 'id-w1') throw new SwarmError('UNAVAILABLE', 'it is down')
      if (node.id === 'id-w2') return { $case: 'audit', value: anAudit() }
      const value = { volumes: [], reclaimedBytes: 7, error: '', errorCode: '' }
      return { $case: 'volume', value }
    }
    const messages = await asked({ nodes: [], request: list }, ask)
    t.match(messages[0], { kind: { $case: 'asked', value: { names: ['m1', 'w1', 'w2'] } } })
    const answers = new Map(
      messages.flatMap(({ kind }) =>
        kind?.$case === 'answer' ? [[kind.value.name, kind.value]] : [],
      ),
    )
    t.match(answers.get('m1'), { err: '', reply: { reclaimedBytes: 7 } })
    t.match(answers.get('w1'), { err: 'it is down', reply: undefined })
    t.match(answers.get('w2'), { err: /upgrade it/ })
    const some = await asked({ nodes: ['self', 'm1'], request: list }, ask)
    t.equal(some.length, 2, 'the same node is asked once')
    await t.rejects(asked({ nodes: ['x'], request: list }, ask), { code: 'NOT_FOUND' })
    await t.rejects(asked({ nodes: [], request: undefined }, ask), { code: 'INVALID_ARGUMENT' })
  },
)
