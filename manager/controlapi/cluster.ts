// GetCluster, UpdateCluster, GetJoinTokens, RotateJoinToken.

import { clusterToPublicProto, parseClusterSpec } from '../../proto/codec/cluster.ts'
import { nodeRoleFromProto } from '../../proto/codec/node.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { GetJoinTokensResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import { isSameValue } from '../../proto/lib/same-value.ts'
import {
  containerOptionsLevel,
  optionsLevel,
  stackHistoryLevel,
} from '../../proto/objects/index.ts'
import {
  type ClusterSpec,
  defaultPayloadHistoryLimit,
  defaultRebalance,
  defaultStackHistoryLimit,
} from '../../proto/spec/cluster-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { requireLevel } from './require-level.ts'
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
          refuseFixed(current.spec, spec)
          requireKnown(tx, spec)
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

const fixed = ['defaultAddressPools', 'subnetSize', 'dataPathPort'] as const

/** Nodes and networks were built on them. Errors: INVALID_ARGUMENT. */
function refuseFixed(before: ClusterSpec, spec: ClusterSpec): void {
  const field = fixed.find((name) => !isSameValue(before[name], spec[name]))
  if (field === undefined) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `the cluster is not valid: ${field} cannot change from ${before[field]} to ${spec[field]}: it is set by ` +
      '"tsswarm swarm init"',
    { details: { field } },
  )
}

/** Errors: FAILED_PRECONDITION while a manager of an older version would drop them. */
function requireKnown(tx: ReadTx, spec: ClusterSpec): void {
  const { rebalance, payloadHistoryLimit, stackHistoryLimit, allowPrivileged } = spec
  const isUsual =
    isSameValue(rebalance, defaultRebalance) && payloadHistoryLimit === defaultPayloadHistoryLimit
  const what = 'the change of the cluster'
  if (!isUsual) requireLevel(tx, optionsLevel, what, 'rebalance and version history')
  if (allowPrivileged) requireLevel(tx, containerOptionsLevel, what, 'privileged services')
  if (stackHistoryLimit === defaultStackHistoryLimit) return
  requireLevel(tx, stackHistoryLevel, what, 'the history of stacks')
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
