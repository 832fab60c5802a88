// Notices at once when somebody else changes what our network rests on in the host's namespace: a firewall that is
// reloaded ("flush ruleset"), a device or route that is removed. Only rings; what is wrong is found by comparing.
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import { firewallMark } from './host-firewall.ts'
import { tableFamily, tableName } from './kernel-state.ts'
import { hostLink } from './network-state.ts'

/** Whether a line tells of somebody else's change, or may be the echo of what this process writes. */
export type Concern = 'foreign' | 'doubtful' | 'none'

export interface MonitorOptions {
  /** Argv that enters the namespace; empty when this process is in it. */
  readonly prefix: readonly string[]
  readonly clock: Clock
  readonly log: Logger
  readonly onChange: (concern: 'foreign' | 'doubtful') => void
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
/** How often it is looked whether a monitor listens yet, and how long. */
const listenPollMs = 20
const listenMaxMs = 10_000

/** Runs until the signal aborts. A monitor that ends is started again. */
export async function watchHost(options: HostWatchOptions, signal: AbortSignal): Promise<void> {
  const ofRule = (line: string): Concern => concernOfRule(line, options.isWriting())
  const ofLink = (line: string): Concern => (isAboutLink(line) ? 'foreign' : 'none')
  await Promise.all([
    keepWatching(options, ['nft', 'monitor'], ofRule, signal),
    keepWatching(options, ['ip', 'monitor', 'link', 'address', 'route'], ofLink, signal),
  ])
}

/**
 * Elements of our own table that come and go while we write are most likely our own; all else is foreign, be it another
 * table's chain.
 */
export function concernOfRule(line: string, isWriting: boolean): Concern {
  if (line.startsWith('#') || line.trim() === '') return 'none'
  if (line.includes(`comment "${firewallMark}"`)) return 'none'
  const ours = `element ${tableFamily} ${tableName} `
  return isWriting && line.includes(ours) ? 'doubtful' : 'foreign'
}

export function isAboutLink(line: string): boolean {
  return line.includes(` ${hostLink} `) || line.includes(` ${hostLink}@`)
}

/**
 * Runs a monitor until the signal aborts, and rings for the lines that concern us; and whenever one has begun to listen, or
 * ended before, for what changed while none did.
 */
export async function keepWatching(
  options: MonitorOptions,
  argv: readonly string[],
  concernOf: (line: string) => Concern,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = options
  let restartMs = restartFirstMs
  while (!signal.aborted) {
    const startedMs = clock.monotonicMs()
    await watchOnce(options, argv, concernOf, signal)
    if (signal.aborted) return
    const hasLasted = clock.monotonicMs() - startedMs >= lastedMs
    restartMs = hasLasted ? restartFirstMs : Math.min(restartMaxMs, restartMs * 2)
    if (hasLasted) log.debug({ argv }, 'network monitor ended')
    else log.warn({ argv }, 'network monitor ended at once')
    await wait(clock, restartMs, signal)
  }
}

async function watchOnce(
  options: MonitorOptions,
  argv: readonly string[],
  concernOf: (line: string) => Concern,
  signal: AbortSignal,
): Promise<void> {
  const { onChange, prefix } = options
  const args = ['--pdeathsig', 'KILL', ...prefix, ...argv]
  const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'ignore'] })
  const { controller: ending, release } = childController(signal)
  const ended = new Promise<void>((resolve) => {
    child.on('error', () => resolve())
    child.on('close', () => resolve())
  })
  const stop = (): void => {
    child.kill('SIGKILL')
  }
  signal.addEventListener('abort', stop, { once: true })
  createInterface(child.stdout).on('line', (line) => {
    const concern = concernOf(line)
    if (concern !== 'none') onChange(concern)
  })
  const listening = untilListening(options, child.pid, ending.signal).then(() => {
    if (!signal.aborted) onChange('foreign')
  })
  await ended
  ending.abort()
  await listening
  signal.removeEventListener('abort', stop)
  release()
}

/** Until the process has a netlink socket that hears of changes; at most 10 s, and no longer than it lives. */
async function untilListening(
  { clock, log }: MonitorOptions,
  pid: number | undefined,
  ended: AbortSignal,
): Promise<void> {
  if (pid === undefined) return
  const endMs = clock.monotonicMs() + listenMaxMs
  while (!ended.aborted && clock.monotonicMs() < endMs) {
    const sockets = await readFile(`/proc/${pid}/net/netlink`, 'utf8').catch(() => '')
    if (isListening(sockets, pid)) return
    await wait(clock, listenPollMs, ended)
  }
  if (!ended.aborted) log.warn({ pid }, 'network monitor does not listen yet')
}

/**
 * Whether a process has joined a group of netlink, by the table in /proc/PID/net/netlink, whose third column is the port,
 * by default the process id, and whose fourth are the groups.
 */
export function isListening(table: string, pid: number): boolean {
  return table.split('\n').some((line) => {
    const [, , port, groups] = line.trim().split(/\s+/)
    return port === String(pid) && groups !== undefined && /[1-9a-f]/.test(groups)
  })
}
