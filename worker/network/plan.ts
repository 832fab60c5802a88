// The difference between what the kernel should hold and what it holds, as steps that mend it. Pure. Every step may be
// repeated; a plan from a stale observation does no harm, the next one mends the rest.
import type { Difference } from './difference.ts'
import { ruleFamily } from './items.ts'
import {
  type DesiredItem,
  type DesiredKernel,
  type DesiredNamespace,
  type DesiredTable,
  type Fields,
  itemKinds,
  type NamespaceName,
  type ObservedItem,
  type ObservedKernel,
  type ObservedNamespace,
  type ObservedTable,
} from './kernel-state.ts'
import { type TableChange, type TableElements, tableCommands } from './service-chains.ts'

export type Step =
  /** Lines for `ip -batch`. */
  | { readonly kind: 'ip'; readonly namespace: NamespaceName; readonly lines: readonly string[] }
  | {
      readonly kind: 'sysctl'
      readonly namespace: NamespaceName
      readonly values: ReadonlyMap<string, string>
    }
  /** Replaces the table as a whole, in one transaction. */
  | { readonly kind: 'table'; readonly namespace: NamespaceName; readonly table: DesiredTable }
  /** nft commands for one transaction. */
  | {
      readonly kind: 'elements'
      readonly namespace: NamespaceName
      readonly commands: readonly string[]
    }

export interface NetworkPlan {
  readonly steps: readonly Step[]
  /** What was found wrong, for logs and for the audit. */
  readonly differences: readonly Difference[]
}

/** What each table was last written with; undefined when that is not known. */
export type ExpectedShapes = Readonly<Record<NamespaceName, WrittenTable | undefined>>

export interface WrittenTable {
  /** As the kernel listed it right afterwards. */
  readonly shape: string
  /** As in DesiredTable. */
  readonly chains: string
}

/** No steps when nothing differs. The order: removals, links and what hangs on them, tables, and forwarding last. */
export function planNetwork(
  desired: DesiredKernel,
  observed: ObservedKernel,
  shapes: ExpectedShapes,
): NetworkPlan {
  const host = compare('host', desired.host, observed.host, shapes.host)
  const dataPlane = compare('dataPlane', desired.dataPlane, observed.dataPlane, shapes.dataPlane)
  const steps: readonly Step[] = [
    { kind: 'ip', namespace: 'dataPlane', lines: dataPlane.removals },
    { kind: 'ip', namespace: 'host', lines: host.removals },
    // New devices inherit `default`, so it is right before the first one is made.
    { kind: 'sysctl', namespace: 'dataPlane', values: dataPlane.earlySysctls },
    { kind: 'ip', namespace: 'host', lines: [...host.writes, ...dataPlane.hostWrites] },
    { kind: 'ip', namespace: 'dataPlane', lines: dataPlane.writes },
    ...dataPlane.table,
    ...host.table,
    { kind: 'sysctl', namespace: 'dataPlane', values: dataPlane.lateSysctls },
    // Forwarding goes on only after the table that limits it is there.
    {
      kind: 'sysctl',
      namespace: 'host',
      values: new Map([...host.earlySysctls, ...host.lateSysctls]),
    },
  ]
  return {
    steps: steps.filter(isNeeded),
    differences: [...host.differences, ...dataPlane.differences],
  }
}

function isNeeded(step: Step): boolean {
  switch (step.kind) {
    case 'ip':
      return step.lines.length > 0
    case 'sysctl':
      return step.values.size > 0
    case 'table':
      return true
    case 'elements':
      return step.commands.length > 0
  }
}

interface Comparison {
  readonly removals: readonly string[]
  readonly writes: readonly string[]
  /** Lines that make things of this namespace from the host's. */
  readonly hostWrites: readonly string[]
  readonly earlySysctls: ReadonlyMap<string, string>
  readonly lateSysctls: ReadonlyMap<string, string>
  readonly table: readonly Step[]
  readonly differences: readonly Difference[]
}

