import fc from 'fast-check'
import t from 'tap'
import { clusterFromProto, clusterToProto, clusterToPublicProto } from '../../../../proto/codec/cluster.ts'
import {
  nodeFromProto,
  nodeToProto,
  removedNodeFromProto,
  removedNodeToProto,
} from '../../../../proto/codec/node.ts'
import {
  serviceFromProto,
  serviceToProto,
  taskSpecRecordFromProto,
  taskSpecRecordToProto,
} from '../../../../proto/codec/service.ts'
import { taskFromProto, taskToProto } from '../../../../proto/codec/task.ts'
import * as proto from '../../../../proto/gen/tsswarm/v1/objects.ts'
import { specHash } from '../../../../proto/objects/index.ts'
import {
  anyCluster,
  anyNode,
  anyRemovedNode,
  anyService,
  anyTask,
  anyTaskSpec,
} from '../../../support/arbitraries.ts'
import { aCluster, aService, aTask } from '../../../support/builders.ts'

interface Wire<M> {
  encode(message: M): { finish(): Uint8Array }
  decode(bytes: Uint8Array): M
}

function travel<M>(wire: Wire<M>, message: M): M {
  return wire.decode(wire.encode(message).finish())
}

t.test('every object comes back from the wire as it was', async (t) => {
  const cases = {
    service: fc.property(anyService, (object) => {
      t.matchOnlyStrict(serviceFromProto(travel(proto.Service, serviceToProto(object))), object)
    }),
    task: fc.property(anyTask, (object) => {
      t.matchOnlyStrict(taskFromProto(travel(proto.Task, taskToProto(object))), object)
    }),
    node: fc.property(anyNode, (object) => {
      t.matchOnlyStrict(nodeFromProto(travel(proto.Node, nodeToProto(object))), object)
    }),
    cluster: fc.property(anyCluster, (object) => {
      t.matchOnlyStrict(clusterFromProto(travel(proto.Cluster, clusterToProto(object))), object)
    }),
    removedNode: fc.property(anyRemovedNode, (object) => {
      const back = travel(proto.RemovedNode, removedNodeToProto(object))
      t.matchOnlyStrict(removedNodeFromProto(back), object)
    }),
    taskSpecRecord: fc.property(anyTaskSpec, (spec) => {
      const object = { hash: specHash('h'), spec }
      const back = travel(proto.TaskSpecRecord, taskSpecRecordToProto(object))
      t.matchOnlyStrict(taskSpecRecordFromProto(back), object)
    }),
  }
  for (const property of Object.values(cases)) fc.assert(property, { numRuns: 60 })
})

t.test('a missing field is refused by name', async (t) => {
  const task = taskToProto(aTask())
  t.throws(() => taskFromProto({ ...task, meta: undefined }), /Task: field meta is missing/)
  t.throws(() => taskFromProto({ ...task, id: '' }), { code: 'INVALID_ARGUMENT' })
  const odd = { ...task, state: 7 as typeof task.state }
  t.throws(() => taskFromProto(odd), /state \(7\)/)
  t.throws(() => serviceFromProto({ ...serviceToProto(aService()), spec: undefined }), /spec/)
})

t.test('equal texts of many tasks can share one string', async (t) => {
  const seen: string[] = []
  taskFromProto(taskToProto(aTask({ message: 'started' })), (text) => {
    seen.push(text)
    return text
  })
  t.ok(seen.includes('service1'))
  t.ok(seen.includes('started'))
})

t.test('an answer holds no secret of the cluster', async (t) => {
  const answer = JSON.stringify(clusterToPublicProto(aCluster({ rootCaKeyPem: 'KEY' })))
  t.notMatch(answer, 'KEY')
  t.notMatch(answer, 'SWMTKN')
})
