// The nft chains that come and go with services and published ports, as text we write and as the same text read back from
// the kernel, so that both can be compared. Pure. A chain is named by its prefix; which map leads to it is in
// compile-overlay.ts.
import type { AddressFamily } from './items.ts'
import { type Json, listOf, numberOf, objectOf, textOf } from './json.ts'
import { type ChainRules, tableFamily, tableName } from './kernel-state.ts'

/** Names of chains that come and go begin with one of these. */
export const serviceChainPrefix = /^(svc|pub)[46]_/
export const serviceChainName = /\b(?:svc|pub)[46]_\w+/g

/** Set on connections whose backend shall see this node instead of the client. */
export const masqueradeMark = 0x10000

const markRule = `ct mark set ct mark or 0x${masqueradeMark.toString(16)}`

/** Where a new connection may go. */
export interface Backend {
  readonly address: string
  /** Undefined: the port stays. */
  readonly port?: number
}

/** New connections to a virtual address go to one of the backends, each as likely; without any the chain does nothing. */
export function vipChain(family: AddressFamily, backends: readonly string[]): ChainRules {
  const target = dnatRule(
    family,
    backends.map((address) => ({ address })),
  )
  return target === undefined ? [] : [`meta l4proto { tcp, udp, sctp } ${target}`]
}

export interface PortChain {
  readonly family: AddressFamily
  readonly protocol: string
  readonly backends: readonly Backend[]
  /** Canonical subnets or addresses whose clients are let in; undefined: all. */
  readonly sources: readonly string[] | undefined
  readonly isMasqueraded: boolean
}

export function portChain(port: PortChain): ChainRules {
  const target = dnatRule(port.family, port.backends)
  const mark = port.isMasqueraded ? [markRule] : []
  if (target === undefined) return []
  const rule = `meta l4proto ${port.protocol} ${target}`
  if (port.sources === undefined) return [...mark, rule]
  const source = port.family === 4 ? 'ip saddr' : 'ip6 saddr'
  // One rule a source: as a set, nft would join what is adjacent, and the text would not come back as it was.
  return [...mark, ...port.sources.map((subnet) => `${source} ${subnet} ${rule}`), 'drop']
}

function dnatRule(family: AddressFamily, backends: readonly Backend[]): string | undefined {
  const [first, ...others] = backends
  if (first === undefined) return undefined
  const to = `dnat ${family === 4 ? 'ip' : 'ip6'} to`
  if (others.length === 0) return `${to} ${singleTarget(first)}`
  const elements = backends.map((backend, index) => `${index} : ${mapTarget(backend)}`)
  return `${to} numgen random mod ${backends.length} map { ${elements.join(', ')} }`
}

function singleTarget({ address, port }: Backend): string {
  if (port === undefined) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function mapTarget({ address, port }: Backend): string {
  return port === undefined ? address : `${address} . ${port}`
}

/** A rule as `nft -j` lists it, in the words of this file; what is not of this file comes as JSON. */
export function ruleText(expressions: Json | undefined): string {
  return listOf(expressions).map(expressionText).join(' ')
}

function expressionText(expression: Json): string {
  const { match, dnat, mangle, drop } = objectOf(expression)
  const text =
    drop !== undefined
      ? 'drop'
      : match !== undefined
        ? matchText(match)
        : dnat !== undefined
          ? dnatText(dnat)
          : mangle !== undefined
            ? mangleText(mangle)
            : undefined
  return text ?? JSON.stringify(expression)
}

function matchText(value: Json): string | undefined {
  const { op, left, right = '' } = objectOf(value)
  if (op !== '==') return undefined
  const { meta, payload } = objectOf(left)
  if (textOf(objectOf(meta).key) === 'l4proto') {
    const set = listOf(objectOf(right).set).map(textOf)
    return `meta l4proto ${set.length > 0 ? `{ ${set.join(', ')} }` : textOf(right)}`
  }
  const { protocol, field } = objectOf(payload)
  if (field !== 'saddr') return undefined
  return `${textOf(protocol)} saddr ${prefixText(right)}`
}

function prefixText(value: Json): string {
  const { prefix } = objectOf(value)
  if (prefix === undefined) return textOf(value)
  return `${textOf(objectOf(prefix).addr)}/${numberOf(objectOf(prefix).len)}`
}

function dnatText(value: Json): string | undefined {
  const { family, addr = '', port } = objectOf(value)
  const to = `dnat ${textOf(family)} to`
  if (typeof addr === 'string') {
    return `${to} ${singleTarget({ address: addr, ...(port === undefined ? {} : { port: numberOf(port) }) })}`
  }
  const { key, data } = objectOf(objectOf(addr).map)
  const { mode, mod, offset } = objectOf(objectOf(key).numgen)
  if (mode !== 'random' || offset !== 0) return undefined
  const elements = listOf(objectOf(data).set).map((pair) => {
    const [index = '', target = ''] = listOf(pair)
    return `${index} : ${targetText(target)}`
  })
  return `${to} numgen random mod ${numberOf(mod)} map { ${elements.join(', ')} }`
}

function targetText(value: Json): string {
  const { concat } = objectOf(value)
  return concat === undefined ? textOf(value) : listOf(concat).map(String).join(' . ')
}

function mangleText(value: Json): string | undefined {
  const { key, value: set } = objectOf(value)
  const isMark = textOf(objectOf(objectOf(key).ct).key) === 'mark'
  const bits = numberOf(listOf(objectOf(set)['|'])[1])
  return isMark && bits === masqueradeMark ? markRule : undefined
}

/** What changes in a table without replacing it. */
export interface TableChange {
  readonly deleted: readonly TableElements[]
  readonly added: readonly TableElements[]
  readonly newChains: readonly string[]
  /** New rules of chains that are there, or are among newChains. */
  readonly rules: ReadonlyMap<string, ChainRules>
  readonly deletedChains: readonly string[]
}

export interface TableElements {
  readonly set: string
  readonly elements: readonly string[]
}

/** nft commands for one transaction, in an order in which nothing refers to what is not there. */
export function tableCommands(change: TableChange): readonly string[] {
  const rules = [...change.rules].flatMap(([chain, lines]) => [
    ...(change.newChains.includes(chain) ? [] : [`flush chain ${inTable(chain)}`]),
    ...lines.map((line) => `add rule ${inTable(chain)} ${line}`),
  ])
  return [
    ...change.newChains.map((chain) => `add chain ${inTable(chain)}`),
    ...rules,
    ...change.deleted.map(({ set, elements }) => elementsCommand('delete', set, elements)),
    ...change.added.map(({ set, elements }) => elementsCommand('add', set, elements)),
    ...change.deletedChains.flatMap((chain) => [
      `flush chain ${inTable(chain)}`,
      `delete chain ${inTable(chain)}`,
    ]),
  ]
}

/** The nft command that adds elements to a set or map of our table, or deletes them. */
export function elementsCommand(
  verb: 'add' | 'delete',
  set: string,
  elements: readonly string[],
): string {
  return `${verb} element ${inTable(set)} { ${elements.join(', ')} }`
}

function inTable(name: string): string {
  return `${tableFamily} ${tableName} ${name}`
}
