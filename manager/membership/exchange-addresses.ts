// Managers tell each other where they are, without a leader: what one says of itself, and whom it has just spoken with. Addresses
// prove nothing: whoever dials one demands the certificate of the node that it expects there.
import { Client } from '@grpc/grpc-js'
import { SwarmError } from '../../proto/errors.ts'
import {
  type ExchangeAddressesRequest,
  ManagerPeerService,
  type RaftMember,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import type { IdentitySource, NodeId } from '../../proto/objects/index.ts'
import { unary } from '../../proto/rpc/call.ts'
import { channelCredentials, channelOptions, managerName } from '../../proto/rpc/channel.ts'
import type { AddressBook } from './address-book.ts'

/** More managers than a cluster has: somebody makes them up. */
const membersMax = 64
const callMs = 3_000

export interface ExchangeDeps {
  /** This manager and where it is reached now. */
  readonly self: () => RaftMember
  readonly book: AddressBook
  readonly identity: IdentitySource
}

/**
 * Tells the manager at an address where this one is, and who else was spoken with; returns the same of the other.
 * Errors: UNAVAILABLE or DEADLINE_EXCEEDED (3 s), PERMISSION_DENIED, FAILED_PRECONDITION when this node does not know it.
 */
export async function exchangeAddresses(
  { self, book, identity }: ExchangeDeps,
  address: string,
  members: readonly RaftMember[],
  signal: AbortSignal,
): Promise<RaftMember> {
  const credentials = channelCredentials(identity.current())
  const client = new Client(address, credentials, channelOptions(managerName))
  const request: ExchangeAddressesRequest = { self: self(), members: [...members] }
  const options = { deadlineMs: callMs, signal }
  try {
    const { self: other } = await unary(
      client,
      ManagerPeerService.exchangeAddresses,
      request,
      options,
    )
    const checked = checkedMember(other)
    if (book.learn([checked]).length > 0) return checked
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `node ${checked.nodeId} is no manager as far as this node knows: ask another manager`,
    )
  } finally {
    client.close()
  }
}

/** What a manager says, taken over: of itself, and of others. Errors: INVALID_ARGUMENT, PERMISSION_DENIED. */
export function takeAddresses(
  book: AddressBook,
  caller: NodeId,
  request: ExchangeAddressesRequest,
): void {
  const self = checkedMember(request.self)
  if (self.nodeId !== caller) {
    throw new SwarmError('PERMISSION_DENIED', `node ${caller} is not node ${self.nodeId}`)
  }
  if (request.members.length > membersMax) {
    throw new SwarmError('INVALID_ARGUMENT', `more than ${membersMax} managers are named`)
  }
  // Nobody knows better than the manager itself.
  const others = request.members.map(checkedMember).filter(({ nodeId }) => nodeId !== caller)
  if (book.learn([...others, self]).includes(caller)) return
  throw new SwarmError(
    'PERMISSION_DENIED',
    `node ${caller} is no member of Raft under the id it gives`,
  )
}

function checkedMember(member: RaftMember | undefined): RaftMember {
  const isGood =
    member !== undefined &&
    [member.nodeId, member.raftId].every((id) => /^[\w-]{1,64}$/.test(id)) &&
    [member.address, member.raftAddress].every(isAddress)
  if (isGood) return member
  throw new SwarmError('INVALID_ARGUMENT', 'a manager must name itself and its addresses')
}

/** host:port or [v6]:port */
function isAddress(text: string): boolean {
  const port = /^(?:\[[0-9a-fA-F:.%]{2,64}\]|[\w.-]{1,253}):(\d{1,5})$/.exec(text)?.[1]
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535
}
