// What the history of a stack holds and which of it stays. Decides only; stacks.ts answers requests.
import { networkSpecToProto } from '../../proto/codec/network.ts'
import { serviceSpecToProto } from '../../proto/codec/service.ts'
import { StackContent } from '../../proto/gen/tsswarm/v1/objects.ts'
import { canonicalJson } from '../../proto/lib/canonical-json.ts'
import { sha256Hex } from '../../proto/lib/digest.ts'
import {
  namespaceLabel,
  payloadsOf,
  type StackRevision,
  type StackVersion,
} from '../../proto/objects/index.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { payloadTables } from './payload-use.ts'

/** Of what is kept of one revision: it has to fit into one entry of the log. */
export const contentBytesMax = 2 ** 20
/** Of all revisions of a stack. */
const historyBytesMax = 4 * 2 ** 20

/** What is kept of a stack. */
export type StackPicture = Pick<StackRevision, 'content' | 'digest' | 'versions'>

export const nothingKept: StackPicture = { content: new Uint8Array(0), digest: '', versions: [] }

/** The oldest first. */
export function revisionsOf(tx: ReadTx, stack: string): readonly StackRevision[] {
  return [...tx.find('stackRevisions', 'byStack', stack)].sort((a, b) => a.revision - b.revision)
}

/** What carries the stack's label now. O(services + networks). */
export function pictureOf(tx: ReadTx, stack: string): StackPicture {
  const names = new Map<string, string>()
  const networks = [...tx.all('networks')].flatMap(({ id, spec }) => {
    names.set(id, spec.name)
    return spec.labels[namespaceLabel] === stack ? [networkSpecToProto(spec)] : []
  })
  const specs = [...tx.all('services')]
    .map(({ spec }) => spec)
    .filter(({ labels }) => labels[namespaceLabel] === stack)
    .sort(byName)
  const services = specs.map((spec) => serviceSpecToProto(kept(spec, names)))
  const content = { networks: networks.sort(byName), services }
  return {
    content: StackContent.encode(content).finish(),
    digest: sha256Hex(canonicalJson(content)),
    versions: versionsIn(tx, specs),
  }
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}

/** Networks may be made anew under their name; the count of `service update --force` is no part of a stack. */
function kept(spec: ServiceSpec, names: ReadonlyMap<string, string>): ServiceSpec {
  const networks = spec.task.networks.map((use) => ({
    ...use,
    target: names.get(use.target) ?? use.target,
  }))
  return { ...spec, task: { ...spec.task, networks, forceUpdate: 0 } }
}

function versionsIn(tx: ReadTx, specs: readonly ServiceSpec[]): readonly StackVersion[] {
  const found = new Map<string, StackVersion>()
  for (const { kind, source: id } of specs.flatMap(({ task }) => payloadsOf(task.container))) {
    const row = tx.get(payloadTables[kind], id)
    if (row !== undefined) found.set(id, { kind, id, name: row.spec.name, revision: row.revision })
  }
  return [...found.values()]
}

/** Versions that it has and that are there no more. */
export function missingOf(tx: ReadTx, { versions }: StackRevision): readonly StackVersion[] {
  return versions.filter(({ kind, id }) => tx.get(payloadTables[kind], id) === undefined)
}

/** The newest that was not brought back; undefined: there is none. */
export function presentOf(rows: readonly StackRevision[]): StackRevision | undefined {
  return rows.findLast(({ state }) => state !== 'reverted')
}

/** What a rollback without a number means: the last before the present one that was deployed and is not the same. */
export function previousOf(rows: readonly StackRevision[]): StackRevision | undefined {
  const present = presentOf(rows)
  if (present === undefined) return undefined
  return rows.findLast(
    ({ revision, state, content, digest }) =>
      revision < present.revision &&
      state === 'deployed' &&
      content.length > 0 &&
      digest !== present.digest,
  )
}

/**
 * Those that are to go. Besides the newest, `limit` of those that can come back stay, as far as their bytes allow; and as many that cannot
 * (they failed or were brought back), so that failures push out nothing that may be needed. Rows with the oldest first.
 */
export function surplusOf(rows: readonly StackRevision[], limit: number): readonly StackRevision[] {
  const newest = rows.at(-1)
  const surplus: StackRevision[] = []
  let able = 0
  let unable = 0
  let bytes = 0
  for (const row of [...rows].reverse()) {
    const isAble = row.content.length > 0
    bytes += row.content.length
    if (row !== newest) {
      if (isAble) able += 1
      else unable += 1
    }
    const isOver = isAble ? able > limit || (able > 1 && bytes > historyBytesMax) : unable > limit
    if (isOver && row !== newest) surplus.push(row)
  }
  return surplus
}
