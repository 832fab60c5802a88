// GetCluster, UpdateCluster, GetJoinTokens, RotateJoinToken.
import { clusterToPublicProto, parseClusterSpec } from '../../proto/codec/cluster.ts'
import { nodeRoleFromProto } from '../../proto/codec/node.ts'
import type { GetJoinTokensResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import type { ReadTx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { checkVersion, repeatable } from './writing.ts'

type ClusterHandlers = Pick<
  ControlApi,
  'getCluster' | 'updateCluster' | 'getJoinTokens' | 'rotateJoinToken'
>

export function clusterHandlers(deps: ControlDeps): ClusterHandlers {
  const { store, cluster } = deps
  return {
    getCluster: async (_, __, signal) => {
      await cluster.readBarrier(signal)
      return {
        cluster: clusterToPublicProto(store.view(theCluster)),
        nodeId: cluster.selfNodeId(),
        leaderNodeId: cluster.leaderNodeId() ?? '',
      }
    },
    updateCluster: async (_, request) => {
      const spec = parseClusterSpec(request.spec)
      await store.update(
        (tx) => {
          const current = theCluster(tx)
          checkVersion('the cluster', request.version, current.version)
          tx.update('cluster', { ...current, spec })
        },
        repeatable(request.requestId, 'UpdateCluster'),
      )
      return { cluster: clusterToPublicProto(store.view(theCluster)) }
    },
    getJoinTokens: async (_, __, signal) => {
      await cluster.readBarrier(signal)
      return store.view((tx) => joinTokens(deps, tx))
    },
    rotateJoinToken: async (_, request) => {
      const role = nodeRoleFromProto(request.role)
      const root = store.view(theCluster).rootCaCertPem
      // Made outside of the callback, which the store may run more than once.
      const token = deps.newJoinToken(root)
      await store.update(
        (tx) => {
          const current = theCluster(tx)
          tx.update('cluster', {
            ...current,
            ...(role === 'manager' ? { managerJoinToken: token } : { workerJoinToken: token }),
          })
        },
        repeatable(request.requestId, 'RotateJoinToken'),
      )
      return store.view((tx) => joinTokens(deps, tx))
    },
  }
}

function joinTokens(deps: ControlDeps, tx: ReadTx): GetJoinTokensResponse {
  const { workerJoinToken, managerJoinToken } = theCluster(tx)
  const self = tx.get('nodes', deps.cluster.selfNodeId())
  return {
    worker: workerJoinToken,
    manager: managerJoinToken,
    address: self?.manager?.address ?? '',
  }
}
