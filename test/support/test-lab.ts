// A lab for end-to-end tests: real daemons, real containers, the real command line, conditions with a deadline.
import { createHash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { connectClient } from '../../cli/client.ts'
import {
  endHost,
  type LabDeps,
  labDown,
  labNetwork,
  labUp,
  startHost,
  withDaemon,
} from '../../cli/lab/lab.ts'
import { hostNames, hostPaths, type LabRecord } from '../../cli/lab/lab-record.ts'
import { runningPid } from '../../cli/lab/processes.ts'
import {
  type CutDirection,
  cutHost,
  healHost,
  hostAddress,
  inHost,
} from '../../cli/lab/topology.ts'
import { listTasks } from '../../cli/lists.ts'
import { ControlService, type NodeView, type TaskView } from '../../proto/gen/tsswarm/v1/control.ts'
import { DaemonService, type InfoResponse } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { type CommandResult, runCommand } from '../../proto/lib/command.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { runCommandLine } from './cli.ts'
import { untilSeen } from './until.ts'

const root = '/tmp/tsswarm-test-labs'
const program = [process.execPath, resolve('dist/tsswarm.js')]

export interface TaskRow {
  readonly id: string
  readonly name: string
  readonly node: string
  readonly desired: string
  readonly state: string
  readonly error: string
}

export interface TestLabOptions {
  readonly managers: number
  readonly workers: number
  readonly daemonEnv?: Readonly<Record<string, string>>
  /** As in LabDeps. */
  readonly prepare?: (record: LabRecord) => Promise<void>
  readonly daemonPrefix?: (host: string) => readonly string[]
}

export class TestLab {
  readonly deps: LabDeps
  readonly record: LabRecord
  /** Process ids of all daemons this lab has had. */
  readonly daemonPids = new Set<number>()
  /** Hosts that are not where the lab put them. */
  readonly #moved = new Map<string, string>()

  private constructor(deps: LabDeps, record: LabRecord) {
    this.deps = deps
    this.record = record
    for (const host of hostNames(record)) this.#notePid(host)
  }

  /**
   * Makes a lab; one that a crashed run of this checkout left is removed first. Other checkouts have labs of their own.
   * `wished`: at most 11 characters.
   */
  static async up(wished: string, options: TestLabOptions): Promise<TestLab> {
    const name = labNameHere(wished)
    const { managers, workers, daemonEnv, ...hooks } = options
    const deps = { ...labDeps(name, daemonEnv), ...hooks }
    await labDown(deps, name)
    return new TestLab(deps, await labUp(deps, { name, managers, workers }))
  }

  /** Removes everything of it. */
  async down(): Promise<void> {
    await labDown(this.deps, this.record.name)
    rmSync(dirname(this.deps.roots.stateRoot), { recursive: true, force: true })
    rmSync(this.deps.roots.runRoot, { recursive: true, force: true })
  }

  /** Runs `tsswarm ARG…` on a host, whatever comes of it. */
  async try(host: string, ...args: readonly string[]): Promise<CommandResult> {
    const { name } = this.record
    const env = { ...process.env, TSSWARM_HOST: this.paths(host).socket } as Record<string, string>
    return await runCommand(inHost(name, host, [...program, ...args]), { timeoutMs: 120_000, env })
  }

  /** Standard output of `tsswarm ARG…` on a host; throws when it fails. */
  async cli(host: string, ...args: readonly string[]): Promise<string> {
    const result = await this.try(host, ...args)
    if (result.code === 0) return result.stdout.trim()
    throw new Error(`${host}: tsswarm ${args.join(' ')}: exit ${result.code}: ${result.stderr}`)
  }

  /**
   * Standard output of a command that only reads, run in this process over the socket of that host: one that is asked again
   * and again would else take most of the time of the machine for its beginnings.
   */
  async look(host: string, ...args: readonly string[]): Promise<string> {
    const { clock, random, signal } = this.deps
    const result = await runCommandLine(args, {
      env: { TSSWARM_HOST: this.paths(host).socket },
      connect: (socketPath) => connectClient({ socketPath, clock, random, signal }),
    })
    if (result.code === 0) return result.stdout.trim()
    throw new Error(`${host}: tsswarm ${args.join(' ')}: exit ${result.code}: ${result.stderr}`)
  }

  /** Any program in the network namespace of a host. */
  async run(host: string, ...argv: readonly string[]): Promise<CommandResult> {
    return await runCommand(inHost(this.record.name, host, argv))
  }

  address(host: string): string {
    return this.#moved.get(host) ?? hostAddress(labNetwork(this.record), host)
  }

  /** Takes the address of a host away and gives it another one, with that last byte. */
  async readdress(host: string, lastByte: number): Promise<void> {
    const [a, b] = this.record.subnet
    const next = `10.${a}.${b}.${lastByte}`
    const gateway = hostAddress(labNetwork(this.record), 'machine')
    const lines = [
      `addr del ${this.address(host)}/24 dev eth0`,
      `addr add ${next}/24 dev eth0`,
      `route replace default via ${gateway}`,
    ]
    const argv = inHost(this.record.name, host, ['ip', '-batch', '-'])
    const { code, stderr } = await runCommand(argv, { input: `${lines.join('\n')}\n` })
    if (code !== 0) throw new Error(`${host} cannot have the address ${next}: ${stderr}`)
    this.#moved.set(host, next)
  }

  paths(host: string): ReturnType<typeof hostPaths> {
    return hostPaths(this.deps.roots, this.record.name, host)
  }

  kill(host: string): Promise<void> {
    return endHost(this.deps, this.record, host, 'SIGKILL')
  }

  stop(host: string): Promise<void> {
    return endHost(this.deps, this.record, host, 'SIGTERM')
  }

  async start(host: string): Promise<void> {
    await startHost(this.deps, this.record, host)
    this.#notePid(host)
  }

  /** Process id of the daemon of a host; undefined when it does not run. */
  pid(host: string): number | undefined {
    return runningPid(this.paths(host).pidFile)
  }

  /** To the daemon of a host; no-op when it does not run. */
  signal(host: string, name: 'SIGSTOP' | 'SIGCONT'): void {
    const pid = this.pid(host)
    if (pid !== undefined) process.kill(pid, name)
  }

  /** Lines of the log of a host's daemon, those of its predecessors first. */
  log(host: string): readonly string[] {
    return readFileSync(this.paths(host).logFile, 'utf8').trim().split('\n')
  }

  cut(host: string, direction?: CutDirection): Promise<void> {
    return cutHost(this.record.name, host, direction)
  }

  heal(host: string): Promise<void> {
    return healHost(this.record.name, host)
  }

  /** All tasks of a service, history included. */
  async tasks(host: string, service: string): Promise<readonly TaskRow[]> {
    const format = '{{.ID}}\t{{.Name}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{.Error}}'
    const text = await this.look(host, 'service', 'ps', '--no-trunc', '--format', format, service)
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [id = '', name = '', node = '', desired = '', state = '', error = ''] =
          line.split('\t')
        return { id, name: name.replace(/^ *\\_ /, ''), node, desired, state, error }
      })
  }

  /** Tasks of a service as the control API has them, with times and process ids. */
  async taskViews(host: string, service: string): Promise<readonly TaskView[]> {
    const id = await this.look(host, 'service', 'inspect', '--format', '{{.ID}}', service)
    const filters = [{ key: 'service', values: [id] }]
    return await withDaemon(this.deps, this.record, host, (client) => listTasks(client, filters))
  }

  /** A node as the control API of a host has it. One try. */
  async nodeView(host: string, reference: string): Promise<NodeView | undefined> {
    const { node } = await withDaemon(this.deps, this.record, host, (client) =>
      client.call(ControlService.getNode, { reference }, { retry: false, timeoutMs: 2_000 }),
    )
    return node
  }

  /** What the daemon of a host says of itself, without asking any other. */
  async daemonInfo(host: string): Promise<InfoResponse> {
    return await withDaemon(this.deps, this.record, host, (client) =>
      client.call(DaemonService.info, {}, { retry: false, timeoutMs: 5_000 }),
    )
  }

  /** Tasks that run and shall run. */
  async running(host: string, service: string): Promise<readonly TaskRow[]> {
    const tasks = await this.tasks(host, service)
    return tasks.filter(
      ({ desired, state }) => desired === 'Running' && state.startsWith('Running'),
    )
  }

  /** Resolves with the first value that is not undefined; throws with the last one seen after the deadline. */
  async until<T>(
    what: string,
    look: () => Promise<T | undefined | false>,
    deadlineMs = 60_000,
  ): Promise<T> {
    return await untilSeen(what, look, deadlineMs)
  }

  /**
   * Looks again and again for forMs, and once after it; a look says what is wrong, or ''. Returns how many looks there
   * were. Throws with the first thing that is wrong.
   */
  async steady(what: string, forMs: number, look: () => Promise<string>): Promise<number> {
    const endsAtMs = systemClock.monotonicMs() + forMs
    for (let looks = 1; ; looks++) {
      const isLast = systemClock.monotonicMs() >= endsAtMs
      const wrong = await look()
      if (wrong !== '') throw new Error(`${what}: in look ${looks}: ${wrong}`)
      if (isLast) return looks
      await wait(systemClock, 50)
    }
  }

  /**
   * Looks again and again while act runs, and once after it; a look says what is wrong, or ''. Returns how many looks
   * there were. Throws with the first thing that is wrong, and what act throws.
   */
  async during(look: () => Promise<string>, act: () => Promise<void>): Promise<number> {
    let isOver = false
    const acting = act().finally(() => {
      isOver = true
    })
    const watching = (async (): Promise<number> => {
      for (let looks = 1; ; looks++) {
        const isLast = isOver
        const wrong = await look()
        if (wrong !== '') throw new Error(`in look ${looks}: ${wrong}`)
        if (isLast) return looks
      }
    })()
    const [looks] = await Promise.all([watching, acting])
    return looks
  }

  /** Waits until exactly n tasks of the service run. */
  async untilRunning(host: string, service: string, n: number): Promise<readonly TaskRow[]> {
    return await this.until(`${n} tasks of ${service} run`, async () => {
      const tasks = await this.running(host, service)
      return tasks.length === n && tasks
    })
  }

  /** Host name of the leader, asked of `host`. */
  async leader(host: string): Promise<string> {
    return await this.until('a leader', async () => {
      const format = '{{.Hostname}} {{.ManagerStatus}}'
      const text = await this.look(host, 'node', 'ls', '--format', format)
      return text
        .split('\n')
        .find((line) => line.endsWith(' Leader'))
        ?.split(' ')[0]
    })
  }

  #notePid(host: string): void {
    const pid = this.pid(host)
    if (pid !== undefined) this.daemonPids.add(pid)
  }
}

/** Name of a lab of this checkout, so that two may run their tests at once. */
export function labNameHere(name: string): string {
  return `${name}-${createHash('sha256').update(process.cwd()).digest('hex').slice(0, 4)}`
}

function labDeps(name: string, daemonEnv: Readonly<Record<string, string>> = {}): LabDeps {
  const base = `${root}/${name}`
  return {
    roots: { stateRoot: `${base}/state`, runRoot: `/run/tsswarm-test-labs/${name}` },
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
    program,
    progress: () => {},
    // A machine with ten times as much to do as it can took more than a minute to start a daemon.
    readyMs: 180_000,
    daemonEnv,
  }
}
