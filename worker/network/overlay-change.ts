// The way from one compilation of the overlay to the next, in the order in which no packet meets half of it: first what
// is new below, then the tables, then what is no longer needed. Pure. Its cost goes with what changed.

import { abandoned, type Forgotten, forgottenFlows } from './flows.ts'
import type { ChainRules, DesiredItem, NamespaceName } from './kernel-state.ts'
import type { CompiledOverlay, Piece, TableElement } from './pieces.ts'
import { removalLine } from './plan.ts'
import { type TableChange, type TableElements, tableCommands } from './service-chains.ts'

export interface OverlayChange {
  /** Lines for `ip` and `bridge`, in order: those for the host's namespace go first. */
  readonly hostLines: readonly string[]
  readonly lines: readonly string[]
  readonly sysctls: ReadonlyMap<string, string>
  readonly hostSysctls: ReadonlyMap<string, string>
  /** One transaction each; the data plane's goes first. */
  readonly tables: Readonly<Record<NamespaceName, readonly string[]>>
  /** What is gone; an error of these lines only says that it was gone before. */
  readonly hostRemovals: readonly string[]
  readonly removals: readonly string[]
  readonly forgotten: readonly Forgotten[]
  /** Addresses that nobody is led to any more; see there. */
  readonly abandoned: readonly string[]
  /** UDP ports of the host that are published from now on. */
  readonly openedUdpPorts: readonly string[]
  /** Names of devices; see Kernel. */
  readonly newDevices: readonly string[]
  readonly goneDevices: readonly string[]
  /** A device must be made anew, with which more goes than is told here: only a full comparison helps. */
  readonly isTooMuch: boolean
}

/**
 * `keep`: what containers of this node have of their own, by the keys of items (`route 10.0.1.5`) and of elements
 * (`element published tcp . 80`): it is left as it is.
 */
export function changeOverlay(
  before: CompiledOverlay | undefined,
  after: CompiledOverlay | undefined,
  keep: ReadonlySet<string>,
): OverlayChange {
  const { gone, come } = changedPieces(before, after)
  const inner = compareItems(allItems(gone), allItems(come), keep)
  const outer = compareItems(gone.flatMap(hostItems), come.flatMap(hostItems), new Set())
  return {
    hostLines: [...outer.lines, ...inner.hostLines],
    lines: inner.lines,
    sysctls: new Map(come.flatMap(({ sysctls = [] }) => sysctls)),
    hostSysctls: new Map(come.flatMap(({ hostSysctls = [] }) => hostSysctls)),
    tables: {
      host: tableCommands(compareTables('host', gone, come, keep)),
      dataPlane: tableCommands(compareTables('dataPlane', gone, come, keep)),
    },
    hostRemovals: outer.removals,
    removals: inner.removals,
    forgotten: forgottenFlows(gone, come),
    abandoned: abandoned(gone, come),
    openedUdpPorts: openedUdpPorts(gone, come),
    newDevices: inner.newDevices,
    goneDevices: inner.goneDevices,
    isTooMuch: inner.isTooMuch,
  }
}

interface ChangedPieces {
  readonly gone: readonly Piece[]
  readonly come: readonly Piece[]
}

/** Pieces that are not the same in both, as they were and as they are. */
function changedPieces(
  before: CompiledOverlay | undefined,
  after: CompiledOverlay | undefined,
): ChangedPieces {
  const gone: Piece[] = []
  const come: Piece[] = []
  for (const name of new Set([...(before?.groups.keys() ?? []), ...(after?.groups.keys() ?? [])])) {
    const old = before?.groups.get(name)
    const group = after?.groups.get(name)
    if (old === group) continue
    for (const [key, piece] of old?.pieces ?? []) {
      if (group?.pieces.get(key) !== piece) gone.push(piece)
    }
    for (const [key, piece] of group?.pieces ?? []) {
      if (old?.pieces.get(key) !== piece) come.push(piece)
    }
  }
  return { gone, come }
}

function allItems(pieces: readonly Piece[]): readonly DesiredItem[] {
  return pieces.flatMap(({ items = [] }) => items)
}

function hostItems({ hostItems: items = [] }: Piece): readonly DesiredItem[] {
  return items
}

interface ItemChange {
  readonly hostLines: readonly string[]
  readonly lines: readonly string[]
  readonly removals: readonly string[]
  readonly newDevices: readonly string[]
  readonly goneDevices: readonly string[]
  readonly isTooMuch: boolean
}

