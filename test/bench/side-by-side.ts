// Runs one script on a fresh cluster of ours, then on one of Docker's where it is installed, and puts the figures beside
// each other. Never both at a time: each side has the machine for itself.
import { cpus, loadavg } from 'node:os'
import { SwarmError } from '../../proto/errors.ts'
import type { BenchCluster, ClusterSize } from './cluster.ts'
import { DockerCluster, installedDocker } from './docker/docker-cluster.ts'
import { type Figure, figures, type Measurement } from './figures.ts'
import { LabCluster } from './lab-cluster.ts'

export interface BenchContext {
  /** Whether Docker, or etcd, is measured where it is installed. */
  readonly peer: boolean
  /** How often each thing is tried, where the benchmark lets that be chosen; its own default when left out. */
  readonly tries?: number
}

export interface BenchResult {
  /** Load is the one-minute average at the start: other work on the machine lengthens every figure. */
  readonly machine: { readonly cpus: number; readonly load: number }
  /** Docker's version, or why it was not measured. */
  readonly peer: string
  readonly figures: readonly Figure[]
}

/** Tells each measurement when it is made, so that it stands whatever becomes of the next. */
export type Measure = (
  cluster: BenchCluster,
  tell: (measurement: Measurement) => void,
) => Promise<void>

/**
 * Measures both sides, one after the other. Errors: those of ours, CANCELLED by SIGINT, SIGTERM or SIGHUP when what was
 * made is removed; never those of Docker.
 */
export async function sideBySide(
  name: string,
  size: ClusterSize,
  context: BenchContext,
  measure: Measure,
): Promise<BenchResult> {
  const machine = { cpus: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(1)) }
  return await interruptible(async (signal) => {
    const ours: Measurement[] = []
    await onCluster(new LabCluster(name, size), signal, (cluster) =>
      measure(cluster, (each) => ours.push(each)),
    )
    const dockers: Measurement[] = []
    const peer = await peerSide(context, signal, () =>
      onCluster(new DockerCluster(name, size), signal, (cluster) =>
        measure(cluster, (each) => dockers.push(each)),
      ),
    )
    return { machine, peer, figures: figures(ours, dockers) }
  })
}

/** Measures Docker's side where there is one; resolves with what was measured, or why it was not. */
export async function peerSide(
  { peer }: BenchContext,
  signal: AbortSignal,
  measure: () => Promise<void>,
): Promise<string> {
  if (!peer) return 'left out (--no-peer)'
  const version = await installedDocker()
  if (version === undefined) return 'not installed (apt-get install docker.io)'
  try {
    await measure()
    return `Docker ${version}`
  } catch (err) {
    if (signal.aborted) throw err
    // Ours is measured already, and stands without it.
    const why = err instanceof Error ? err.message : String(err)
    return `Docker ${version}, not measured to its end: ${why}`
  }
}

const interrupts = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs fn with a signal that the user's Ctrl-C aborts, instead of ending the process. */
export async function interruptible<T>(fn: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController()
  const interrupt = (): void => {
    if (interrupted.signal.aborted) return
    process.stderr.write('interrupted: what was made is removed first\n')
    interrupted.abort()
  }
  for (const name of interrupts) process.on(name, interrupt)
  try {
    return await fn(interrupted.signal)
  } finally {
    for (const name of interrupts) process.off(name, interrupt)
  }
}

/** Measures on the cluster, and removes it whatever comes. Errors: CANCELLED by the signal. */
export async function onCluster<C extends Pick<BenchCluster, 'up' | 'down'>, T>(
  cluster: C,
  signal: AbortSignal,
  measure: (cluster: C) => Promise<T>,
): Promise<T> {
  throwIfAborted(signal)
  try {
    // Not left halfway: what still starts could not be removed.
    await cluster.up()
    return await unlessAborted(signal, () => measure(cluster))
  } finally {
    await cluster.down()
  }
}

/** Leaves fn to itself when the signal aborts: its cluster is taken down under it. */
async function unlessAborted<T>(signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
  throwIfAborted(signal)
  let leave = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(cancelled())
    signal.addEventListener('abort', leave, { once: true })
  })
  try {
    return await Promise.race([fn(), aborted])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}

/** Errors: CANCELLED. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw cancelled()
}

function cancelled(): SwarmError {
  return new SwarmError('CANCELLED', 'the benchmark was interrupted')
}
