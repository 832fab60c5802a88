// The answer of `nft -j list ruleset` as one packet sees it. Pure.
import {
  allOf,
  type BaseChain,
  type Chains,
  type Match,
  not,
  type Packet,
  type Step,
  type Verdict,
  yesIf,
} from './firewall.ts'

/** A table with a chain at the input hook that IPv4 packets pass. */
export interface NftTable {
  readonly family: string
  readonly name: string
  readonly base: BaseChain
  readonly chains: Chains
}

type Json = Readonly<Record<string, unknown>>

/** Every such table but the daemon's own; once for each of its base chains. */
export function parseNft(text: string, packet: Packet): readonly NftTable[] {
  const items = listOf(objectOf(parse(text))['nftables']).map(objectOf)
  const ofKind = (kind: string): readonly Json[] =>
    items.filter((item) => kind in item).map((item) => objectOf(item[kind]))
  const sets = ofKind('set')
  return ofKind('chain')
    .filter(isInput)
    .map((chain) => {
      const { family, table } = chain
      const isOfTable = (item: Json): boolean =>
        item['family'] === family && item['table'] === table
      const chains = new Map<string, Step[]>()
      const named = sets.filter(isOfTable)
      for (const rule of ofKind('rule').filter(isOfTable)) {
        const name = String(rule['chain'])
        chains.set(name, [...(chains.get(name) ?? []), ...parseRule(rule, { packet, sets: named })])
      }
      const policy = chain['policy'] === 'drop' ? 'drop' : 'accept'
      const base = { name: String(chain['name']), policy } as const
      return { family: String(family), name: String(table), base, chains }
    })
}

function isInput({ family, table, hook, type }: Json): boolean {
  const isOurs = family === 'inet' && table === 'tsswarm'
  return hook === 'input' && type === 'filter' && !isOurs && (family === 'ip' || family === 'inet')
}

interface Reading {
  readonly packet: Packet
  readonly sets: readonly Json[]
}

/** A rule is one step; a verdict map one for each of its entries. */
function parseRule(rule: Json, reading: Reading): readonly Step[] {
  const matches: Match[] = []
  for (const statement of listOf(rule['expr']).map(objectOf)) {
    const [kind = '', body] = Object.entries(statement)[0] ?? []
    if (kind === 'match') matches.push(matchOf(objectOf(body), reading))
    else if (kind === 'vmap') return mapSteps(objectOf(body), matches, reading)
    else if (conditions.includes(kind)) matches.push('maybe')
    const verdict = verdictOf(kind, body)
    if (verdict !== undefined) return [{ match: allOf(matches), verdict }]
  }
  return []
}

/** Statements beside `match` that let a rule go on only at times. */
const conditions = ['limit', 'quota', 'ct count', 'xt', 'synproxy']

function verdictOf(kind: string, body: unknown): Verdict | undefined {
  switch (kind) {
    case 'accept':
    case 'return':
      return { kind }
    case 'queue':
      return { kind: 'accept' }
    case 'drop':
    case 'reject':
      return { kind: 'drop' }
    case 'jump':
    case 'goto':
      return { kind, chain: String(objectOf(body)['target']) }
    default:
      return undefined
  }
}

function mapSteps(map: Json, before: readonly Match[], reading: Reading): readonly Step[] {
  return listOf(objectOf(map['data'])['set']).flatMap((entry) => {
    const [value, outcome] = listOf(entry)
    const [kind = '', body] = Object.entries(objectOf(outcome))[0] ?? []
    const verdict = verdictOf(kind, body)
    if (verdict === undefined) return []
    const match = valueMatch(objectOf(map['key']), value, reading)
    return [{ match: allOf([...before, match]), verdict }]
  })
}

function matchOf(match: Json, reading: Reading): Match {
  const found = valueMatch(objectOf(match['left']), match['right'], reading)
  return match['op'] === '!=' ? not(found) : found
}

/** Whether what `left` reads of the packet is `right`, or among it. */
function valueMatch(left: Json, right: unknown, reading: Reading): Match {
  const { packet } = reading
  const meta = objectOf(left['meta'])['key']
  const ct = objectOf(left['ct'])['key']
  const payload = objectOf(left['payload'])
  const values = valuesOf(right, reading.sets)
  if (meta === 'l4proto') return yesIf(values.some((value) => value === packet.protocol))
  if (meta === 'iifname' || meta === 'iif') {
    return values.every((value) => value === 'lo') ? 'no' : 'maybe'
  }
  if (ct === 'state') return yesIf(values.includes('new'))
  if (ct === 'status') return 'no'
  const { protocol, field } = payload
  if (protocol === 'ip' && field === 'protocol') return yesIf(values.includes(packet.protocol))
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'th') {
    if (protocol !== 'th' && protocol !== packet.protocol) return 'no'
    if (field === 'dport') return yesIf(values.some((value) => holds(value, packet.port)))
  }
  return 'maybe'
}

function holds(value: unknown, port: number): boolean {
  const range = listOf(objectOf(value)['range'])
  if (range.length === 2) return port >= Number(range[0]) && port <= Number(range[1])
  return Number(value) === port
}

/** One value, several, those of a set, or those of a set with a name. */
function valuesOf(right: unknown, sets: readonly Json[]): readonly unknown[] {
  if (Array.isArray(right)) return right
  if (typeof right === 'string' && right.startsWith('@')) {
    const set = sets.find(({ name }) => name === right.slice(1))
    return listOf(set?.['elem']).map((entry) => objectOf(objectOf(entry)['elem'])['val'] ?? entry)
  }
  const { set } = objectOf(right)
  return set === undefined ? [right] : listOf(set)
}

function parse(text: string): unknown {
  return text.trim() === '' ? {} : JSON.parse(text)
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
