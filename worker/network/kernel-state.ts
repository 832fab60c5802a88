// What the kernel holds in one network namespace, in a form that can be compared: the common language of
// desired-kernel.ts, parse-observed.ts and plan.ts. Values only.

export type NamespaceName = 'host' | 'dataPlane'

/** In the order in which they are written; removed in the opposite order. */
export const itemKinds = ['link', 'address', 'fdb', 'route', 'neighbour', 'rule'] as const
export type ItemKind = (typeof itemKinds)[number]

export type Fields = Readonly<Record<string, string>>

/** Something `ip` or `bridge` writes. Two items with the same kind and key are versions of one thing. */
export interface DesiredItem {
  readonly kind: ItemKind
  readonly key: string
  /** Nothing needs to be written when the observed item has all of these fields. */
  readonly fields: Fields
  /** What cannot be changed in place; when it differs the item is removed and made anew. */
  readonly identity: string
  /** Lines for `ip -batch` that make it, before `put`; empty when another item makes it. */
  readonly create: readonly string[]
  /** Lines that make it from the host's namespace, before `create`. */
  readonly hostCreate?: readonly string[]
  /** Lines that bring it from any state to `fields`; safe to repeat. */
  readonly put: readonly string[]
}

export interface ObservedItem {
  readonly kind: ItemKind
  readonly key: string
  readonly fields: Fields
  readonly identity: string
}

/** One nft set or map with its elements as nft writes them. */
export interface NftSet {
  readonly kind: 'set' | 'map'
  readonly name: string
  /** `type …; flags …;` */
  readonly declaration: string
  readonly elements: readonly string[]
}

/** Rules of a chain that comes and goes with a service or a port, as nft reads them, one a line. */
export type ChainRules = readonly string[]

export interface DesiredTable {
  readonly sets: readonly NftSet[]
  /** All chains that are always there, with their rules, as in an nft file. */
  readonly chains: string
  /** Chains that come and go, by name (see service-chains.ts). */
  readonly serviceChains: ReadonlyMap<string, ChainRules>
}

export interface ObservedTable {
  /** Digest of sets and lasting chains as the kernel lists them, without elements and handles. */
  readonly shape: string
  readonly elements: ReadonlyMap<string, readonly string[]>
  readonly serviceChains: ReadonlyMap<string, ChainRules>
}

export interface DesiredNamespace {
  readonly items: readonly DesiredItem[]
  /** File below /proc/sys -> value. */
  readonly sysctls: ReadonlyMap<string, string>
  readonly table: DesiredTable
}

export interface ObservedNamespace {
  readonly items: readonly ObservedItem[]
  readonly sysctls: ReadonlyMap<string, string>
  /** Undefined: there is none. */
  readonly table: ObservedTable | undefined
}

export interface DesiredKernel {
  readonly host: DesiredNamespace
  readonly dataPlane: DesiredNamespace
}

export interface ObservedKernel {
  readonly host: ObservedNamespace
  readonly dataPlane: ObservedNamespace
}

export const tableFamily = 'inet'
export const tableName = 'tsswarm'
