// nats-server as a child of the daemon: configured, watched, started again when it ends, told to read its configuration again when that
// changes. It dies with the daemon, and one that was left behind all the same is ended first. What it is told is nats-config.ts's.
import { type ChildProcess, spawn } from 'node:child_process'
import {
  accessSync,
  constants,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createBackoff } from '../../proto/lib/backoff.ts'
import { Bell } from '../../proto/lib/bell.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Loop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { TlsIdentity } from '../../proto/objects/index.ts'
import { type BusPlan, natsConfig, natsHosts } from './nats-config.ts'

export interface NatsServerDeps {
  /** Folder of its own, in memory: it holds a secret key. */
  readonly directory: string
  /** What it is to be; undefined: not to run yet. */
  readonly plan: () => BusPlan | undefined
  readonly identity: () => TlsIdentity
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Where programs are looked for; default: PATH and the folders for administrators. */
  readonly path?: string
}

export type NatsServerStatus =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running'; readonly pid: number }
  /** `reason` is for people: what is wrong and what to do. */
  | { readonly kind: 'down'; readonly reason: string }

const backoffFirstMs = 100
const backoffMaxMs = 10_000
const readyMs = 15_000
const reloadMs = 5_000
const stopMs = 1_000
/** It ran this long: the next start comes soon. */
const settledMs = 10_000
const linesMax = 50

/** Its own view of /etc/hosts, no privileges, and the end of this very process is its end. */
const script =
  'mount --bind "$1" /etc/hosts && exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all "$2" -c "$3"'

export class NatsServer {
  readonly #deps: NatsServerDeps
  readonly #bell = new Bell()
  #written = ''
  #child: Child | undefined
  #status: NatsServerStatus = { kind: 'waiting' }

  constructor(deps: NatsServerDeps) {
    this.#deps = deps
  }

  status(): NatsServerStatus {
    return this.#status
  }

  /** It does not answer: it is ended, and another one started. */
  giveUp(): void {
    this.#deps.log.warn({ ...this.#status }, 'nats-server does not answer: starting it anew')
    this.#child?.kill()
  }

  /** The plan or the certificate may be another one. */
  changed(): void {
    this.#bell.ring()
  }

  /** Never fails: what is wrong is in the status and the log. Ends when the child has ended. */
  readonly run: Loop = async (signal) => {
    await this.#supervise(signal)
    // It holds a secret key, and this node may be about to leave.
    rmSync(this.#deps.directory, { recursive: true, force: true })
  }

  async #supervise(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#deps
    const backoff = createBackoff({ firstMs: backoffFirstMs, maxMs: backoffMaxMs, random })
    await this.#endLeftover()
    while (!signal.aborted) {
      const plan = this.#deps.plan()
      if (plan === undefined) {
        await this.#bell.wait(clock, undefined, signal)
        continue
      }
      const startedMs = clock.monotonicMs()
      const reason = await this.#live(plan, signal).catch(textOf)
      if (signal.aborted) return
      if (clock.monotonicMs() - startedMs >= settledMs) backoff.reset()
      if (reason === undefined) continue
      const delayMs = backoff.nextMs()
      const fields = { reason, delayMs: Math.round(delayMs) }
      log.warn(fields, 'the bus does not run: changes travel by comparison, more slowly')
      this.#status = { kind: 'down', reason }
      await wait(clock, delayMs, signal)
    }
  }

