// Finds the resolver of this node, or starts one: adopts it when it is the same program, has it hand over to ours when it is
// another one, and ends it when it listens in a data plane that is gone.
import { createHash } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { SwarmError } from '../../../proto/errors.ts'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import type { RunCommand } from '../../../proto/lib/command.ts'
import { version as programVersion } from '../../../proto/version.ts'
import { enterNamespace, findNamespace } from '../data-plane.ts'
import { type ControlConnection, connectControl } from './control-connection.ts'
import { type ControlAnswer, logFile, pidFile, type ResolverConfig } from './control-messages.ts'
import { resolverArgv } from './resolver-argv.ts'

export interface OpenOptions {
  /** Of this daemon alone, on a tmpfs; made with mode 0700. */
  readonly dir: string
  /** Bound to the namespace to listen in; undefined: the one this process is in. */
  readonly dataPlaneFile?: string
  /** Bound to the namespace to ask name servers from; undefined: the one this process is in. */
  readonly hostNamespaceFile?: string
  /** Default 127.0.0.11. */
  readonly address?: string
  /** Default 53. */
  readonly port?: number
  /** Default /etc/resolv.conf. */
  readonly resolvConfFile?: string
  /** Name servers of single askers, in files named by their addresses; undefined: nobody has any. */
  readonly askersDir?: string
  /** Of the name servers there; default 53. */
  readonly upstreamPort?: number
  /** cgroup folders for the process to live in, outside of the daemon's unit; made when missing. */
  readonly cgroupDirs?: readonly string[]
  /** Of the program; default: of this program's file. */
  readonly version?: string
  readonly run: RunCommand
  readonly clock: Clock
}

export type Opening = 'started' | 'adopted' | 'replaced'

export interface OpenResolver {
  readonly how: Opening
  readonly connection: ControlConnection
  readonly pid: number
  /** The data plane it listens in; 0: where this process is. */
  readonly namespace: number
}

type Welcome = ControlAnswer & { readonly kind: 'welcome' }

/** On a host with far more to do than it can: a program that is given up too soon, and begun again, only adds to that. */
const startMs = 30_000
const helloMs = 5_000
const replaceMs = 10_000
const endMs = 3_000
const pollMs = 10

/** Errors: UNAVAILABLE with what the program said; FAILED_PRECONDITION without a data plane. */
export async function openResolver(options: OpenOptions): Promise<OpenResolver> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 })
  await chmod(options.dir, 0o700)
  const config = await configOf(options)
  const found = await findRunning(options)
  if (found !== undefined) {
    const { connection, welcome } = found
    const isInPlace = isSamePlace(welcome.config, config)
    if (isInPlace && welcome.config.version === config.version) {
      return { how: 'adopted', connection, pid: welcome.pid, namespace: config.listenNamespace }
    }
    const successor = isInPlace ? await replace(options, config, connection) : undefined
    if (successor !== undefined) return successor
    await end(options, found)
  }
  await killRemnant(options)
  await start(options, config)
  return { how: 'started', ...(await awaitStart(options, config)) }
}

/** Ends the resolver, if there is one. */
export async function closeResolver(options: OpenOptions): Promise<void> {
  const found = await findRunning(options)
  if (found !== undefined) await end(options, found)
  await killRemnant(options)
}

interface Running {
  readonly connection: ControlConnection
  readonly welcome: Welcome
}

async function findRunning({ dir, clock }: OpenOptions): Promise<Running | undefined> {
  const connection = await connectControl(dir, clock).catch(() => undefined)
  if (connection === undefined) return undefined
  // One that hangs is as good as none; it is killed by its pid.
  const welcome = await connection.request({ kind: 'hello' }, helloMs).catch(() => undefined)
  if (welcome?.kind === 'welcome') return { connection, welcome }
  connection.close()
  return undefined
}

async function configOf(options: OpenOptions): Promise<ResolverConfig> {
  const { dir, dataPlaneFile, address = '127.0.0.11', port = 53 } = options
  const listenNamespace = dataPlaneFile === undefined ? 0 : await findNamespace(dataPlaneFile)
  if (listenNamespace === undefined) {
    const message = `there is no data plane at ${dataPlaneFile} for the resolver to listen in`
    throw new SwarmError('FAILED_PRECONDITION', message)
  }
  return {
    version: options.version ?? (await versionOf(mainFile)),
    ...{ dir, listenNamespace, address, port },
    ...(dataPlaneFile === undefined ? {} : { listenNamespaceFile: dataPlaneFile }),
    resolvConfFile: options.resolvConfFile ?? '/etc/resolv.conf',
    ...(options.askersDir === undefined ? {} : { askersDir: options.askersDir }),
    ...(options.upstreamPort === undefined ? {} : { upstreamPort: options.upstreamPort }),
  }
}

