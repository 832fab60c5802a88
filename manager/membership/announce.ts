// A manager makes itself known: joins Raft after its promotion, and re-announces its addresses when they changed.
import type { MethodDefinition } from '@grpc/grpc-js'
import { Client } from '@grpc/grpc-js'
import { SwarmError } from '../../proto/errors.ts'
import {
  type JoinRaftRequest,
  type JoinRaftResponse,
  ManagerPeerService,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import { createBackoff } from '../../proto/lib/backoff.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { IdentitySource, ManagerInfo, NodeId } from '../../proto/objects/index.ts'
import { unary } from '../../proto/rpc/call.ts'
import { channelCredentials, channelOptions, managerName } from '../../proto/rpc/channel.ts'
import type { RaftPeer } from '../raft/raft-handle.ts'
import type { Store } from '../store/store.ts'

const settledMs = 5_000
const callMs = 5_000

export interface AnnounceDeps {
  readonly self: NodeId
  readonly info: ManagerInfo
  readonly store: Store
  readonly identity: IdentitySource
  /** host:port of managers to ask, besides those in the store. */
  readonly known: () => readonly string[]
  /** The members that the leader named. */
  readonly onMembers: (peers: readonly RaftPeer[]) => void
  readonly featureLevel: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface Announcement extends NamedLoop {
  /** Why the cluster does not take this manager as it is (UNSUPPORTED); undefined while it may. */
  refusal(): SwarmError | undefined
}

/** Runs as long as the manager does; goes on asking after a refusal. */
export function announceLoop(deps: AnnounceDeps): Announcement {
  let refusal: SwarmError | undefined
  return {
    refusal: () => refusal,
    name: 'announce',
    run: async (signal) => {
      const { clock, random } = deps
      const backoff = createBackoff({ firstMs: 100, maxMs: 2_000, random })
      while (!signal.aborted) {
        if (isAnnounced(deps)) {
          backoff.reset()
          await wait(clock, settledMs, signal)
        } else {
          // The answer's members let the leader in; what it replicates then settles this.
          refusal = await announce(deps, signal)
          await wait(clock, backoff.nextMs(), signal)
        }
      }
    },
  }
}

function isAnnounced({ store, self, info }: AnnounceDeps): boolean {
  const node = store.view((tx) => tx.get('nodes', self))
  if (node?.role === 'worker') return true
  const { manager } = node ?? {}
  return (
    manager?.raftId === info.raftId &&
    manager.address === info.address &&
    manager.raftAddress === info.raftAddress
  )
}

/** The refusal, if it was one. */
async function announce(deps: AnnounceDeps, signal: AbortSignal): Promise<SwarmError | undefined> {
  const inStore = deps.store.view((tx) =>
    [...tx.all('nodes')].flatMap(({ id, manager }) =>
      manager === undefined || id === deps.self ? [] : [manager.address],
    ),
  )
  for (const address of new Set([...inStore, ...deps.known()])) {
    if (signal.aborted) return undefined
    if (address === deps.info.address) continue
    try {
      const { members } = await join(deps, address, signal)
      deps.onMembers(
        members.map(({ raftId: id, nodeId, raftAddress }) => ({
          id,
          nodeId,
          address: raftAddress,
        })),
      )
      deps.log.info({ address }, 'this manager is announced')
      return undefined
    } catch (err) {
      if (err instanceof SwarmError && err.code === 'UNSUPPORTED') {
        deps.log.error({ address, err }, 'the cluster does not take this manager')
        return err
      }
      deps.log.warn({ address, err }, 'this manager could not be announced')
    }
  }
  return undefined
}

async function join(
  { info, identity, random, featureLevel }: AnnounceDeps,
  address: string,
  signal: AbortSignal,
): Promise<JoinRaftResponse> {
  const credentials = channelCredentials(identity.current())
  const client = new Client(address, credentials, channelOptions(managerName))
  const method: MethodDefinition<JoinRaftRequest, JoinRaftResponse> = ManagerPeerService.joinRaft
  try {
    const { raftId, raftAddress, address: own } = info
    const request = {
      requestId: newId(random),
      manager: { raftId, raftAddress, address: own },
      featureLevel,
    }
    return await unary(client, method, request, { deadlineMs: callMs, signal })
  } finally {
    client.close()
  }
}
