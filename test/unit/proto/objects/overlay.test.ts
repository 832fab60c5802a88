// What a node has of a network that is each node's own.
import t from 'tap'
import { networkId, nodeId } from '../../../../proto/objects/index.ts'
import { viewAt } from '../../../../proto/objects/overlay.ts'
import {
  aNetwork,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'

const content = {
  services: [aServiceEndpoint('web'), aServiceEndpoint('db'), aServiceEndpoint('idle')],
  tasks: [
    aTaskEndpoint('web.1', 1, ['10.1.0.11']),
    aTaskEndpoint('web.2', 2, ['10.1.0.12']),
    aTaskEndpoint('db.1', 2, ['10.1.0.13'], { isServing: false }),
  ],
}

t.test('a view over all nodes is the same everywhere', async (t) => {
  const view = aView(aNetwork(1), content)
  t.equal(viewAt(view, nodeId('n1')), view)
})

t.test('of a local network a node has its own tasks, and services with one of them', async (t) => {
  const view = aView(aNetwork(1, { isLocal: true, vni: 0 }), content)
  const seen = (node: string) => {
    const { network, services, tasks } = viewAt(view, nodeId(node))
    t.equal(network.id, networkId('net1'))
    return [services.map(({ name }) => name), tasks.map(({ taskId }) => taskId)]
  }
  t.same(seen('n1'), [['web'], ['web.1']])
  t.same(seen('n2'), [
    ['web', 'db'],
    ['web.2', 'db.1'],
  ])
  t.same(seen('n3'), [[], []])
})
