// A cluster as the benchmarks on real daemons see it, so that one script measures ours (lab-cluster.ts) and Docker's
// (docker/docker-cluster.ts) alike, and what those scripts share. Not the order of the two sides (side-by-side.ts).
import type { CutDirection } from '../../cli/lab/topology.ts'
import { SwarmError } from '../../proto/errors.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'

export interface ClusterSize {
  readonly managers: number
  readonly workers: number
}

export interface CreateOptions {
  /** The request is sent once, and its outcome is the answer's. Default: repeated until it is known. */
  readonly once?: boolean
  /** For a request that is sent once; default 10,000. */
  readonly timeoutMs?: number
}

/** The API of one host's daemon, over its local socket. */
export interface BenchClient {
  /** Creates a service of lab/hello. */
  createService(name: string, replicas: number, options?: CreateOptions): Promise<void>
  removeService(name: string): Promise<void>
  /** Of all services. */
  serviceNames(): Promise<readonly string[]>
  /** Running tasks of the service, as told by what the command `service ls` asks. */
  runningCount(service: string): Promise<number>
  /** The host of each task that runs and shall run, of all services. */
  runningHosts(): Promise<readonly string[]>
  /** Of its last update, in Swarm's words; undefined before the first. */
  updateState(service: string): Promise<string | undefined>
  /** Hosts that are seen down. */
  downHosts(): Promise<readonly string[]>
  /** Host of the leader; undefined when there is none. */
  leader(): Promise<string | undefined>
  /** Whether this very daemon takes itself for the leader; asks no other one. */
  leads(): Promise<boolean>
}

/** Hosts are m1…, w1…: network namespaces of this machine on one bridge, each with a daemon and the image lab/hello. */
export interface BenchCluster {
  readonly side: 'tsswarm' | 'docker'
  /** What `service create` needs beside Swarm's own flags. */
  readonly createFlags: readonly string[]
  /** Makes it; what a crashed run left of it is removed first. */
  up(): Promise<void>
  /** Removes everything of it, in whatever state it is. */
  down(): Promise<void>
  /** Runs fn with a client of the host's daemon. */
  onHost<T>(host: string, fn: (client: BenchClient) => Promise<T>): Promise<T>
  /** Types the command line's ARG… on a host; throws when it fails. */
  type(host: string, ...args: readonly string[]): Promise<void>
  /** Any program on the host. */
  run(host: string, ...argv: readonly string[]): Promise<void>
  address(host: string): string
  /** Of the container of the service's task on that host. Errors: NOT_FOUND. */
  taskPid(host: string, service: string): Promise<number>
  /** CPU time so far of the host's daemon, of all that it has run, and of its containers with what watches over them, in ms. */
  cpuMs(host: string): Promise<number>
  /** Types what starts a single container on m1; resolves when it runs. */
  typeOne(name: string): Promise<void>
  removeOne(name: string): Promise<void>
  /** Whether nothing of removed services is left, no container either. */
  isIdle(): Promise<boolean>
  /** kill -9 of the host's daemon. */
  kill(host: string): Promise<void>
  /** Starts a killed daemon; resolves when the cluster is whole. */
  restart(host: string): Promise<void>
  /** The host neither sends nor receives, or only one of the two. */
  cut(host: string, direction?: CutDirection): Promise<void>
  /** Ends that; resolves when the cluster is whole. */
  heal(host: string): Promise<void>
  /** SIGSTOP to the host's daemon. */
  pause(host: string): Promise<void>
  /** SIGCONT to it; resolves when the cluster is whole. */
  resume(host: string): Promise<void>
}

/** Longer than the slowest figure of the slowest side on a busy machine. */
const withinMs = 300_000

/** Calls fn so often, one call after the other. */
export async function rounds<T>(count: number, fn: (round: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let round = 0; round < count; round++) results.push(await fn(round))
  return results
}

/** ms that fn took. */
export async function timed(fn: () => Promise<unknown>): Promise<number> {
  const startMs = systemClock.monotonicMs()
  await fn()
  return systemClock.monotonicMs() - startMs
}

/** Looks until fn is true, every gapMs; costs what fn costs. Errors: DEADLINE_EXCEEDED after five minutes. */
export async function seen(what: string, gapMs: number, fn: () => Promise<boolean>): Promise<void> {
  const endsAtMs = systemClock.monotonicMs() + withinMs
  while (!(await fn())) {
    if (systemClock.monotonicMs() > endsAtMs) {
      throw new SwarmError('DEADLINE_EXCEEDED', `not within ${withinMs / 60_000} minutes: ${what}`)
    }
    await wait(systemClock, gapMs)
  }
}

/** Removes the services and waits until nothing of them is left. */
export async function removeServices(
  cluster: BenchCluster,
  ...names: readonly string[]
): Promise<void> {
  await cluster.type('m1', 'service', 'rm', ...names)
  await seen('all tasks are gone', 50, () => cluster.isIdle())
}
