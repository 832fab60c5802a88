// Notices at once when somebody else changes what our network rests on in the host's namespace: a firewall that is
// reloaded ("flush ruleset"), a device or route that is removed. Only rings; what is wrong is found by comparing.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'
import { firewallMark } from './host-firewall.ts'
import { tableFamily, tableName } from './kernel-state.ts'
import { hostLink } from './network-state.ts'

export interface MonitorOptions {
  /** Argv that enters the namespace; empty when this process is in it. */
  readonly prefix: readonly string[]
  readonly clock: Clock
  readonly log: Logger
  readonly onChange: () => void
}

export interface HostWatchOptions extends MonitorOptions {
  /** Whether this process wrote to the host's namespace just now. */
  readonly isWriting: () => boolean
}

/** nft 1.0.6 crashes in `nft monitor` whenever an element of concatenated intervals is deleted: that must not blind us for long. */
const restartFirstMs = 50
const restartMaxMs = 5_000
/** A monitor that ran for so long is no broken one. */
const lastedMs = 1_000

/** Runs until the signal aborts. A monitor that ends is started again. */
export async function watchHost(options: HostWatchOptions, signal: AbortSignal): Promise<void> {
  const concerns = (line: string): boolean => isForeignRule(line, options.isWriting())
  await Promise.all([
    keepWatching(options, ['nft', 'monitor'], concerns, signal),
    keepWatching(options, ['ip', 'monitor', 'link', 'address', 'route'], isAboutLink, signal),
  ])
}

/**
 * Elements of our own table that come and go while we write are our own; all else concerns us, be it another table's
 * chain.
 */
export function isForeignRule(line: string, isWriting: boolean): boolean {
  if (line.startsWith('#') || line.trim() === '') return false
  const ours = `element ${tableFamily} ${tableName} `
  return !(isWriting && line.includes(ours)) && !line.includes(`comment "${firewallMark}"`)
}

export function isAboutLink(line: string): boolean {
  return line.includes(` ${hostLink} `) || line.includes(` ${hostLink}@`)
}

/** Runs a monitor until the signal aborts, and rings for the lines that concern us. */
export async function keepWatching(
  options: MonitorOptions,
  argv: readonly string[],
  concerns: (line: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, onChange } = options
  let restartMs = restartFirstMs
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs()
    await watchOnce(options, argv, concerns, signal)
    if (signal.aborted) return
    const hasLasted = clock.monotonicMs() - startedMs >= lastedMs
    restartMs = hasLasted ? restartFirstMs : Math.min(restartMaxMs, restartMs * 2)
    if (hasLasted) log.debug({ argv }, 'network monitor ended')
    else log.warn({ argv }, 'network monitor ended at once')
    await wait(clock, restartMs, signal)
    // Whatever it would have told meanwhile.
    onChange()
  }
}

function watchOnce(
  options: MonitorOptions,
  argv: readonly string[],
  concerns: (line: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const args = ['--pdeathsig', 'KILL', ...options.prefix, ...argv]
    const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    const stop = (): void => {
      child.kill('SIGKILL')
    }
    const done = (): void => {
      signal.removeEventListener('abort', stop)
      resolve()
    }
    signal.addEventListener('abort', stop, { once: true })
    createInterface(child.stdout).on('line', (line) => {
      if (concerns(line)) options.onChange()
    })
    child.on('error', done)
    child.on('close', done)
  })
}
