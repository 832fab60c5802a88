// Tracked connections that lead where nobody leads them any more. The kernel asks the rules only for the first packet of a flow and
// keeps to the answer while packets come, so a sender of UDP that never pauses would be led for ever to a task that is gone, or
// to the next task under its address; a client of TCP or SCTP that begins anew from its old port would get there too. Pure.
import { familyOf } from './overlay-state.ts'
import type { Piece } from './pieces.ts'

/** An address (`10.1.0.2`) or port (`169.254.77.2 udp 8080`) that leads new connections to tasks. */
export interface Way {
  readonly at: string
  /** Addresses that get new connections by it. */
  readonly serving: readonly string[]
  /** Addresses of all tasks of the service: what is established may go on to these. */
  readonly members: readonly string[]
  /** Whom it is open to; undefined: to all. */
  readonly openTo?: readonly string[]
}

/** State of a TCP connection of which only the first packet was seen. */
const unanswered = 'SYN_SENT'

/** Flows to be forgotten: one set of arguments of `conntrack -D` each. */
export type Forgotten = readonly string[]

/**
 * Addresses that new connections are led to no more. What was led there a moment ago and is not answered by then is led to a host
 * that is lost: forgotten, its next attempt is led anew, and so is a later client with the same port.
 */
export function abandoned(gone: readonly Piece[], come: readonly Piece[]): readonly string[] {
  const after = waysOf(come)
  const left = [...waysOf(gone).values()].flatMap(({ at, serving }) =>
    serving.filter((address) => after.get(at)?.serving.includes(address) !== true),
  )
  return [...new Set(left)]
}

/** TCP connections to the address of which nothing but their beginning was seen. */
export function halfOpen(address: string): Forgotten {
  return ['-p', 'tcp', '--state', unanswered, ...inFamily(address), '--reply-src', address]
}

/** What the change of these pieces leaves without a right to go on. */
export function forgottenFlows(
  gone: readonly Piece[],
  come: readonly Piece[],
): readonly Forgotten[] {
  const before = waysOf(gone)
  const after = waysOf(come)
  const lost = [...before.values()]
    .filter(({ at }) => isVirtual(at) || at.split(' ')[1] === 'udp')
    .flatMap((way) => {
      const { at, serving } = way
      const now = after.get(at)
      return serving
        .filter((address) => now?.serving.includes(address) !== true || isNarrowed(way, now))
        .map((address) => ['-p', 'udp', ...towards(at), '--reply-src', address])
    })
  // Who sent there before it led on would be answered by nobody.
  const opened = [...after.keys()]
    .filter((at) => isVirtual(at) && !before.has(at))
    .map((at) => ['-p', 'udp', ...towards(at), '--reply-src', at])
  const left = new Set(come.flatMap(({ members = [] }) => members))
  const departed = [...new Set(gone.flatMap(({ members = [] }) => members))]
    .filter((address) => !left.has(address))
    .map((address) => [...inFamily(address), '--reply-src', address])
  return [...lost, ...opened, ...departed]
}

/** Whether somebody may come by it no more; who that is, the rules know. */
function isNarrowed({ openTo: before }: Way, { openTo: now }: Way): boolean {
  if (now === undefined) return false
  return before === undefined || before.some((source) => !now.includes(source))
}

/** Of these, those that `conntrack -L` lists a flow for. */
export function tracked(listing: string, forgotten: readonly Forgotten[]): readonly Forgotten[] {
  const flows = new Map<string, Flow[]>()
  for (const flow of listing.split('\n').flatMap(parseFlow)) {
    const alike = flows.get(flow.answeredBy)
    if (alike === undefined) flows.set(flow.answeredBy, [flow])
    else alike.push(flow)
  }
  return forgotten.filter((args) =>
    (flows.get(answererOf(args)) ?? []).some((flow) => isMeant(flow, args)),
  )
}

/** Whether the arguments are about the flow, which the same address answers. */
function isMeant({ protocol, to, port, isUnanswered }: Flow, args: Forgotten): boolean {
  const asked = (flag: string, value: string): boolean => {
    const at = args.indexOf(flag)
    return at < 0 || args[at + 1] === value
  }
  if (args.includes('--state') && !isUnanswered) return false
  return asked('-p', protocol) && asked('--orig-dst', to) && asked('--orig-port-dst', port)
}

