import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  clusterFromProto,
  clusterToProto,
  clusterToPublicProto,
} from '../../../../proto/codec/cluster.ts'
import { networkFromProto, networkToProto } from '../../../../proto/codec/network.ts'
import {
  nodeFromProto,
  nodeToProto,
  removedNodeFromProto,
  removedNodeToProto,
} from '../../../../proto/codec/node.ts'
import { payloadFromProto, payloadToProto } from '../../../../proto/codec/payload.ts'
import {
  registryLoginsFromProto,
  registryLoginsToProto,
} from '../../../../proto/codec/registry-login.ts'
import {
  serviceFromProto,
  serviceToProto,
  taskSpecRecordFromProto,
  taskSpecRecordToProto,
} from '../../../../proto/codec/service.ts'
import { stackRevisionFromProto, stackRevisionToProto } from '../../../../proto/codec/stack.ts'
import { taskFromProto, taskToProto } from '../../../../proto/codec/task.ts'
import * as proto from '../../../../proto/gen/tsswarm/v1/objects.ts'
import { specHash } from '../../../../proto/objects/index.ts'
import {
  anyCluster,
  anyNetwork,
  anyNode,
  anyPayload,
  anyRegistryLogins,
  anyRemovedNode,
  anyService,
  anyStackRevision,
  anyTask,
  anyTaskSpec,
} from '../../../support/arbitraries.ts'
import { aCluster, aService, aTask } from '../../../support/objects.ts'

interface Wire<M> {
  encode(message: M): { finish(): Uint8Array }
  decode(bytes: Uint8Array): M
}

function travel<M>(wire: Wire<M>, message: M): M {
  return wire.decode(wire.encode(message).finish())
}

function comesBack<T>(any: fc.Arbitrary<T>, roundTrip: (object: T) => T): void {
  const property = fc.property(any, (object) => isDeepStrictEqual(roundTrip(object), object))
  fc.assert(property, { numRuns: 100 })
}

t.test('every object comes back from the wire as it was', async (t) => {
  comesBack(anyService, (object) => serviceFromProto(travel(proto.Service, serviceToProto(object))))
  comesBack(anyTask, (object) => taskFromProto(travel(proto.Task, taskToProto(object))))
  comesBack(anyNode, (object) => nodeFromProto(travel(proto.Node, nodeToProto(object))))
  comesBack(anyCluster, (object) => clusterFromProto(travel(proto.Cluster, clusterToProto(object))))
  comesBack(anyRemovedNode, (object) =>
    removedNodeFromProto(travel(proto.RemovedNode, removedNodeToProto(object))),
  )
  comesBack(anyNetwork, (object) => networkFromProto(travel(proto.Network, networkToProto(object))))
  comesBack(anyPayload, (object) => payloadFromProto(travel(proto.Payload, payloadToProto(object))))
  comesBack(anyRegistryLogins, (object) =>
    registryLoginsFromProto(travel(proto.RegistryLogins, registryLoginsToProto(object))),
  )
  comesBack(anyStackRevision, (object) =>
    stackRevisionFromProto(travel(proto.StackRevision, stackRevisionToProto(object))),
  )
  comesBack(anyTaskSpec, (spec) => {
    const message = taskSpecRecordToProto({ hash: specHash('h'), spec })
    return taskSpecRecordFromProto(travel(proto.TaskSpecRecord, message)).spec
  })
  t.pass()
})

t.test('what came with networks is not written where it says nothing', async (t) => {
  t.same(clusterToProto(aCluster({})).spec?.defaultAddressPools, [])
  t.match(clusterToProto(aCluster({})).spec, { subnetSize: 0, dataPathPort: 0 })
  t.match(serviceToProto(aService({})), { endpoint: undefined, spec: { endpointMode: '' } })
})

t.test('a missing field is refused by name', async (t) => {
  const task = taskToProto(aTask({}))
  t.throws(() => taskFromProto({ ...task, meta: undefined }), /Task: field meta is missing/)
  t.throws(() => taskFromProto({ ...task, id: '' }), { code: 'INVALID_ARGUMENT' })
  const odd = { ...task, state: 7 as typeof task.state }
  t.throws(() => taskFromProto(odd), /state \(7\)/)
  t.throws(() => serviceFromProto({ ...serviceToProto(aService({})), spec: undefined }), /spec/)
})

t.test('equal texts of many tasks can share one string', async (t) => {
  const seen: string[] = []
  taskFromProto(taskToProto({ ...aTask({}), message: 'started' }), (text) => {
    seen.push(text)
    return text
  })
  t.ok(seen.includes('service-1'))
  t.ok(seen.includes('started'))
})

t.test('an answer holds no secret of the cluster', async (t) => {
  const secrets = { rootCaKeyPem: 'KEY', workerJoinToken: 'SWMTKN', managerJoinToken: 'SWMTKN' }
  const answer = JSON.stringify(clusterToPublicProto({ ...aCluster({}), ...secrets }))
  t.notMatch(answer, 'KEY')
  t.notMatch(answer, 'SWMTKN')
})
