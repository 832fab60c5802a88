// Whose a published port is on this host: ours, or that of a program that had it first. Pure. Who asks the host is
// port-guard.ts.
import {
  bindsMeet,
  type ConditionCode,
  type NodeCondition,
  type ServiceId,
} from '../../proto/objects/index.ts'
import type { ListeningSocket } from './listening-sockets.ts'
import type { PortProtocol } from './network-state.ts'

/** A port that this node is to open. */
export interface PortClaim {
  readonly protocol: PortProtocol
  readonly port: number
  /** Empty: all addresses. */
  readonly bindAddress: string
  /** Whether it is open over IPv6 as well. */
  readonly hasIpv6: boolean
  /** For texts: `service "web"`. */
  readonly owner: string
  readonly serviceId?: ServiceId
  /** A port in host mode was refused, or is open. */
  readonly isOpen: boolean
}

export interface Verdict {
  /** Open, or to be opened. */
  readonly held: ReadonlySet<string>
  /** Left to the program that had it first. */
  readonly blocked: ReadonlyMap<string, ListeningSocket>
  /** Ours, while a program that came later waits on it in vain. */
  readonly shadowed: ReadonlyMap<string, ListeningSocket>
}

export const nothingClaimed: Verdict = {
  held: new Set(),
  blocked: new Map(),
  shadowed: new Map(),
}

export function claimKey(claim: Pick<PortClaim, 'protocol' | 'port' | 'bindAddress'>): string {
  return `${claim.protocol}/${claim.port}/${claim.bindAddress}`
}

/** `held`: what this node has open. What is not in it is opened only where nobody else waits. */
export function judgeClaims(
  claims: readonly PortClaim[],
  sockets: readonly ListeningSocket[],
  held: ReadonlySet<string>,
): Verdict {
  const verdict = {
    held: new Set<string>(),
    blocked: new Map<string, ListeningSocket>(),
    shadowed: new Map<string, ListeningSocket>(),
  }
  const byPort = new Map<string, ListeningSocket[]>()
  for (const socket of sockets) {
    const key = `${socket.protocol}/${socket.port}`
    byPort.set(key, [...(byPort.get(key) ?? []), socket])
  }
  for (const claim of claims) {
    const key = claimKey(claim)
    const rivals = byPort.get(`${claim.protocol}/${claim.port}`) ?? []
    const rival = rivals.find((socket) => meets(claim, socket.address))
    const isHeld = claim.isOpen || held.has(key)
    if (rival !== undefined) (isHeld ? verdict.shadowed : verdict.blocked).set(key, rival)
    if (rival === undefined || isHeld) verdict.held.add(key)
  }
  return verdict
}

/** Whether both would get packets sent to the same address. ::1 is not led away from the host (see loopback-listener.ts). */
function meets({ bindAddress, hasIpv6 }: PortClaim, address: string | undefined): boolean {
  if (address === '::1') return false
  const isIpv6 = address?.includes(':') ?? false
  if (bindAddress === '' && !hasIpv6) return !isIpv6
  return bindsMeet(bindAddress, address ?? '')
}

/** What to tell of it, in the order of the claims. */
export function claimConditions(
  claims: readonly PortClaim[],
  { blocked, shadowed }: Pick<Verdict, 'blocked' | 'shadowed'>,
): readonly NodeCondition[] {
  return claims.flatMap((claim) => {
    const key = claimKey(claim)
    const [first, late] = [blocked.get(key), shadowed.get(key)]
    if (first !== undefined) return [condition('PORT_TAKEN', claim, takenText(claim, first))]
    return late === undefined ? [] : [condition('PORT_SHADOWED', claim, lateText(claim, late))]
  })
}

function condition(code: ConditionCode, { serviceId }: PortClaim, message: string): NodeCondition {
  return { code, message, ...(serviceId !== undefined && { serviceId }) }
}

function takenText(claim: PortClaim, socket: ListeningSocket): string {
  return (
    `port ${claim.port}/${claim.protocol} of ${claim.owner} is held by ${programOf(socket)} on ${addressOf(socket)}: ` +
    'this node does not open it until that program lets go of it'
  )
}

function lateText(claim: PortClaim, socket: ListeningSocket): string {
  return (
    `port ${claim.port}/${claim.protocol} is open for ${claim.owner}, so ${programOf(socket)}, which waits on it on ${addressOf(socket)}, ` +
    'is never reached by it: let that program use another port'
  )
}

function programOf({ process }: ListeningSocket): string {
  return process === undefined
    ? 'a program that cannot be seen'
    : `${process.name} (process ${process.pid})`
}

function addressOf({ address }: ListeningSocket): string {
  return address ?? 'all addresses'
}