const mainFile = fileURLToPath(new URL('./dns-main.js', import.meta.url))

/** Two builds of one version differ. */
async function versionOf(file: string): Promise<string> {
  const digest = createHash('sha256').update(await readFile(file))
  return `${programVersion}-${digest.digest('hex').slice(0, 12)}`
}

function isSamePlace(a: ResolverConfig, b: ResolverConfig): boolean {
  return a.listenNamespace === b.listenNamespace && a.address === b.address && a.port === b.port
}

/** Undefined when it could not hand over. */
async function replace(
  options: OpenOptions,
  config: ResolverConfig,
  connection: ControlConnection,
): Promise<OpenResolver | undefined> {
  const argv = resolverArgv(mainFile, config, true)
  const answer = await connection
    .request({ kind: 'replace', argv }, replaceMs)
    .catch(() => undefined)
  if (answer?.kind !== 'replaced') return undefined
  connection.close()
  const found = await findRunning(options)
  if (found?.welcome.pid !== answer.pid) return undefined
  return {
    how: 'replaced',
    connection: found.connection,
    pid: answer.pid,
    namespace: config.listenNamespace,
  }
}

async function end(options: OpenOptions, { connection, welcome }: Running): Promise<void> {
  await connection.request({ kind: 'stop' }).catch(() => {})
  connection.close()
  await awaitEnd(welcome.pid, options)
}

async function awaitEnd(pid: number, { clock, dir }: OpenOptions): Promise<void> {
  const deadlineMs = clock.monotonicMs() + endMs
  while (await isResolver(pid, dir)) {
    if (clock.monotonicMs() > deadlineMs) kill(pid)
    await wait(clock, pollMs)
  }
}

/** A process that does not listen to the control socket, not yet or not any more, may have the port. */
async function killRemnant(options: OpenOptions): Promise<void> {
  const text = await readFile(pidFile(options.dir), 'utf8').catch(() => '')
  const pid = Number(text)
  if (!Number.isInteger(pid) || pid < 2 || !(await isResolver(pid, options.dir))) return
  kill(pid)
  await awaitEnd(pid, options)
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself in the meantime.
  }
}

/** Its arguments name our folder: a pid alone may be anybody's by now. */
async function isResolver(pid: number, dir: string): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return text.split('\0').some((word) => word.includes(JSON.stringify(dir)))
}

/** In the background, and a session of its own: it is to live longer than this process. */
async function start(options: OpenOptions, config: ResolverConfig): Promise<void> {
  const { dir, hostNamespaceFile, run, cgroupDirs = [] } = options
  await writeFile(logFile(dir), '', { mode: 0o600 })
  for (const cgroup of cgroupDirs) {
    await mkdir(cgroup, { recursive: true }).catch((cause) => {
      throw new SwarmError('HOST_UNFIT', `cannot make the cgroup ${cgroup}: ${cause}`, { cause })
    })
  }
  const script = [
    'log=$1; shift',
    'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift',
    // Its pid is known before it runs: one that does not come up is killed before the next is begun.
    `exec setsid --fork /bin/sh -c 'echo $$ >"$1" && shift && exec "$@"' resolver "$@" </dev/null >>"$log" 2>&1`,
  ].join('\n')
  const enter = hostNamespaceFile === undefined ? [] : enterNamespace(hostNamespaceFile)
  const argv = [...enter, ...resolverArgv(mainFile, config, false)]
  const shell = ['/bin/sh', '-c', script, 'resolver']
  const result = await run([...shell, logFile(dir), ...cgroupDirs, '--', pidFile(dir), ...argv])
  if (result.code === 0) return
  throw new SwarmError('UNAVAILABLE', `cannot start the resolver: ${result.stderr.trim()}`)
}

async function awaitStart(
  options: OpenOptions,
  config: ResolverConfig,
): Promise<Omit<OpenResolver, 'how'>> {
  const { clock, dir } = options
  const deadlineMs = clock.monotonicMs() + startMs
  while (clock.monotonicMs() < deadlineMs) {
    const found = await findRunning(options)
    if (found !== undefined) {
      const { connection, welcome } = found
      return { connection, pid: welcome.pid, namespace: config.listenNamespace }
    }
    const said = await readFile(logFile(dir), 'utf8').catch(() => '')
    const fatal = /^fatal: (.*)$/m.exec(said)
    if (fatal !== null) {
      throw new SwarmError('UNAVAILABLE', `the resolver of this node cannot start: ${fatal[1]}`)
    }
    await wait(clock, pollMs)
  }
  const where = `${config.address}:${config.port}`
  const message = `the resolver of this node does not come up at ${where} within ${startMs} ms; see ${logFile(dir)}`
  throw new SwarmError('UNAVAILABLE', message)
}
