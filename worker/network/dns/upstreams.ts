// The name servers of the host: read from its resolv.conf, followed when that changes, the failing ones asked last.
import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import type { Clock } from '../../../proto/lib/clock.ts'
import { parseResolvConf } from '../resolver.ts'

export interface Upstream {
  readonly address: string
  readonly port: number
}

export interface Upstreams {
  /** In the order in which to ask them; empty: the host has none. */
  inOrder(): readonly Upstream[]
  /** It answered. */
  worked(upstream: Upstream): void
  /** It did not answer in time, or refused to. */
  failed(upstream: Upstream): void
  close(): void
}

/** As many as the C library uses. Source: resolv.conf(5). */
const upstreamsMax = 3
const failuresMax = 2
/** Then a failing server is tried first again. */
const shunnedMs = 15_000
const pollMs = 1_000

export class UpstreamList implements Upstreams {
  readonly #clock: Clock
  #servers: readonly Upstream[] = []
  readonly #failures = new Map<string, { count: number; atMs: number }>()

  constructor(clock: Clock, servers: readonly Upstream[] = []) {
    this.#clock = clock
    this.#servers = servers
  }

  /** Replaces the servers; what is known of those that stay is kept. */
  set(servers: readonly Upstream[]): void {
    this.#servers = servers.slice(0, upstreamsMax)
    const keys = this.#servers.map(keyOf)
    for (const key of this.#failures.keys()) if (!keys.includes(key)) this.#failures.delete(key)
  }

  inOrder(): readonly Upstream[] {
    const shunned = this.#servers.filter((server) => this.#isShunned(server))
    return [...this.#servers.filter((server) => !shunned.includes(server)), ...shunned]
  }

  worked(upstream: Upstream): void {
    this.#failures.delete(keyOf(upstream))
  }

  failed(upstream: Upstream): void {
    const count = (this.#failures.get(keyOf(upstream))?.count ?? 0) + 1
    this.#failures.set(keyOf(upstream), { count, atMs: this.#clock.monotonicMs() })
  }

  close(): void {}

  #isShunned(upstream: Upstream): boolean {
    const failures = this.#failures.get(keyOf(upstream))
    if (failures === undefined || failures.count < failuresMax) return false
    return this.#clock.monotonicMs() - failures.atMs < shunnedMs
  }
}

/**
 * Follows the file, also when it is a link that is turned, or is missing for a while. It is read at once, for a question may
 * come right after.
 */
export function followResolvConf(file: string, port: number, clock: Clock): Upstreams {
  const list = new UpstreamList(clock)
  let seen = ''
  // Not watchFile: a change between the first reading and its first look would never be noticed.
  const look = (): void => {
    try {
      const { ino, mtimeMs, ctimeMs, size } = statSync(file)
      const now = `${ino} ${mtimeMs} ${ctimeMs} ${size}`
      if (now === seen) return
      list.set(upstreamsOf(readFileSync(file, 'utf8'), port))
      seen = now
    } catch {
      // Missing while it is replaced: the old servers serve on.
    }
  }
  look()
  const timer = setInterval(look, pollMs).unref()
  list.close = () => clearInterval(timer)
  return list
}

/** `port`: of all of them. */
export function upstreamsOf(resolvConf: string, port: number): readonly Upstream[] {
  const { nameservers } = parseResolvConf(resolvConf)
  const valid = nameservers.filter((address) => isIP(address.split('%')[0] ?? '') > 0)
  return valid.map((address) => ({ address, port }))
}

function keyOf({ address, port }: Upstream): string {
  return `${address} ${port}`
}
