// One thing that the kernel holds otherwise than it should, as a value: for logs as one text, for the audit with what it is
// of (provenance.ts). Pure.
import type { ItemKind, NamespaceName } from './kernel-state.ts'
import { tableFamily, tableName } from './kernel-state.ts'

/** What of a namespace differs. */
export type Thing =
  | { readonly kind: 'item'; readonly item: ItemKind; readonly key: string }
  | { readonly kind: 'sysctl'; readonly path: string }
  | { readonly kind: 'table' }
  | { readonly kind: 'element'; readonly set: string; readonly element: string }
  | { readonly kind: 'chain'; readonly name: string }

export interface Difference {
  readonly namespace: NamespaceName
  readonly thing: Thing
  /** "is missing", `has mtu "1400" instead of "1450"` */
  readonly problem: string
}

/** Equal for the same thing of the same namespace. */
export function thingKey(namespace: NamespaceName, thing: Thing): string {
  return `${namespace} ${thing.kind} ${nameOf(thing)}`
}

function nameOf(thing: Thing): string {
  switch (thing.kind) {
    case 'item':
      return `${thing.item} ${thing.key}`
    case 'sysctl':
      return thing.path
    case 'table':
      return ''
    case 'element':
      return `${thing.set} ${thing.element}`
    case 'chain':
      return thing.name
  }
}

/** One sentence, in the kernel's words. */
export function differenceText({ namespace, thing, problem }: Difference): string {
  const where = namespace === 'host' ? 'host' : 'data plane'
  return `${where}: ${thingText(thing)} ${problem}`
}

function thingText(thing: Thing): string {
  const table = `nft table ${tableFamily} ${tableName}`
  switch (thing.kind) {
    case 'item':
      return `${thing.item} ${thing.key}`
    case 'sysctl':
      return thing.path
    case 'table':
      return table
    case 'element':
      return `${table}: element { ${thing.element} } of ${thing.set}`
    case 'chain':
      return `${table}: chain ${thing.name}`
  }
}

/** What a user would call it: "route to 10.1.0.5". */
export function subjectOf(thing: Thing): string {
  switch (thing.kind) {
    case 'item':
      return itemSubject(thing.item, thing.key)
    case 'sysctl':
      return `setting ${thing.path.replaceAll('/', '.')}`
    case 'table':
      return `nft table ${tableFamily} ${tableName}`
    case 'element':
      return `entry "${thing.element}" of nft set ${thing.set}`
    case 'chain':
      return `nft chain ${thing.name}`
  }
}

function itemSubject(kind: ItemKind, key: string): string {
  const [first = '', ...rest] = key.split(' ')
  switch (kind) {
    case 'link':
      return `device ${key}`
    case 'address':
      return `address ${rest.join(' ')} of device ${first}`
    case 'fdb':
      return `forwarding entry for ${rest.join(' ')} on ${first}`
    case 'route': {
      const isDefault = first === 'default' || first === '::/0'
      const family = first === '::/0' ? ' of IPv6' : ''
      const to = isDefault ? `default route${family}` : `route to ${first}`
      return rest.length === 0 ? to : `${to} (${rest.join(' ')})`
    }
    case 'neighbour':
      return `neighbour ${rest.join(' ')} on ${first}`
    case 'rule':
      return `routing rule ${rest.join(' ')} of IPv${first}`
  }
}
