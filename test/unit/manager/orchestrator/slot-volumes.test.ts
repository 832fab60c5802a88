import t from 'tap'
import { reconcileReplicated } from '../../../../manager/orchestrator/replicated.ts'
import { slotVolumesOf } from '../../../../manager/orchestrator/slot-volumes.ts'
import { type Node, nodeId, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import { aDecisionEnv, aServiceView } from '../../../support/orchestration.ts'

function mounting(...sources: readonly string[]) {
  const mounts = sources.map((source, at) => ({ source, target: `/data${at}` }))
  return { mounts }
}

const stateful = aService({ replicas: 1, task: mounting('db-{{.Task.Slot}}') })
const up: Node[] = ['a', 'b'].map((id) => aNode({ id }))

function made(tasks: readonly Task[], nodes = up, service = stateful): readonly Task[] {
  const specs = [aSpecRecord('spec-1', { image: 'old' })]
  const view = aServiceView({ nodes, specs, service, tasks })
  return reconcileReplicated(view, aDecisionEnv()).changes.flatMap((change) =>
    change.kind === 'create' && change.table === 'tasks' ? [change.object] : [],
  )
}

const ended = { state: TaskState.FAILED, slotVolumes: ['db-1'] }

t.test('names of volumes that are a slot’s, as its node will name them', async (t) => {
  const task = mounting(
    'db-{{.Task.Slot}}',
    '{{.Service.Name}}-{{ .Task.Slot }}-{{index .Service.Labels "tier"}}{{.Service.Labels.x}}',
    '{{.Service.ID}}-{{.Task.Slot}}',
    '{{.Node.Hostname}}-{{.Task.Slot}}',
    'shared',
  )
  const service = aService({ id: 'svc', name: 'db', labels: { tier: 'back' }, task })
  t.strictSame(slotVolumesOf(service, 3), ['db-3', 'db-3-back', 'svc-3'])
  t.strictSame(slotVolumesOf(aService({ task: mounting('shared') }), 1), [])
})

t.test('a mount says itself whether its volume is a slot’s', async (t) => {
  const mounts = [
    { source: 'data', target: '/a', volumeAffinity: 'slot' as const },
    { source: 'x-{{.Task.Slot}}', target: '/b', volumeAffinity: 'none' as const },
  ]
  const service = aService({ task: { mounts } })
  t.strictSame(slotVolumesOf(service, 1), ['data'])
})

t.test('the first task of a slot is free to go anywhere', async (t) => {
  t.match(made([]), [{ slotVolumes: ['db-1'], volumeNodeId: undefined }])
})

t.test('the next one goes where the one before had its container', async (t) => {
  const before = aTask({ id: 't1', node: 'a', containerId: 'c1', ...ended })
  t.match(made([before]), [{ slot: 1, volumeNodeId: nodeId('a') }])
  const ran = aTask({ id: 't1', node: 'a', ranAtMs: 5, ...ended })
  t.match(made([ran]), [{ volumeNodeId: 'a' }])
  const never = aTask({ id: 't1', node: 'a', ranAtMs: 0, ...ended, state: TaskState.REJECTED })
  t.match(made([never]), [{ volumeNodeId: undefined }], 'it made no volume')
})

t.test('it is remembered over tasks that never got a node', async (t) => {
  const history = [
    aTask({ id: 't1', node: 'gone', ranAtMs: 5, createdAtMs: 1, ...ended }),
    aTask({
      id: 't2',
      createdAtMs: 2,
      ...ended,
      state: TaskState.SHUTDOWN,
      desiredState: TaskState.SHUTDOWN,
      volumeNode: 'gone',
    }),
  ]
  t.match(made(history), [{ volumeNodeId: 'gone' }])
  t.match(made(history.slice(1)), [{ volumeNodeId: 'gone' }], 'also when the first is forgotten')
})

t.test('a task off a lost node has its volumes there still', async (t) => {
  const nodes = [aNode({ id: 'a', state: 'down' }), aNode({ id: 'b' })]
  const lost = aTask({ id: 't1', node: 'a', ranAtMs: 5, slotVolumes: ['db-1'] })
  t.match(made([lost], nodes), [{ volumeNodeId: 'a' }])
})

t.test('an update keeps the place, in both orders; other volumes are at none', async (t) => {
  const old = { node: 'a', ranAtMs: 5, specHash: 'spec-1', slotVolumes: ['db-1'] }
  for (const order of ['stop-first', 'start-first'] as const) {
    const service = aService({
      task: mounting('db-{{.Task.Slot}}'),
      specHash: 'spec-2',
      specVersion: 2,
      update: { order },
    })
    t.match(made([aTask({ id: 't1', ...old })], up, service), [{ volumeNodeId: 'a' }], order)
  }
  const renamed = aService({ task: mounting('new-{{.Task.Slot}}'), specHash: 'n', specVersion: 2 })
  t.match(made([aTask({ id: 't1', ...old })], up, renamed), [{ volumeNodeId: undefined }])
})