  /** From start to end of one child; why it ended, undefined when it was to be started anew. */
  async #live(plan: BusPlan, signal: AbortSignal): Promise<string | undefined> {
    const program = findProgram('nats-server', this.#deps.path)
    if (program === undefined) {
      return 'nats-server is not installed: apt-get install nats-server, and keep its own service off: systemctl disable --now nats-server'
    }
    this.#write(plan)
    const child = new Child(this.#start(program), this.#deps)
    this.#child = child
    try {
      const isReady = await child.says(/\[INF\] Server is ready/, readyMs, signal)
      if (!isReady) return child.reason(`nats-server was not ready within ${readyMs} ms`)
      this.#status = { kind: 'running', pid: child.pid }
      this.#deps.log.info({ pid: child.pid, port: plan.listen.clientPort }, 'the bus runs')
      return await this.#follow(child, plan, signal)
    } finally {
      await child.stop()
      this.#child = undefined
    }
  }

  /** Until it ends or has to be another one. */
  async #follow(child: Child, plan: BusPlan, signal: AbortSignal): Promise<string | undefined> {
    const { clock, log } = this.#deps
    void child.ended.then(() => this.#bell.ring())
    while (!signal.aborted) {
      await this.#bell.wait(clock, undefined, signal)
      if (child.hasEnded) return child.reason('nats-server ended')
      const next = this.#deps.plan()
      if (signal.aborted || next === undefined) continue
      // Ports and names are read at its start only.
      if (JSON.stringify(next.listen) !== JSON.stringify(plan.listen)) return undefined
      if (!this.#write(next)) continue
      const isRead = await child.reload(reloadMs, signal)
      log.debug({ isRead, members: next.members.length }, 'the bus read its configuration again')
      if (!isRead && !signal.aborted) return child.reason('nats-server refused its configuration')
    }
    return undefined
  }

  /** Whether anything is new. */
  #write(plan: BusPlan): boolean {
    const { directory, identity } = this.#deps
    const file = (name: string): string => join(directory, name)
    const files = { cert: file('cert.pem'), key: file('key.pem'), ca: file('ca.pem') }
    const { certPem, keyPem, caPem } = identity()
    const texts = {
      'cert.pem': certPem,
      'key.pem': keyPem,
      'ca.pem': caPem,
      'nats.conf': natsConfig(plan, files),
    }
    const hosts = natsHosts(plan.managers)
    const all = JSON.stringify([texts, hosts])
    if (all === this.#written) return false
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    for (const [name, text] of Object.entries(texts)) replaceFile(file(name), text)
    // In place: it is mounted over /etc/hosts.
    writeFileSync(file('hosts'), hosts, { mode: 0o600 })
    this.#written = all
    return true
  }

  #start(program: string): ChildProcess {
    const { directory } = this.#deps
    const conf = join(directory, 'nats.conf')
    const inner = ['sh', '-c', script, 'sh', join(directory, 'hosts'), program, conf]
    const argv = ['--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation', 'private', ...inner]
    const env = { ...process.env, GODEBUG: 'netdns=go', GOMEMLIMIT: '512MiB' }
    const child = spawn('setpriv', argv, { stdio: ['ignore', 'ignore', 'pipe'], env })
    if (child.pid !== undefined) writeFileSync(join(directory, 'pid'), String(child.pid))
    return child
  }

  /** A daemon that was killed takes its child along; should that ever fail, the ports are not lost. */
  async #endLeftover(): Promise<void> {
    const { directory, clock, log } = this.#deps
    const pid = Number(readText(join(directory, 'pid')) ?? 0)
    const isOurs = (): boolean =>
      pid > 0 &&
      (readText(`/proc/${pid}/cmdline`) ?? '').split('\0').includes(join(directory, 'nats.conf'))
    if (!isOurs()) return
    log.warn({ pid }, 'a nats-server of an earlier daemon is ended')
    process.kill(pid, 'SIGKILL')
    const endsAtMs = clock.monotonicMs() + stopMs
    while (isOurs() && clock.monotonicMs() < endsAtMs) await wait(clock, 10)
  }
}

class Child {
  readonly pid: number
  readonly ended: Promise<void>
  hasEnded = false
  readonly #child: ChildProcess
  readonly #deps: NatsServerDeps
  #lines: string[] = []
  #onLine: (line: string) => void = () => {}
  #exit = ''

  constructor(child: ChildProcess, deps: NatsServerDeps) {
    this.#child = child
    this.#deps = deps
    this.pid = child.pid ?? 0
    let rest = ''
    child.stderr?.setEncoding('utf8')
    child.stderr?.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n')
      rest = (lines.pop() ?? '').slice(-10_000)
      for (const line of lines) this.#hear(line)
    })
    this.ended = new Promise((resolve) => {
      const end = (why: string): void => {
        this.#exit = why
        this.hasEnded = true
        resolve()
      }
      child.on('error', (err) => end(err.message))
      child.on('close', (code, cause) => end(cause ?? `exit code ${code}`))
    })
  }

  /** Whether it writes such a line in time, from now on. */
  async says(pattern: RegExp, withinMs: number, signal: AbortSignal): Promise<boolean> {
    let isSaid = false
    const said = new Promise<void>((resolve) => {
      this.#onLine = (line) => {
        isSaid ||= pattern.test(line)
        if (isSaid) resolve()
      }
    })
    await Promise.race([said, this.ended, wait(this.#deps.clock, withinMs, signal)])
    this.#onLine = () => {}
    return isSaid
  }

  /** Whether it took over its configuration. */
  async reload(withinMs: number, signal: AbortSignal): Promise<boolean> {
    let isRefused = false
    const done = this.says(/Reloaded server configuration|Failed to reload/, withinMs, signal)
    const listen = this.#onLine
    this.#onLine = (line) => {
      isRefused ||= line.includes('Failed to reload')
      listen(line)
    }
    this.#child.kill('SIGHUP')
    return (await done) && !isRefused
  }

  /** `what`, and what it said last of what went wrong. */
  reason(what: string): string {
    const said = this.#lines.filter((line) => /\[(FTL|ERR)\]/.test(line) || !line.startsWith('['))
    const last = (said.at(-1) ?? '').replace(/^\[\d+\]\s*/, '')
    return [what, this.#exit, last].filter((part) => part !== '').join(': ')
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    if (this.hasEnded) return
    this.#child.kill('SIGTERM')
    const timer = this.#deps.clock.setTimer(stopMs, () => this.#child.kill('SIGKILL'))
    await this.ended
    timer.cancel()
  }

  #hear(line: string): void {
    this.#lines = [...this.#lines, line].slice(-linesMax)
    this.#deps.log.debug({ line }, 'nats-server says')
    this.#onLine(line)
  }
}

function replaceFile(path: string, text: string): void {
  const beside = `${path}.new`
  writeFileSync(beside, text, { mode: 0o600 })
  renameSync(beside, path)
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function findProgram(name: string, path: string | undefined): string | undefined {
  const { PATH = '' } = process.env
  for (const folder of (path ?? `${PATH}:/usr/local/sbin:/usr/sbin:/sbin`).split(':')) {
    const file = join(folder, name)
    try {
      if (folder !== '') accessSync(file, constants.X_OK)
      if (folder !== '') return file
    } catch {
      // Not in this one.
    }
  }
  return undefined
}

function textOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err)
}
