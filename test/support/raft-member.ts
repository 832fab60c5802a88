// A process that is one Raft member: a real thread, log and listener, over a state machine that keeps all
// data. Takes orders over IPC; for tests and benchmarks of several processes.
import { createHash } from 'node:crypto'
import type {
  CommittedEntry,
  MemberStep,
  RaftCredentials,
  RaftHandle,
  RaftPeer,
  SnapshotPoint,
  StateMachine,
} from '../../manager/raft/raft-handle.ts'
import { startRaftThread } from '../../manager/raft/raft-thread.ts'
import { type Logger, silentLogger } from '../../proto/lib/log.ts'
import { serveProposals } from './propose-service.ts'

export interface MemberConfig {
  readonly id: string
  readonly directory: string
  readonly listenAddress: string
  readonly credentials: RaftCredentials
  readonly peers: readonly RaftPeer[]
  readonly isFounder: boolean
  readonly snapshotLogBytes: number
  /** Newest entries that the state machine keeps. */
  readonly itemsMax: number
}

export type MemberOrder = { readonly kind: 'start'; readonly config: MemberConfig } | RunningOrder

/** Entries with the content of `memberItem`. */
export interface Batch {
  readonly from: number
  readonly count: number
  readonly size: number
}

type RunningOrder =
  | ({ readonly kind: 'propose' } & Batch)
  | {
      readonly kind: 'load'
      readonly proposers: number
      readonly ms: number
      readonly size: number
    }
  /** Proposals over gRPC. */
  | { readonly kind: 'serve' }
  | { readonly kind: 'read' }
  | { readonly kind: 'state' }
  | { readonly kind: 'change'; readonly steps: readonly MemberStep[] }
  | { readonly kind: 'transfer'; readonly to: string | undefined }
  | { readonly kind: 'compact' }
  | { readonly kind: 'rotate-keys' }
  | { readonly kind: 'set-peers'; readonly peers: readonly RaftPeer[] }
  | { readonly kind: 'set-credentials'; readonly credentials: RaftCredentials }
  /** Blocks the main thread; what is to be proposed is on its way to the Raft thread before. */
  | { readonly kind: 'block'; readonly ms: number; readonly propose?: Batch }
  /** Which of these entries are applied here. */
  | { readonly kind: 'find'; readonly batch: Batch }
  | { readonly kind: 'stop' }

export interface MemberState {
  readonly count: number
  readonly digest: string
  readonly index: number
  readonly restores: number
  readonly leadership: ReturnType<RaftHandle['leadership']>
  readonly raft: Awaited<ReturnType<RaftHandle['status']>>
}

export interface Found {
  readonly count: number
  /** Whether each is there once at most, in the order of their numbers. */
  readonly isInOrder: boolean
}

/** What a block of the main thread did. */
export interface BlockResult {
  /** Of what was proposed, when the block was over and before anything else could run. */
  readonly foundAtEnd: Found
  readonly outcomes: Readonly<Record<string, number>>
}

/** What a load did: outcomes by kind, and the latencies of those that were committed. */
export interface LoadResult {
  readonly outcomes: Readonly<Record<string, number>>
  readonly ms: number
  /** Processor time of this process meanwhile, all threads. */
  readonly cpuMs: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** A line of the member's log. */
export interface MemberLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: object
}

const say =
  (level: MemberLine['level']) =>
  (fields: object, message: string): void => {
    process.send?.({ kind: 'log', line: { level, message, fields } satisfies MemberLine })
  }

const log: Logger = {
  ...silentLogger,
  info: say('info'),
  warn: say('warn'),
  error: say('error'),
}

class KeepingMachine implements StateMachine {
  items: Uint8Array[] = []
  index = 0
  restores = 0
  itemsMax = Number.MAX_SAFE_INTEGER

  apply(entries: readonly CommittedEntry[]): void {
    for (const { index, data } of entries) {
      if (index !== this.index + 1) throw new Error(`entry ${index} after ${this.index}`)
      this.index = index
      if (data.length > 0) this.items.push(Uint8Array.from(data))
    }
    // Lazily: cutting the front costs what is kept.
    if (this.items.length > 2 * this.itemsMax) this.items = this.items.slice(-this.itemsMax)
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // Outside of the generator, whose body runs only when the first chunk is wanted, entries later.
    return encodedItems([...this.items])
  }

  async restore(at: SnapshotPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const all: Uint8Array[] = []
    for await (const chunk of chunks) all.push(chunk)
    const bytes = Buffer.concat(all)
    this.items = []
    for (let offset = 0; offset < bytes.length; ) {
      const length = bytes.readUInt32BE(offset)
      this.items.push(Uint8Array.from(bytes.subarray(offset + 4, offset + 4 + length)))
      offset += 4 + length
    }
    this.index = at.index
    this.restores += 1
  }

  digest(): string {
    const hash = createHash('sha256')
    for (const item of this.items) hash.update(item)
    return hash.digest('hex')
  }
}

async function* encodedItems(
  items: readonly Uint8Array[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const item of items) {
    const head = new Uint8Array(4)
    new DataView(head.buffer).setUint32(0, item.length)
    yield head
    yield item
  }
}

