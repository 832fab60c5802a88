// What the daemon and the resolver of its node say to each other over the control socket: length-framed JSON, one answer to
// each request, in order. A daemon meets resolvers of other versions: kinds and fields are only added.
import type { Stamp } from '../../../proto/objects/assignment.ts'
import type { ServerCounts } from './server.ts'
import type { ZoneChange } from './zone-change.ts'

/** Everything a resolver process is told at its start. */
export interface ResolverConfig {
  /** Of the program; another one is replaced. */
  readonly version: string
  /** Holds the control socket; mode 0700. */
  readonly dir: string
  /** The network namespace to listen in; undefined: that of the process. */
  readonly listenNamespaceFile?: string
  /** Inode of that namespace; 0 without one. */
  readonly listenNamespace: number
  readonly address: string
  readonly port: number
  /** Name servers for what is not ours. */
  readonly resolvConfFile: string
  /** Name servers of single askers, in files named by their addresses; undefined: nobody has any. */
  readonly askersDir?: string
  /** Of name servers; default 53. */
  readonly upstreamPort?: number
}

export type ControlRequest =
  | { readonly kind: 'hello' }
  | {
      readonly kind: 'apply'
      readonly changes: readonly ZoneChange[]
      /** They lead there from nothing, and take effect together with the last part. */
      readonly isWhole: boolean
      /** No other part follows: the stamp is reached. */
      readonly isLast: boolean
      readonly stamp: Stamp
    }
  | { readonly kind: 'counts' }
  /** Starts another program, which goes on with the sockets and the names of this one. */
  | { readonly kind: 'replace'; readonly argv: readonly string[] }
  | { readonly kind: 'stop' }

export type ControlAnswer =
  | {
      readonly kind: 'welcome'
      readonly pid: number
      readonly config: ResolverConfig
      readonly stamp?: Stamp
    }
  | { readonly kind: 'applied'; readonly stamp?: Stamp }
  | { readonly kind: 'counts'; readonly counts: ServerCounts }
  | { readonly kind: 'replaced'; readonly pid: number }
  | { readonly kind: 'stopping' }
  | { readonly kind: 'failed'; readonly message: string }

export const controlFrameBytesMax = 16 * 1024 * 1024
/** Of one part of the names: some hundred kB. */
export const changesPerPart = 1_000

export function controlSocketFile(dir: string): string {
  return `${dir}/resolver.sock`
}

/** Of the resolver, from before it runs. */
export function pidFile(dir: string): string {
  return `${dir}/resolver.pid`
}

export function logFile(dir: string): string {
  return `${dir}/resolver.log`
}

/** At least one part, of at most changesPerPart changes each. */
export function partsOf(changes: readonly ZoneChange[]): readonly (readonly ZoneChange[])[] {
  const parts: (readonly ZoneChange[])[] = [changes.slice(0, changesPerPart)]
  for (let at = changesPerPart; at < changes.length; at += changesPerPart) {
    parts.push(changes.slice(at, at + changesPerPart))
  }
  return parts
}