function compare(
  name: NamespaceName,
  desired: DesiredNamespace,
  observed: ObservedNamespace,
  shape: WrittenTable | undefined,
): Comparison {
  const items = compareItems(desired.items, observed.items)
  const wrongSysctls = [...desired.sysctls].filter(
    ([path, value]) => observed.sysctls.get(path) !== value,
  )
  const table = compareTable(name, desired.table, observed.table, shape)
  const differences: readonly Found[] = [
    ...items.differences,
    ...wrongSysctls.map(([path, value]) => ({
      thing: { kind: 'sysctl', path } as const,
      problem: `is ${observed.sysctls.get(path) ?? 'missing'} instead of ${value}`,
    })),
    ...table.differences,
  ]
  return {
    removals: items.removals,
    writes: items.writes,
    hostWrites: items.hostWrites,
    earlySysctls: new Map(wrongSysctls.filter(([path]) => !isOfDevice(path))),
    lateSysctls: new Map(wrongSysctls.filter(([path]) => isOfDevice(path))),
    table: table.steps,
    differences: differences.map((found) => ({ namespace: name, ...found })),
  }
}

type Found = Omit<Difference, 'namespace'>

const unneeded = 'is not ours or no longer needed'

function isOfDevice(path: string): boolean {
  return path.includes('/conf/') && !/\/conf\/(all|default)\//.test(path)
}

function compareItems(
  desired: readonly DesiredItem[],
  observed: readonly ObservedItem[],
): Pick<Comparison, 'removals' | 'writes' | 'hostWrites'> & {
  readonly differences: readonly Found[]
} {
  const seen = new Map(observed.map((item) => [idOf(item), item]))
  const wanted = new Set(desired.map(idOf))
  const removals: string[] = []
  const writes: string[] = []
  const hostWrites: string[] = []
  const differences: Found[] = []
  const differs = ({ kind, key }: ObservedItem | DesiredItem, problem: string): void => {
    differences.push({ thing: { kind: 'item', item: kind, key }, problem })
  }
  for (const item of byKind(observed).reverse()) {
    if (wanted.has(idOf(item)) || !isRemovable(item)) continue
    removals.push(removalLine(item))
    differs(item, unneeded)
  }
  for (const item of byKind(desired)) {
    const found = seen.get(idOf(item))
    const rebuilt = found !== undefined && found.identity !== item.identity
    if (rebuilt) removals.push(removalLine(found))
    if (found === undefined || rebuilt) {
      hostWrites.push(...(item.hostCreate ?? []))
      writes.push(...item.create, ...item.put)
      differs(item, rebuilt ? `is ${found.identity}` : 'is missing')
      continue
    }
    const wrong = wrongFields(item.fields, found.fields)
    if (wrong.length === 0) continue
    writes.push(...item.put)
    differs(item, `has ${wrong.join(', ')}`)
  }
  return { removals, writes, hostWrites, differences }
}

function idOf(item: { readonly kind: string; readonly key: string }): string {
  return `${item.kind} ${item.key}`
}

function byKind<T extends { readonly kind: DesiredItem['kind'] }>(items: readonly T[]): T[] {
  return itemKinds.flatMap((kind) => items.filter((item) => item.kind === kind))
}

function wrongFields(desired: Fields, observed: Fields): string[] {
  return Object.entries(desired)
    .filter(([name, value]) => (observed[name] ?? '') !== value)
    .map(([name, value]) => `${name} "${observed[name] ?? ''}" instead of "${value}"`)
}

/** The kernel makes some devices by itself (sit0, tunl0 …): of links only the kinds we make are ever removed. */
function isRemovable(item: ObservedItem): boolean {
  return item.kind !== 'link' || /^(veth|vxlan)/.test(item.identity)
}

