// What sends the traffic of the network benchmark: iperf3 for streams, a small program of our own for connections.
// Both run with real-time priority on cores of their own, so that what else the machine does falls on no side alone.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SwarmError } from '../../../proto/errors.ts'
import { runCommand } from '../../../proto/lib/command.ts'

/** Argv prefixes that enter the namespaces, and the address of the server as its client knows it. */
export interface Way {
  readonly client: readonly string[]
  readonly server: readonly string[]
  readonly address: string
}

export interface Stream {
  readonly gigabits: number
  /** Processor time of both ends, kernel's work for them included, for a gigabyte. */
  readonly cpuSeconds: number
  readonly retransmits: number
}

const port = 5_300
const timeoutMs = 30_000

/** Kept short: while a stream runs, little else does on these two cores. */
const streamMegabytes = 500

export async function isIperfInstalled(): Promise<boolean> {
  return (await runCommand(['iperf3', '--version'])).code === 0
}

/** One TCP stream. Errors: UNAVAILABLE. */
export async function stream({ client, server, address }: Way): Promise<Stream> {
  const serving = runCommand([...server, ...onCore(1), 'iperf3', '-s', '-1', '-p', `${port}`], {
    timeoutMs,
  })
  await untilListening(server, port)
  const to = ['-c', address, '-p', `${port}`, '-n', `${streamMegabytes}M`, '-J']
  const result = await runCommand([...client, ...onCore(0), 'iperf3', ...to], { timeoutMs })
  await serving
  if (result.code !== 0) throw failure('iperf3', result.stdout + result.stderr)
  return parseStream(result.stdout)
}

interface IperfResult {
  readonly end: {
    readonly sum_sent: { readonly seconds: number; readonly retransmits?: number }
    readonly sum_received: { readonly bits_per_second: number; readonly bytes: number }
    readonly cpu_utilization_percent: {
      readonly host_total: number
      readonly remote_total: number
    }
  }
}

/** What `iperf3 -J` prints. */
export function parseStream(json: string): Stream {
  const { end }: IperfResult = JSON.parse(json)
  const { host_total: host, remote_total: remote } = end.cpu_utilization_percent
  const busySeconds = (end.sum_sent.seconds * (host + remote)) / 100
  return {
    gigabits: end.sum_received.bits_per_second / 1e9,
    cpuSeconds: busySeconds / (end.sum_received.bytes / 1e9),
    retransmits: end.sum_sent.retransmits ?? 0,
  }
}

/** Our program for connections; compiled with cc, which the project's setup installs. */
export class ConnectionLoad {
  readonly #directory = mkdtempSync(join(tmpdir(), 'tsswarm-bench-network-'))
  readonly program = join(this.#directory, 'connections')

  /** Errors: FAILED_PRECONDITION without cc. */
  async build(): Promise<void> {
    const source = new URL('../../../../test/bench/network/connections.c', import.meta.url)
    const argv = ['cc', '-O2', '-o', this.program, fileURLToPath(source)]
    const { code, stderr } = await runCommand(argv, { timeoutMs: 60_000 })
    if (code === 0) return
    const message = `the network benchmark cannot compile its load: ${stderr.trim()}: install gcc and libc6-dev, or run npm run setup`
    throw new SwarmError('FAILED_PRECONDITION', message)
  }

  /** For a process that stays. */
  server(enter: readonly string[]): readonly string[] {
    return [...enter, ...onCore(1), this.program, 'serve', `${port}`]
  }

  /** Connections a second, to the addresses in turn. Errors: UNAVAILABLE. */
  async rate(
    enter: readonly string[],
    count: number,
    addresses: readonly string[],
  ): Promise<number> {
    const argv = [this.program, 'load', `${count}`, `${port}`, ...addresses]
    const result = await runCommand([...enter, ...onCore(0), ...argv], { timeoutMs })
    if (result.code !== 0) throw failure('connections', result.stderr)
    return count / Number(result.stdout)
  }

  /** When the port first takes a connection, in ms of the wall clock. Errors: UNAVAILABLE. */
  async until(enter: readonly string[], address: string, at: number): Promise<number> {
    const argv = [...enter, this.program, 'until', `${at}`, address, `${timeoutMs}`]
    const result = await runCommand(argv, { timeoutMs: 2 * timeoutMs })
    if (result.code !== 0) throw failure('connections', result.stderr)
    return Number(result.stdout)
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Resolves when something listens on the port, at the load's own by default. Errors: UNAVAILABLE. */
export async function untilListening(enter: readonly string[], at: number = port): Promise<void> {
  for (let looks = 0; looks < 500; looks++) {
    const { stdout } = await runCommand([...enter, 'ss', '-Hltn', `sport = :${at}`])
    if (stdout.trim() !== '') return
  }
  throw failure('the server of the load', 'it does not listen')
}

function onCore(number: number): readonly string[] {
  return ['chrt', '-f', '10', 'taskset', '-c', `${number}`]
}

function failure(what: string, why: string): SwarmError {
  return new SwarmError('UNAVAILABLE', `${what}: ${why.trim()}`)
}