function compareItems(
  gone: readonly DesiredItem[],
  come: readonly DesiredItem[],
  keep: ReadonlySet<string>,
): ItemChange {
  const old = new Map(gone.map((item) => [itemId(item), item]))
  const wanted = new Set(come.map(itemId))
  const lost = gone.filter((item) => !wanted.has(itemId(item)) && !keep.has(itemId(item)))
  const changed = come.filter((item) => {
    const was = old.get(itemId(item))
    return !keep.has(itemId(item)) && (was === undefined || textOf(was) !== textOf(item))
  })
  const rebuilt = changed.filter((item) => {
    const was = old.get(itemId(item))
    return was !== undefined && was.identity !== item.identity
  })
  const lostLinks = new Set(linkNames(lost))
  const hangsOnLost = ({ kind, key, fields }: DesiredItem): boolean =>
    kind !== 'link' && (lostLinks.has(fields.dev ?? '') || lostLinks.has(key.split(' ')[0] ?? ''))
  return {
    hostLines: changed.flatMap(({ hostCreate = [] }) => hostCreate),
    lines: [
      ...rebuilt.map(removalLine),
      ...changed.flatMap((item) => [...item.create, ...item.put]),
    ],
    removals: lost.filter((item) => !hangsOnLost(item)).map(removalLine),
    newDevices: linkNames(changed),
    goneDevices: [...lostLinks],
    isTooMuch: rebuilt.some(({ kind }) => kind === 'link'),
  }
}

function linkNames(items: readonly DesiredItem[]): readonly string[] {
  return items.filter(({ kind }) => kind === 'link').map(({ key }) => key)
}

export function itemId(item: { readonly kind: string; readonly key: string }): string {
  return `${item.kind} ${item.key}`
}

function textOf(item: DesiredItem): string {
  return [...(item.hostCreate ?? []), ...item.create, ...item.put].join('\n')
}

function compareTables(
  namespace: NamespaceName,
  gone: readonly Piece[],
  come: readonly Piece[],
  keep: ReadonlySet<string>,
): TableChange {
  const old = elementsOf(namespace, gone)
  const wanted = elementsOf(namespace, come)
  const lost = difference(old, wanted).filter(
    ({ set, element }) => !keep.has(`element ${set} ${element}`),
  )
  const oldChains = chainsOf(namespace, gone)
  const chains = chainsOf(namespace, come)
  return {
    deleted: bySet(lost),
    added: bySet(difference(wanted, old)),
    newChains: [...chains.keys()].filter((name) => !oldChains.has(name)),
    rules: new Map([...chains].filter(([name, rules]) => !isSame(oldChains.get(name), rules))),
    deletedChains: [...oldChains.keys()].filter((name) => !chains.has(name)),
  }
}

function elementsOf(
  namespace: NamespaceName,
  pieces: readonly Piece[],
): ReadonlyMap<string, TableElement> {
  const all = pieces.flatMap(({ elements = [] }) => elements)
  const own = all.filter((element) => element.namespace === namespace)
  return new Map(own.map((element) => [`${element.set} ${element.element}`, element]))
}

function chainsOf(
  namespace: NamespaceName,
  pieces: readonly Piece[],
): ReadonlyMap<string, ChainRules> {
  return new Map(namespace === 'host' ? [] : pieces.flatMap(({ chains = [] }) => chains))
}

function openedUdpPorts(gone: readonly Piece[], come: readonly Piece[]): readonly string[] {
  const opened = difference(elementsOf('host', come), elementsOf('host', gone))
  const ports = opened.map(({ set, element }) =>
    /^(published|firewalled)/.test(set) ? /\budp \. (\d+)/.exec(element)?.[1] : undefined,
  )
  return [...new Set(ports.filter((port) => port !== undefined))]
}

function isSame(a: ChainRules | undefined, b: ChainRules): boolean {
  return a !== undefined && a.join('\n') === b.join('\n')
}

function difference(
  a: ReadonlyMap<string, TableElement>,
  b: ReadonlyMap<string, TableElement>,
): readonly TableElement[] {
  return [...a].filter(([key]) => !b.has(key)).map(([, element]) => element)
}

function bySet(elements: readonly TableElement[]): readonly TableElements[] {
  const sets = new Map<string, string[]>()
  for (const { set, element } of elements) {
    const known = sets.get(set)
    if (known === undefined) sets.set(set, [element])
    else known.push(element)
  }
  return [...sets].map(([set, texts]) => ({ set, elements: texts }))
}
