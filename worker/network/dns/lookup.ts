// What a question means to who asks it: whose names it sees, which of them counts, and what is not ours to answer. Pure.
import { type Random, randomInt } from '../../../proto/lib/random.ts'
import { addressBytes, isInRange, reversedAddress } from './addresses.ts'
import type { Found, NetworkNames } from './network-names.ts'
import { type Question, recordTypes } from './query.ts'
import type { DnsRecord } from './response.ts'
import type { Zone } from './zone.ts'

export type Answer =
  | {
      readonly kind: 'records'
      readonly answers: readonly DnsRecord[]
      readonly additional: readonly DnsRecord[]
    }
  /** The name is ours, and has nothing of this type. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'no-such-name' }
  /** Not ours: to be asked outside. */
  | { readonly kind: 'elsewhere' }

const nothing: Answer = { kind: 'nothing' }
const noSuchName: Answer = { kind: 'no-such-name' }
const elsewhere: Answer = { kind: 'elsewhere' }

const loopback = [Buffer.from([127, 0, 0, 1]), Buffer.from([...new Array(15).fill(0), 1])]

/** More would not fit a message. */
const recordsMax = 4_000

/**
 * `asker`: the address the question came from. Who is on no overlay network gets everything from outside; who is on one
 * never has a name of a single label, or one that ends in a number, asked outside: it would leak names of services, and could lead to a stranger.
 */
export function lookUp(zone: Zone, question: Question, asker: string, random: Random): Answer {
  const { name } = question
  if (name === undefined) return elsewhere
  if (name === 'localhost' || name.endsWith('.localhost')) {
    return addressAnswer(question.type, { ipv4: loopback.slice(0, 1), ipv6: loopback.slice(1) })
  }
  const networks = zone.networksOf(asker)
  if (networks.length === 0) return elsewhere
  if (name.endsWith('.arpa')) return reverse(networks, name, question.type)
  const service = serviceQuestion(name)
  if (service !== undefined) return serviceRecords(zone, networks, { ...service, question, random })
  const match = findName(networks, name)
  if (match !== undefined) {
    const { ipv4, ipv6 } = match.found
    const shuffled = { ipv4: shuffle(ipv4, random), ipv6: shuffle(ipv6, random) }
    return addressAnswer(question.type, shuffled)
  }
  const isOurs = question.labelCount === 1 ? !zoneTypes.includes(question.type) : endsInNumber(name)
  return isOurs ? noSuchName : elsewhere
}

/** As slots do, and no domain. Source: RFC 3696, 2. */
function endsInNumber(name: string): boolean {
  return /\.\d+$/.test(name)
}

/** NS, DS and DNSKEY: what is asked of top-level domains themselves. */
const zoneTypes: readonly number[] = [2, 43, 48]

interface Match {
  readonly found: Found
  readonly network: NetworkNames
  /** What of the name is the network's: empty or `.NETWORK`. */
  readonly suffix: string
}

/**
 * The first network counts in which the name has an address of either family, so that both families lead to the same thing; without one,
 * the first that knows the name. `NAME.NETWORK` is the name in that network only.
 */
function findName(networks: readonly NetworkNames[], name: string): Match | undefined {
  let known: Match | undefined
  for (const match of candidates(networks, name)) {
    if (match.found.ipv4.length + match.found.ipv6.length > 0) return match
    known ??= match
  }
  return known
}

function* candidates(networks: readonly NetworkNames[], name: string): Iterable<Match> {
  for (const network of networks) {
    const found = network.find(name)
    if (found !== undefined) yield { found, network, suffix: '' }
  }
  for (const network of networks) {
    const suffix = network.name === undefined ? undefined : `.${network.name}`
    if (suffix === undefined || !name.endsWith(suffix)) continue
    const found = network.find(name.slice(0, -suffix.length))
    if (found !== undefined) yield { found, network, suffix }
  }
}

