// Which name servers are asked for whom: those that a container has of its own, else the host's. The daemon writes them, a file for each
// address (../asker-servers.ts).
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { Clock } from '../../../proto/lib/clock.ts'
import { UpstreamList, type Upstreams, upstreamsOf } from './upstreams.ts'

export interface AskerUpstreamsOptions {
  /** Undefined: nobody has servers of its own. */
  readonly dir: string | undefined
  /** Of all others. */
  readonly host: Upstreams
  /** Of all servers. */
  readonly port: number
  readonly clock: Clock
}

interface Known {
  readonly text: string
  readonly upstreams: Upstreams
}

/** Askers that are gone do not ask again, so what is known of them would stay. */
const knownMax = 1_024

/** Looked up anew with each question, so that what was written before it counts. */
export function askerUpstreams(options: AskerUpstreamsOptions): (asker: string) => Upstreams {
  const { dir, host, port, clock } = options
  /** What is known of how well servers answer is kept as long as they are the same. */
  const known = new Map<string, Known>()
  return (asker) => {
    const text = dir === undefined ? undefined : serversOf(dir, asker)
    if (text === undefined) {
      known.delete(asker)
      return host
    }
    const before = known.get(asker)
    if (before?.text === text) return before.upstreams
    const upstreams = new UpstreamList(clock)
    upstreams.set(upstreamsOf(text, port))
    if (known.size >= knownMax) known.clear()
    known.set(asker, { text, upstreams })
    return upstreams
  }
}

/** Undefined: it has none. Most have none, and for those it is a look alone. */
function serversOf(dir: string, asker: string): string | undefined {
  const file = `${dir}/${asker}`
  if (isIP(asker) === 0 || !existsSync(file)) return undefined
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Gone in between.
    return undefined
  }
}
