// What users may do in containers, and see of what they use: the handlers of the control API, wired to a manager's parts.
import { ManagerPeerService } from '../../proto/gen/tsswarm/v1/membership.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { duplexCall } from '../../proto/rpc/duplex.ts'
import type { ClusterDirectory } from '../cluster-directory.ts'
import type { AdapterDeps, HandlerTable } from '../rpc/adapter.ts'
import type { ManagerChannels } from '../rpc/forward.ts'
import type { Store } from '../store/store.ts'
import { noteAccess } from './access-record.ts'
import { nodeStreams } from './node-streams.ts'
import { openStream } from './open-stream.ts'
import type { StreamHub } from './stream-hub.ts'
import { taskUsages } from './task-usages.ts'

export interface StreamHandlersDeps {
  readonly store: Store
  readonly directory: Pick<ClusterDirectory, 'selfNodeId' | 'readBarrier'>
  readonly channels: ManagerChannels
  readonly streams: StreamHub
  readonly onLeader: NonNullable<AdapterDeps['onLeader']>
  readonly clock: Clock
}

export function streamHandlers({
  store,
  directory: cluster,
  channels,
  streams: hub,
  onLeader,
  clock,
}: StreamHandlersDeps): HandlerTable {
  const openNode = nodeStreams({
    selfNodeId: cluster.selfNodeId,
    hub,
    openRelay: (manager, signal) =>
      duplexCall(channels.client(manager), ManagerPeerService.relayStream, signal),
  })
  const deps = { store, cluster, openNode, clock }
  return {
    openStream: openStream({
      ...deps,
      note: async (caller, request, signal) => {
        const method = ManagerPeerService.noteAccess
        const here = (): Promise<unknown> => noteAccess(store, caller, request)
        await onLeader(method as never, { caller, request, signal }, here)
      },
    }),
    taskUsages: taskUsages(deps),
  }
}
