// Finding the other managers again after so many moved that none knows where the others are: an operator says where some of them
// are, each of those learns where all of them are, and Raft elects a leader.
import { hasCode, SwarmError } from '../../proto/errors.ts'
import type { RaftMember } from '../../proto/gen/tsswarm/v1/membership.ts'
import { type ExchangeDeps, exchangeAddresses } from './exchange-addresses.ts'

/** What became of an address that was named. */
export type Reconnected =
  | { readonly kind: 'found'; readonly address: string; readonly nodeId: string }
  | { readonly kind: 'self'; readonly address: string; readonly nodeId: string }
  | { readonly kind: 'failed'; readonly address: string; readonly error: SwarmError }

interface Asked {
  readonly address: string
  readonly outcome: RaftMember | SwarmError
}

/** Asks all addresses at once, then tells those that answered of each other. In the order given. Takes 6 s at most. */
export async function* reconnect(
  deps: ExchangeDeps,
  addresses: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<Reconnected, void, undefined> {
  const asked = await Promise.all(addresses.map((address) => ask(deps, address, [], signal)))
  const found = asked.flatMap(({ outcome }) => (outcome instanceof SwarmError ? [] : [outcome]))
  const self = deps.self().nodeId
  for (const { address, outcome } of await Promise.all(
    asked.map(async (one) =>
      one.outcome instanceof SwarmError || one.outcome.nodeId === self
        ? one
        : await ask(deps, one.address, found, signal),
    ),
  )) {
    if (outcome instanceof SwarmError) yield { kind: 'failed', address, error: outcome }
    else yield { kind: outcome.nodeId === self ? 'self' : 'found', address, nodeId: outcome.nodeId }
  }
}

async function ask(
  deps: ExchangeDeps,
  address: string,
  members: readonly RaftMember[],
  signal: AbortSignal,
): Promise<Asked> {
  try {
    return { address, outcome: await exchangeAddresses(deps, address, members, signal) }
  } catch (err) {
    return { address, outcome: reasonOf(err) }
  }
}

/** Why a manager of this cluster was not found at an address, in words that tell what to do. */
export function reasonOf(err: unknown): SwarmError {
  const text = err instanceof Error ? err.message : String(err)
  // gRPC has no code for a handshake that failed: OpenSSL's words are all there is.
  if (/certificate|self-signed|SSL|TLS|altname/i.test(text)) {
    return new SwarmError('PERMISSION_DENIED', `what answers there is no manager of this swarm`, {
      cause: err,
    })
  }
  if (hasCode(err, 'UNAVAILABLE', 'DEADLINE_EXCEEDED')) {
    return new SwarmError(
      'UNAVAILABLE',
      'no answer: check the address, that the daemon runs there, and that TCP port 2377 is open',
      { cause: err },
    )
  }
  return err instanceof SwarmError ? err : new SwarmError('INTERNAL', text, { cause: err })
}
