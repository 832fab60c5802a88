// What does not work on a node, wherever nodes are shown.
import t from 'tap'
import { nodeProblems } from '../../../../cli/render/node-list.ts'
import { prettyNode } from '../../../../cli/render/node-pretty.ts'
import { nodeFromProto, nodeToProto } from '../../../../proto/codec/node.ts'
import { nodeJson } from '../../../../proto/docker/node-json.ts'
import type { NodeView } from '../../../../proto/gen/tsswarm/v1/control.ts'
import type { Node } from '../../../../proto/objects/index.ts'
import { aNode } from '../../../support/objects.ts'

function withProblems(...problems: readonly string[]): Node {
  const node = aNode({ id: 'n1', hostname: 'host' })
  return { ...node, description: node.description && { ...node.description, problems } }
}

const viewOf = (node: Node): NodeView => ({
  node: nodeToProto(node),
  leader: false,
  reachability: 0,
})

t.test('each problem is a line of its own, with the name of the node', async (t) => {
  const views = [viewOf(aNode({ id: 'n2' })), viewOf(withProblems('no bus', 'no disk'))]
  t.strictSame(nodeProblems(views), ['node host: no bus', 'node host: no disk'])
})

t.test('inspect shows them too', async (t) => {
  t.match(prettyNode(viewOf(withProblems('no bus'))), /^Problem:\t\tno bus$/m)
  t.notMatch(prettyNode(viewOf(aNode({}))), /Problem/)
  t.match(nodeJson(withProblems('no bus', 'no disk'), undefined), {
    Status: { Message: 'no bus; no disk' },
  })
})

t.test('they pass through protobuf, and none stays none', async (t) => {
  const node = withProblems('no bus')
  t.same(nodeFromProto(nodeToProto(node)).description, node.description)
  t.notOk('problems' in (nodeFromProto(nodeToProto(aNode({}))).description ?? {}))
})
