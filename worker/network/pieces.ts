// What the overlay asks of the kernel, in pieces: one for each thing of the cluster, so that a change of one thing is a
// change of its piece alone. Values and what is common to those who make them.
import type { NetworkView, NodePath } from '../../proto/objects/overlay.ts'
import type { Way } from './flows.ts'
import type { AddressFamily } from './items.ts'
import type { ChainRules, DesiredItem, NamespaceName } from './kernel-state.ts'
import type { PathMtus } from './probed-peers.ts'

/** What one thing of the cluster asks of the kernel. Keys of items, elements and chains belong to one piece only. */
export interface Piece {
  readonly items?: readonly DesiredItem[]
  readonly hostItems?: readonly DesiredItem[]
  /** Of the data plane: file below /proc/sys, value. */
  readonly sysctls?: readonly (readonly [string, string])[]
  readonly hostSysctls?: readonly (readonly [string, string])[]
  readonly elements?: readonly TableElement[]
  /** Chains of the data plane's table. */
  readonly chains?: readonly (readonly [string, ChainRules])[]
  readonly ways?: readonly Way[]
  /** Addresses that tasks have, wherever they are. */
  readonly members?: readonly string[]
}

export interface TableElement {
  readonly namespace: NamespaceName
  readonly set: string
  readonly element: string
}

export interface CompiledOverlay {
  /** Transit addresses of this node. */
  readonly transit: readonly string[]
  readonly groups: ReadonlyMap<string, PieceGroup>
}

/** The pieces of one network, or of the node itself. */
export interface PieceGroup {
  /** What it was made from: made from the same again it is the same. */
  readonly sources: readonly unknown[]
  readonly pieces: ReadonlyMap<unknown, Piece>
}

/** What the pieces of one network are made from. */
export interface NetworkContext {
  readonly view: NetworkView
  readonly link: string
  readonly own: NodePath
  readonly paths: ReadonlyMap<string, NodePath>
  readonly families: readonly AddressFamily[]
  readonly doors: ReadonlyMap<string, string>
  readonly blocked: ReadonlySet<string>
  readonly mtus: PathMtus
}

/** Keyed by the object it is of, where there is one: then an unchanged thing costs no text. */
export type Pieces = readonly (readonly [key: unknown, Piece])[]

export const noPiece: Piece = {}

/** Pieces by the object they are of, each with what else it was made from. */
export type PieceCache = WeakMap<object, { readonly sources: readonly unknown[]; piece: Piece }>

/** The piece made before when it was made from the same; so an unchanged thing costs a look, not its texts. */
export function remembered(
  cache: PieceCache,
  of: object,
  sources: readonly unknown[],
  make: () => Piece,
): Piece {
  const old = cache.get(of)
  if (old !== undefined && isSameList(old.sources, sources)) return old.piece
  const piece = make()
  cache.set(of, { sources, piece })
  return piece
}

export function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false
  // Thousands of times for each change: without a function call for each.
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}

/** Sets for IPv6 are named like those for IPv4, with a 6. */
export function suffixed(set: string, family: AddressFamily): string {
  return family === 4 ? set : `${set}6`
}
