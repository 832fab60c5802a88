// Why sessions end, in words that an operator of the node reads.
import { SwarmError } from '../../proto/errors.ts'
import type { NodeId } from '../../proto/objects/index.ts'

export function removed(id: NodeId): SwarmError {
  return new SwarmError(
    'PERMISSION_DENIED',
    `node ${id} is not part of the cluster: it was removed, let it leave and join again`,
  )
}

export function replaced(id: NodeId): SwarmError {
  return new SwarmError(
    'ALREADY_EXISTS',
    `node ${id} has a newer session, or is no longer part of the cluster`,
  )
}

export function leaderless(): SwarmError {
  return new SwarmError('NO_LEADER', 'this manager has had no leader for 5 s: try another one')
}

export function stopping(): SwarmError {
  return new SwarmError('UNAVAILABLE', 'this manager is stopping: try another one')
}

export function overtaken(known: number, own: number): SwarmError {
  return new SwarmError(
    'UNAVAILABLE',
    `the swarm was recovered without this manager: the node knows its epoch ${known}, this manager only ${own}. ` +
      'Make this host leave with `tsswarm swarm leave --force`, and join it anew',
  )
}