const machine = new KeepingMachine()
let raft: RaftHandle | undefined

/** Deterministic content, so that members can be compared and nothing compresses. */
export function memberItem(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at + 4 <= size; at += 4) view.setUint32(at, (number * 2654435761 + at) >>> 0)
  return bytes
}

async function carryOut(order: MemberOrder): Promise<unknown> {
  if (order.kind === 'start') return await start(order.config)
  if (raft === undefined) throw new Error('not started')
  return await carryOutWith(raft, order)
}

async function carryOutWith(raft: RaftHandle, order: RunningOrder): Promise<unknown> {
  switch (order.kind) {
    case 'propose':
      return await proposeAll(raft, order)
    case 'load':
      return await load(raft, order)
    case 'serve':
      return await serveProposals(raft)
    case 'read':
      return await raft.readIndex()
    case 'state':
      return await state(raft)
    case 'change':
      return await raft.changeMembers(order.steps)
    case 'transfer':
      return await raft.transferLeadership(order.to)
    case 'compact':
      return await raft.compact()
    case 'rotate-keys':
      return await raft.rotateKeys()
    case 'set-peers':
      return raft.setPeers(order.peers)
    case 'set-credentials':
      return raft.setCredentials(order.credentials)
    case 'block':
      return await block(raft, order)
    case 'find':
      return find(order.batch)
    case 'stop':
      return await raft.stop()
  }
}

async function start(config: MemberConfig): Promise<void> {
  const { isFounder, itemsMax, ...rest } = config
  machine.itemsMax = itemsMax
  raft = await startRaftThread({
    ...rest,
    keyFile: `${config.directory}.key`,
    group: 'test',
    ...(isFounder && { beginning: { kind: 'new' } }),
    stateMachine: machine,
    onLeadership: () => {},
    log,
  })
  raft.closed.catch((err) => {
    process.send?.({ kind: 'closed', code: err.code, message: err.message })
  })
}

async function proposeAll(
  handle: RaftHandle,
  order: Batch,
): Promise<Readonly<Record<string, number>>> {
  const numbers = Array.from({ length: order.count }, (_, i) => order.from + i)
  const outcomes = await Promise.all(
    numbers.map((number) => handle.propose(memberItem(number, order.size))),
  )
  return tally(outcomes.map(({ kind }) => kind))
}

async function block(
  handle: RaftHandle,
  { ms, propose = { from: 0, count: 0, size: 0 } }: Extract<MemberOrder, { kind: 'block' }>,
): Promise<BlockResult> {
  const outcomes = proposeAll(handle, propose)
  // The proposals leave in a microtask of this turn; nothing of their outcomes is heard before the next one.
  await Promise.resolve()
  await Promise.resolve()
  const until = performance.now() + ms
  while (performance.now() < until);
  return { foundAtEnd: find(propose), outcomes: await outcomes }
}

function find({ from, count, size }: Batch): Found {
  const numbers = new Map<string, number>()
  for (let i = 0; i < count; i++) numbers.set(textOf(memberItem(from + i, size)), i)
  const found = machine.items.flatMap((item) => numbers.get(textOf(item)) ?? [])
  return { count: found.length, isInOrder: found.every((number, at) => number === at) }
}

function textOf(item: Uint8Array): string {
  return Buffer.from(item).toString('latin1')
}

async function load(
  handle: RaftHandle,
  order: Extract<MemberOrder, { kind: 'load' }>,
): Promise<LoadResult> {
  const kinds: string[] = []
  const latencies: number[] = []
  const startMs = performance.now()
  const before = process.cpuUsage()
  const endMs = startMs + order.ms
  const propose = async (proposer: number): Promise<void> => {
    const data = memberItem(proposer, order.size)
    while (performance.now() < endMs) {
      const sentMs = performance.now()
      const { kind } = await handle.propose(data)
      kinds.push(kind)
      if (kind === 'committed') latencies.push(performance.now() - sentMs)
    }
  }
  await Promise.all(Array.from({ length: order.proposers }, (_, i) => propose(i)))
  const ms = performance.now() - startMs
  const { user, system } = process.cpuUsage(before)
  latencies.sort((a, b) => a - b)
  const at = (part: number): number => latencies[Math.floor(latencies.length * part)] ?? 0
  return {
    outcomes: tally(kinds),
    ms,
    cpuMs: (user + system) / 1000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  }
}

function tally(kinds: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

async function state(handle: RaftHandle): Promise<MemberState> {
  return {
    count: machine.items.length,
    digest: machine.digest(),
    index: machine.index,
    restores: machine.restores,
    leadership: handle.leadership(),
    raft: await handle.status(),
  }
}

process.on('message', (message: { readonly id: number; readonly order: MemberOrder }) => {
  carryOut(message.order).then(
    (result) => process.send?.({ kind: 'done', id: message.id, result }),
    (err) =>
      process.send?.({ kind: 'refused', id: message.id, code: err.code, message: String(err) }),
  )
})
process.on('disconnect', () => process.exit(0))
