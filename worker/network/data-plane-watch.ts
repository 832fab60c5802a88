// Notices when somebody else changes the data plane: a route, a neighbour, a forwarding entry, a rule of nft that is taken
// away or added by hand. Only rings; what is wrong is found by comparing. What this process writes itself is told apart by
// the time: while it writes, and right after, the loss of what should be there is foreign for sure, as is a change of a chain that
// it did not write to, and all else in doubt.
import { enterNamespace } from './data-plane.ts'
import { type Concern, keepWatching, type MonitorOptions } from './host-watch.ts'
import { dataPlaneLink } from './network-state.ts'

export interface DataPlaneWatchOptions extends Omit<MonitorOptions, 'prefix'> {
  /** File the data plane's namespace is bound to. */
  readonly dataPlaneFile: string
  /** Whether this process wrote to the data plane just now. */
  readonly isWriting: () => boolean
  /** Whether this process wrote to this chain of a service just now. */
  readonly isWritten: (chain: string) => boolean
  /** Whether the overlay needs this item, as `route 10.1.0.5`. */
  readonly isNeeded: (item: string) => boolean
  /** Whether the container behind this device lives: with the others the kernel takes all away that hung on them. */
  readonly isAlive: (link: string) => boolean
}

/** When it is replaced by ourselves, one comparison too many is made. */
const wholeTable = 'table'

const monitors: readonly (readonly string[])[] = [
  ['nft', 'monitor'],
  ['ip', 'monitor', 'link', 'address', 'route', 'rule', 'neigh', 'netconf'],
  ['bridge', 'monitor', 'fdb'],
]

/**
 * Watches the namespace that is bound to the file now; until the signal aborts, or until it is another one: whoever
 * watches a namespace keeps it alive.
 */
export async function watchDataPlane(
  options: DataPlaneWatchOptions,
  signal: AbortSignal,
): Promise<void> {
  const prefix = enterNamespace(options.dataPlaneFile)
  const concernOf = (line: string): Concern => concernOfLine(line, options)
  await Promise.all(
    monitors.map((argv) => keepWatching({ ...options, prefix }, argv, concernOf, signal)),
  )
}

export function concernOfLine(
  line: string,
  {
    isWriting,
    isWritten,
    isAlive,
    isNeeded,
  }: Pick<DataPlaneWatchOptions, 'isWriting' | 'isWritten' | 'isAlive' | 'isNeeded'>,
): Concern {
  if (!isWriting()) return isForeignChange(line, isAlive) ? 'foreign' : 'none'
  if (isNeverOurs(line)) return 'foreign'
  const chain = changedChain(line)
  if (chain !== undefined && !isWritten(chain)) return 'foreign'
  const lost = lostItem(line)
  if (lost === wholeTable || (lost !== undefined && isNeeded(lost))) return 'foreign'
  return isForeignChange(line, isAlive) ? 'doubtful' : 'none'
}

const neighbourStates = / lladdr | (STALE|REACHABLE|DELAY|PROBE|FAILED|INCOMPLETE)\b/

/** Whether a line tells of a single address that is led nowhere: this process does so with whole subnets only. */
export function isNeverOurs(line: string): boolean {
  return /^(?:unreachable|blackhole|prohibit|throw) [\da-f.:]+ /.test(line)
}

/** The chain of a service whose rules a line of a monitor tells a change of. */
export function changedChain(line: string): string | undefined {
  return /^(?:add|insert|replace|delete) (?:rule|chain) inet tsswarm (\S+)/.exec(line)?.[1]
}

/** Whether a line of a monitor tells of something the network rests on. */
export function isForeignChange(line: string, isAlive: (link: string) => boolean): boolean {
  // What is indented goes on about the line before.
  if (line.trim() === '' || /^[#\s]/.test(line)) return false
  // Settings: a device that comes is told of with all it has, and its end with none.
  if (/^(Deleted )?inet6? /.test(line) && !/^inet6? \S+ \S+ \S+ *$/.test(line)) return false
  // What the kernel gives each device by itself, some time after it came.
  if (/\bfe80:|\bff[0-9a-f]{2}:|\bproto kernel\b/.test(line)) return false
  // The kernel learns and forgets neighbours by itself. Ours are permanent, and said to fail when they are deleted.
  if (neighbourStates.test(line)) {
    return (
      line.includes('PERMANENT') ||
      (line.startsWith('Deleted ') && !line.includes(` dev ${dataPlaneLink} `))
    )
  }
  const [link] = /\bv[0-9a-f]{12}\b/.exec(line) ?? []
  return link === undefined || isAlive(link)
}

/**
 * What a line of a monitor says is gone: an item of kernel-state.ts, or an element of a set of nft (`element SET TEXT`), or
 * all of nft.
 */
export function lostItem(line: string): string | undefined {
  const [, set, element] = /^delete element inet tsswarm (\S+) \{ (.*) \}$/.exec(line) ?? []
  if (set !== undefined) return `element ${set} ${element}`
  if (line === 'delete table inet tsswarm') return wholeTable
  const match = /^Deleted (?:\d+: )?(?:unreachable |local )?(\S+)(?: .*\bdev (\S+))?/.exec(line)
  const [, what = '', dev = ''] = match ?? []
  if (match === null) return undefined
  if (/^Deleted \d+: \S+: </.test(line)) return `link ${what.replace(/[@:].*$/, '')}`
  if (line.includes(' self') || line.includes(' dst ')) return `fdb ${dev} ${what}`
  if (neighbourStates.test(line)) return `neighbour ${dev} ${what}`
  return line.includes(' table local ') ? `route ${what} table local` : `route ${what}`
}

/** Runs `watch` anew, under a signal of its own, whenever the namespace is another one. Ends with the signal. */
export class DataPlaneWatcher {
  readonly #find: () => Promise<number | undefined>
  readonly #watch: (signal: AbortSignal) => Promise<void>
  #inode: number | undefined
  #ending = new AbortController()
  #running: Promise<void> = Promise.resolve()

  /** `find`: inode of the namespace that is there now; undefined: none. */
  constructor(
    find: () => Promise<number | undefined>,
    watch: (signal: AbortSignal) => Promise<void>,
  ) {
    this.#find = find
    this.#watch = watch
  }

  /** Called after each comparison, which may have made the namespace anew. */
  async follow(): Promise<void> {
    const inode = await this.#find()
    if (inode === this.#inode) return
    await this.stop()
    this.#inode = inode
    if (inode === undefined) return
    this.#ending = new AbortController()
    this.#running = this.#watch(this.#ending.signal)
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    this.#inode = undefined
    await this.#running
  }
}