function addressAnswer(type: number, found: Pick<Found, 'ipv4' | 'ipv6'>): Answer {
  const wanted = [
    ...(type === recordTypes.A || type === recordTypes.ANY ? found.ipv4 : []),
    ...(type === recordTypes.AAAA || type === recordTypes.ANY ? found.ipv6 : []),
  ]
  if (wanted.length === 0) return nothing
  const answers = wanted.map((bytes) => ({ kind: 'address', bytes }) as const)
  return { kind: 'records', answers, additional: [] }
}

/** Addresses in the asker's own networks; others may be anybody's. */
function reverse(networks: readonly NetworkNames[], name: string, type: number): Answer {
  const address = reversedAddress(name)
  if (address === undefined) return elsewhere
  for (const network of networks) {
    const target = network.nameAt(address)
    if (target === undefined) continue
    if (type !== recordTypes.PTR && type !== recordTypes.ANY) return nothing
    return { kind: 'records', answers: [{ kind: 'pointer', target }], additional: [] }
  }
  const isOurs = networks.some(({ ranges }) => ranges.some((range) => isInRange(range, address)))
  return isOurs ? noSuchName : elsewhere
}

interface ServiceQuestion {
  readonly port: string
  readonly protocol: string
  readonly rest: string
}

/** `_PORT._PROTOCOL.NAME`. Source: RFC 2782. */
function serviceQuestion(name: string): ServiceQuestion | undefined {
  const match = /^_([^.]+)\._(tcp|udp|sctp)\.(.+)$/.exec(name)
  if (match === null) return undefined
  const [, port = '', protocol = '', rest = ''] = match
  return { port, protocol, rest }
}

/** One record for a virtual address, under the name that was asked for; else one for each task, under the task's own name. */
function serviceRecords(
  zone: Zone,
  networks: readonly NetworkNames[],
  asked: ServiceQuestion & { readonly question: Question; readonly random: Random },
): Answer {
  const match = findName(networks, asked.rest)
  if (match === undefined) return asked.rest.includes('.') ? elsewhere : noSuchName
  const { found, suffix } = match
  const serviceIds = [...found.services, ...found.tasks].map(({ serviceId }) => serviceId)
  const ports = new Set(
    serviceIds.flatMap((serviceId) => zone.portsOf(serviceId, asked.protocol, asked.port)),
  )
  if (ports.size === 0) return noSuchName
  const { type } = asked.question
  if (type !== recordTypes.SRV && type !== recordTypes.ANY) return nothing
  const targets = shuffle(targetsOf(match, asked.rest), asked.random)
  const answers = [...ports].flatMap((port) =>
    targets.map(({ name }) => ({ kind: 'service', port, target: name + suffix }) as const),
  )
  if (answers.length === 0) return nothing
  const additional = targets.flatMap(({ name, addresses }) =>
    addresses.map((bytes) => ({ kind: 'address', owner: name + suffix, bytes }) as const),
  )
  return { kind: 'records', answers, additional }
}

interface Target {
  readonly name: string
  readonly addresses: readonly Buffer[]
}

function targetsOf({ found, network, suffix }: Match, rest: string): readonly Target[] {
  if (found.tasks.length > 0) {
    return found.tasks.map((task) => ({
      name: network.taskName(task) ?? task.taskId,
      addresses: task.addresses.map(addressBytes).filter((bytes) => bytes !== undefined),
    }))
  }
  const addresses = [...found.ipv4, ...found.ipv6]
  const name = suffix === '' ? rest : rest.slice(0, -suffix.length)
  return addresses.length === 0 ? [] : [{ name, addresses }]
}

/** A copy in random order. Source: Fisher and Yates. */
function shuffle<T>(items: readonly T[], random: Random): readonly T[] {
  if (items.length < 2) return items
  const shuffled = [...items]
  for (let i = shuffled.length - 1; i > 0; i--) {
    const other = randomInt(random, i + 1)
    const item = shuffled[i]
    const swapped = shuffled[other]
    if (item === undefined || swapped === undefined) continue
    shuffled[i] = swapped
    shuffled[other] = item
  }
  return shuffled.slice(0, recordsMax)
}
