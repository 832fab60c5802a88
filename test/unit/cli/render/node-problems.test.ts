// What does not work on a node, wherever nodes are shown.
import t from 'tap'
import { renderList } from '../../../../cli/render/list-format.ts'
import { nodeListViewOf, nodeProblems, nodeRows } from '../../../../cli/render/node-list.ts'
import { prettyNode } from '../../../../cli/render/node-pretty.ts'
import {
  nodeDescriptionFromProto,
  nodeFromProto,
  nodeToProto,
} from '../../../../proto/codec/node.ts'
import { nodeJson } from '../../../../proto/docker/node-json.ts'
import type { NodeView } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { type Node, type NodeCondition, serviceId } from '../../../../proto/objects/index.ts'
import { aNode } from '../../../support/objects.ts'

function withConditions(...conditions: readonly NodeCondition[]): Node {
  const node = aNode({ id: 'n1', hostname: 'host' })
  return { ...node, description: node.description && { ...node.description, conditions } }
}

const noBus: NodeCondition = { code: 'BUS_DOWN', message: 'no bus' }
const taken: NodeCondition = { code: 'PORT_TAKEN', message: 'no port', serviceId: serviceId('s1') }

const viewOf = (node: Node): NodeView => ({
  node: nodeToProto(node),
  leader: false,
  reachability: 0,
})

t.test('each problem is a line of its own, with the name of the node', async (t) => {
  const views = [viewOf(aNode({ id: 'n2' })), viewOf(withConditions(noBus, taken))]
  t.strictSame(nodeProblems(views), ['node host: no bus', 'node host: no port'])
  t.strictSame(nodeProblems(views, new Set(['s1'])), ['node host: no port'], 'of one service')
})

t.test('node ls has a column for their codes, but only when there are some', async (t) => {
  const other = { ...taken, message: 'no other port' }
  const views = [viewOf(aNode({ id: 'n2' })), viewOf(withConditions(noBus, taken, other))]
  const rows = nodeRows(views, 'n2')
  const lines = renderList(nodeListViewOf(rows), rows, {}).split('\n')
  t.match(lines[0], /ENGINE VERSION +PROBLEMS$/)
  t.ok(
    lines.some((line) => line.endsWith(' BUS_DOWN, PORT_TAKEN x2')),
    lines.join('\n'),
  )
  const well = nodeRows([viewOf(aNode({ id: 'n2' }))], 'n2')
  t.notMatch(renderList(nodeListViewOf(well), well, {}), /PROBLEMS/)
  t.equal(renderList(nodeListViewOf(well), well, { format: '{{.Status}}{{.Problems}}' }), 'Ready\n')
  const [old] = nodeRows([viewOf(withConditions({ code: '', message: 'of an old program' }))], '')
  t.equal(old?.Problems, 'OTHER')
})

t.test('inspect shows them too', async (t) => {
  t.match(prettyNode(viewOf(withConditions(noBus))), /^Problem:\t\tBUS_DOWN: no bus$/m)
  t.match(prettyNode(viewOf(withConditions({ code: '', message: 'old' }))), /^Problem:\t\told$/m)
  t.notMatch(prettyNode(viewOf(aNode({}))), /Problem/)
  t.match(nodeJson(withConditions(noBus, taken), undefined), {
    Status: {
      Message: 'no bus; no port',
      Conditions: [
        { Code: 'BUS_DOWN', Message: 'no bus' },
        { Code: 'PORT_TAKEN', Message: 'no port', ServiceID: 's1' },
      ],
    },
  })
  t.notOk('Conditions' in Object(Object(nodeJson(aNode({}), undefined)).Status))
})

t.test('they pass through protobuf, and none stays none', async (t) => {
  const node = withConditions(noBus, taken)
  t.strictSame(nodeFromProto(nodeToProto(node)).description, node.description)
  t.notOk('conditions' in (nodeFromProto(nodeToProto(aNode({}))).description ?? {}))
})

t.test('what an older program called problems is read', async (t) => {
  const { description } = nodeToProto(aNode({}))
  if (description === undefined) throw new Error('no description')
  const { conditions } = nodeDescriptionFromProto({ ...description, problems: ['no bus'] })
  t.strictSame(conditions, [{ code: '', message: 'no bus' }])
})