/** Without those that another of them takes along, as one of all flows that an address answers. */
export function withoutNarrower(forgotten: readonly Forgotten[]): readonly Forgotten[] {
  const whole = new Set(forgotten.filter(isWhole).map(answererOf))
  const others = forgotten.filter((one) => !isWhole(one) && !whole.has(answererOf(one)))
  const once = new Map([...forgotten.filter(isWhole), ...others].map((one) => [one.join(' '), one]))
  return [...once.values()]
}

function isWhole(forgotten: Forgotten): boolean {
  return !forgotten.includes('-p') && !forgotten.includes('--orig-dst')
}

/** The address that answers. */
export function answererOf(forgotten: Forgotten): string {
  return forgotten.at(-1) ?? ''
}

interface Flow {
  readonly protocol: string
  readonly to: string
  readonly port: string
  readonly answeredBy: string
  /** Of TCP: it is still to be answered. */
  readonly isUnanswered: boolean
}

/** The same, of what is tracked now, as `conntrack -L` prints it, where it is not known what was before. */
export function strayFlows(listing: string, pieces: readonly Piece[]): readonly Forgotten[] {
  const ways = waysOf(pieces)
  const tasks = new Set(pieces.flatMap((piece) => piece.members ?? []))
  const found = new Map<string, Forgotten>()
  for (const flow of listing.split('\n').flatMap(parseFlow)) {
    const args = strayFlow(flow, ways, tasks)
    if (args !== undefined) found.set(args.join(' '), args)
  }
  return [...found.values()]
}

function strayFlow(
  flow: Flow,
  ways: ReadonlyMap<string, Way>,
  tasks: ReadonlySet<string>,
): Forgotten | undefined {
  const { protocol, to, port, answeredBy } = flow
  const way = ways.get(to) ?? ways.get(`${to} ${protocol} ${port}`)
  if (way === undefined) {
    // The address is a task's, and was another's that led on.
    const isLed = tasks.has(to) && answeredBy !== to
    return isLed ? [...inFamily(to), '--orig-dst', to, '--reply-src', answeredBy] : undefined
  }
  const isNew = protocol === 'udp' || flow.isUnanswered
  const mayGoOn = isNew ? way.serving : way.members
  if (mayGoOn.includes(answeredBy)) return undefined
  // TCP to a service without tasks is refused, and leaves nothing behind that lasts.
  if (answeredBy === to && protocol !== 'udp') return undefined
  // What a task answered before it stopped serving goes on.
  const state = isNew && way.members.includes(answeredBy) ? ofState(protocol) : []
  return ['-p', protocol, ...state, ...towards(way.at), '--reply-src', answeredBy]
}

function ofState(protocol: string): readonly string[] {
  return protocol === 'udp' ? [] : ['--state', unanswered]
}

/** `udp 17 28 src=A dst=B sport=1 dport=2 src=C dst=D …`: the second source is whoever answers. */
function parseFlow(line: string): readonly Flow[] {
  const [protocol = ''] = line.split(' ')
  if (!['udp', 'tcp', 'sctp'].includes(protocol)) return []
  const values = (key: string): readonly string[] =>
    [...line.matchAll(new RegExp(`(?:^| )${key}=(\\S+)`, 'g'))].map(([, value = '']) => value)
  const [to] = values('dst')
  const [, answeredBy] = values('src')
  const [port = ''] = values('dport')
  if (to === undefined || answeredBy === undefined) return []
  const isUnanswered = line.includes(` ${unanswered} `)
  return [{ protocol, to, port, answeredBy, isUnanswered }]
}

function waysOf(pieces: readonly Piece[]): ReadonlyMap<string, Way> {
  return new Map(pieces.flatMap(({ ways = [] }) => ways).map((way) => [way.at, way]))
}

function isVirtual(at: string): boolean {
  return !at.includes(' ')
}

function towards(at: string): readonly string[] {
  const [address = '', , port] = at.split(' ')
  const more = port === undefined ? [] : ['--orig-port-dst', port]
  return [...inFamily(address), '--orig-dst', address, ...more]
}

function inFamily(address: string): readonly string[] {
  return ['-f', familyOf(address) === 4 ? 'ipv4' : 'ipv6']
}
