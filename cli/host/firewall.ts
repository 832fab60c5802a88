// What a chain of firewall rules does to the first packet of a node. Pure. Rules may ask for more than is known here
// (an interface, an address, a rate): those may or may not hold.
import { portText } from './cluster-ports.ts'

/** A new connection, or the first datagram, from another host. */
export interface Packet {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

export type Match = 'yes' | 'no' | 'maybe'

export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'return' | 'none' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }

/** A rule as one packet sees it. */
export interface Step {
  readonly match: Match
  readonly verdict: Verdict
}

/** The rules of a table by chain, as one packet sees them. */
export type Chains = ReadonlyMap<string, readonly Step[]>

export interface BaseChain {
  readonly name: string
  readonly policy: 'accept' | 'drop'
}

/** `some`: it depends on what is not known here, such as the sender's address. */
export type Admission = 'all' | 'some' | 'none'

/** All of the matches must hold. */
export function allOf(matches: readonly Match[]): Match {
  if (matches.includes('no')) return 'no'
  return matches.includes('maybe') ? 'maybe' : 'yes'
}

export function not(match: Match): Match {
  if (match === 'maybe') return match
  return match === 'yes' ? 'no' : 'yes'
}

export function yesIf(holds: boolean): Match {
  return holds ? 'yes' : 'no'
}

/** Whom the table lets in. */
export function admission(chains: Chains, base: BaseChain): Admission {
  const { end, some } = walk(chains, base.name, 0)
  const accepted = end === 'accept' || (end === 'return' && base.policy === 'accept')
  if (accepted) return 'all'
  return some ? 'some' : 'none'
}

interface Walk {
  readonly end: 'accept' | 'drop' | 'return'
  /** On the way something would have accepted the packet under conditions. */
  readonly some: boolean
}

/** The kernel allows no deeper nesting. */
const depthMax = 16

function walk(chains: Chains, name: string, depth: number): Walk {
  let some = false
  if (depth > depthMax) return { end: 'return', some }
  for (const { match, verdict } of chains.get(name) ?? []) {
    if (match === 'no' || verdict.kind === 'none') continue
    const taken = follow(chains, verdict, depth)
    some ||= taken.some || (match === 'maybe' && taken.end === 'accept')
    const isOver = taken.end !== 'return' || verdict.kind === 'return' || verdict.kind === 'goto'
    if (match === 'yes' && isOver) return { end: taken.end, some }
  }
  return { end: 'return', some }
}

function follow(chains: Chains, verdict: Verdict, depth: number): Walk {
  switch (verdict.kind) {
    case 'accept':
    case 'drop':
    case 'return':
      return { end: verdict.kind, some: false }
    case 'none':
      return { end: 'return', some: false }
    case 'jump':
    case 'goto':
      return walk(chains, verdict.chain, depth + 1)
  }
}

/** Ports a firewall keeps out: `2377/tcp, 2378/tcp`. */
export function packetsText(packets: readonly Packet[]): string {
  return packets.map(portText).join(', ')
}
