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
import { childController, type NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { IdentitySource, ManagerInfo, NodeId } from '../../proto/objects/index.ts'
import { unary } from '../../proto/rpc/call.ts'
import { channelCredentials, channelOptions, managerName } from '../../proto/rpc/channel.ts'
import type { RaftPeer } from '../raft/raft-handle.ts'
import type { Store } from '../store/store.ts'
import type { AddressBook } from './address-book.ts'
import { exchangeAddresses } from './exchange-addresses.ts'

const settledMs = 5_000
const callMs = 5_000
/** Telling of a move waits so long for the first answer, and then so long for others. */
const tellMs = 3_000
const companyMs = 200

export interface AnnounceDeps {
  readonly self: NodeId
  /** Where it is reached now. */
  readonly info: () => ManagerInfo
  readonly store: Store
  readonly book: AddressBook
  readonly identity: IdentitySource
  /** host:port of managers to ask, besides those in the store. */
  readonly known: () => readonly string[]
  /** The members that the leader named. */
  readonly onMembers: (peers: readonly RaftPeer[]) => void
  /** Whether Raft knows a leader here. */
  readonly hasLeader: () => boolean
  /** Whether this manager leads, and so need not ask anybody. */
  readonly leads: () => boolean
  /** JoinRaft, served by this manager. */
  readonly joinHere: (request: JoinRaftRequest) => Promise<JoinRaftResponse>
  readonly featureLevel: number
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface Announcement extends NamedLoop {
  /** Why the cluster does not take this manager as it is (UNSUPPORTED); undefined while it may. */
  refusal(): SwarmError | undefined
  /** Begin anew at once: this manager has moved, or others were found. */
  now(): void
}

/** Runs as long as the manager does; goes on asking after a refusal. */
export function announceLoop(deps: AnnounceDeps): Announcement {
  let refusal: SwarmError | undefined
  let { controller: waiting } = childController()
  return {
    refusal: () => refusal,
    now: () => waiting.abort(),
    name: 'announce',
    run: async (signal) => {
      const { clock, random } = deps
      const backoff = createBackoff({ firstMs: 100, maxMs: 2_000, random })
      let hadLeader = true
      while (!signal.aborted) {
        const { controller, release } = childController(signal)
        waiting = controller
        if (isAnnounced(deps)) {
          backoff.reset()
          // The store of a manager that was let go of may never have heard so, and then of its being wanted again.
          if (!hadLeader && !deps.hasLeader()) await announce(deps, controller.signal)
          hadLeader = deps.hasLeader()
          await wait(clock, settledMs, controller.signal)
        } else {
          // The answer's members let the leader in; what it replicates then settles this.
          refusal = await announce(deps, controller.signal)
          await wait(clock, backoff.nextMs(), controller.signal)
        }
        release()
      }
    },
  }
}

/** Whether the store has this manager with its present addresses. */
export function isAnnounced({
  store,
  self,
  info,
}: Pick<AnnounceDeps, 'store' | 'self' | 'info'>): boolean {
  const node = store.view((tx) => tx.get('nodes', self))
  if (node?.role === 'worker') return true
  const { manager } = node ?? {}
  const now = info()
  return (
    manager?.raftId === now.raftId &&
    manager.address === now.address &&
    manager.raftAddress === now.raftAddress
  )
}

/** The refusal, if it was one. */
async function announce(deps: AnnounceDeps, signal: AbortSignal): Promise<SwarmError | undefined> {
  if (deps.leads()) return await attempt(deps, 'this manager', () => deps.joinHere(requestOf(deps)))
  const inBook = deps.book
    .managers()
    .flatMap(({ nodeId, info }) => (nodeId === deps.self ? [] : [info.address]))
  const others = new Set([...inBook, ...deps.known()])
  others.delete(deps.info().address)
  for (const address of await tellOfMove(deps, [...others], signal)) {
    if (signal.aborted) return undefined
    let isDone = false
    const refusal = await attempt(deps, address, async () => {
      const answer = await join(deps, address, signal)
      isDone = true
      return answer
    })
    if (isDone || refusal !== undefined) return refusal
  }
  return undefined
}

/**
 * A member of Raft that moved tells all others where it is now: without that they may find no leader to write it down.
 * The addresses that answered; all of them when none did.
 */
async function tellOfMove(
  deps: AnnounceDeps,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { store, self, info, book, identity, clock, log } = deps
  const stored = store.view((tx) => tx.get('nodes', self))?.manager
  if (stored?.raftId !== info().raftId || isAnnounced(deps)) return addresses
  const { address, raftAddress, raftId } = info()
  log.info({ from: stored.address, to: address }, 'this manager has moved: telling the others')
  const member = { nodeId: self, raftId, address, raftAddress }
  const answered = new Set<string>()
  const first = childController()
  const tell = async (other: string): Promise<void> => {
    try {
      await exchangeAddresses({ self: () => member, book, identity }, other, [], signal)
      answered.add(other)
      first.controller.abort()
    } catch (err) {
      log.debug({ address: other, err }, 'a manager does not hear of the move')
    }
  }
  const all = Promise.all(addresses.map(tell))
  // Addresses where nobody is any more take seconds to say so.
  const late = wait(clock, tellMs, first.controller.signal).then(() => wait(clock, companyMs))
  await Promise.race([all, late])
  first.controller.abort()
  // Nobody else is there to ask, unless none was.
  return answered.size > 0 ? [...answered] : addresses
}

async function attempt(
  { onMembers, log }: AnnounceDeps,
  address: string,
  join: () => Promise<JoinRaftResponse>,
): Promise<SwarmError | undefined> {
  try {
    const { members } = await join()
    onMembers(
      members.map(({ raftId: id, nodeId, raftAddress }) => ({ id, nodeId, address: raftAddress })),
    )
    log.info({ address }, 'this manager is announced')
    return undefined
  } catch (err) {
    if (err instanceof SwarmError && err.code === 'UNSUPPORTED') {
      log.error({ address, err }, 'the cluster does not take this manager')
      return err
    }
    log.warn({ address, err }, 'this manager could not be announced')
  }
  return undefined
}

function requestOf({ info, random, featureLevel }: AnnounceDeps): JoinRaftRequest {
  return { requestId: newId(random), manager: { ...info() }, featureLevel }
}

async function join(
  deps: AnnounceDeps,
  address: string,
  signal: AbortSignal,
): Promise<JoinRaftResponse> {
  const credentials = channelCredentials(deps.identity.current())
  const client = new Client(address, credentials, channelOptions(managerName))
  const method: MethodDefinition<JoinRaftRequest, JoinRaftResponse> = ManagerPeerService.joinRaft
  try {
    return await unary(client, method, requestOf(deps), { deadlineMs: callMs, signal })
  } finally {
    client.close()
  }
}