/** The line for `ip` or `bridge` that removes it. */
export function removalLine(item: ObservedItem | DesiredItem): string {
  const [first = '', ...rest] = item.key.split(' ')
  switch (item.kind) {
    case 'link':
      return `link del ${item.key}`
    case 'address':
      return `addr del ${rest[0]} dev ${first}`
    case 'fdb':
      return `fdb del ${rest[0]} dev ${first} self`
    case 'route':
      return routeRemoval(item)
    case 'neighbour':
      return `neigh del ${rest[0]} dev ${first}`
    case 'rule':
      return `${ruleFamily(first === '4' ? 4 : 6)}rule del ${rest.join(' ')}`
  }
}

function routeRemoval({ key, fields }: ObservedItem | DesiredItem): string {
  const type = fields.type ?? 'unicast'
  if (type === 'unicast') return `route del ${key}`
  // Else the kernel's own table of local addresses would be meant.
  const isMain = type === 'local' && !key.includes(' table ')
  return `route del ${type} ${key}${isMain ? ' table main' : ''}`
}

/** Why the table must be replaced as a whole. */
function wrongTable(
  desired: DesiredTable,
  observed: ObservedTable,
  written: WrittenTable | undefined,
): string | undefined {
  if (written === undefined) return 'is of unknown origin'
  if (observed.shape !== written.shape) return 'has other rules than ours'
  return written.chains === desired.chains ? undefined : 'has the rules of an earlier state'
}

function compareTable(
  namespace: NamespaceName,
  desired: DesiredTable,
  observed: ObservedNamespace['table'],
  written: WrittenTable | undefined,
): { readonly steps: readonly Step[]; readonly differences: readonly Found[] } {
  const whole: Step = { kind: 'table', namespace, table: desired }
  const all = (problem: string) => ({
    steps: [whole],
    differences: [{ thing: { kind: 'table' } as const, problem }],
  })
  if (observed === undefined) return all('is missing')
  const why = wrongTable(desired, observed, written)
  if (why !== undefined) return all(why)
  const deleted: TableElements[] = []
  const added: TableElements[] = []
  for (const set of desired.sets) {
    const found = new Set(observed.elements.get(set.name))
    const wanted = new Set(set.elements)
    const extra = [...found].filter((element) => !wanted.has(element))
    const missing = set.elements.filter((element) => !found.has(element))
    if (extra.length > 0) deleted.push({ set: set.name, elements: extra })
    if (missing.length > 0) added.push({ set: set.name, elements: missing })
  }
  const { serviceChains } = observed
  const change = {
    deleted,
    added,
    newChains: [...desired.serviceChains.keys()].filter((chain) => !serviceChains.has(chain)),
    rules: new Map(
      [...desired.serviceChains].filter(
        ([chain, rules]) => serviceChains.get(chain)?.join('\n') !== rules.join('\n'),
      ),
    ),
    deletedChains: [...serviceChains.keys()].filter((chain) => !desired.serviceChains.has(chain)),
  }
  return {
    steps: [{ kind: 'elements', namespace, commands: tableCommands(change) }],
    differences: tableDifferences(change),
  }
}

function tableDifferences({
  deleted,
  added,
  newChains,
  rules,
  deletedChains,
}: TableChange): readonly Found[] {
  const elements = (lists: readonly TableElements[], problem: string): readonly Found[] =>
    lists.flatMap(({ set, elements: all }) =>
      all.map((element) => ({ thing: { kind: 'element', set, element }, problem })),
    )
  const chains = (names: readonly string[], problem: string): readonly Found[] =>
    names.map((name): Found => ({ thing: { kind: 'chain', name }, problem }))
  const changed = [...rules.keys()].filter((name) => !newChains.includes(name))
  return [
    ...elements(deleted, unneeded),
    ...elements(added, 'is missing'),
    ...chains(newChains, 'is missing'),
    ...chains(changed, 'has other rules than it should'),
    ...chains(deletedChains, unneeded),
  ]
}
