// Runs `crun exec` as a child with pipes, or on a terminal that `script` makes. Forked from the daemon itself: the spawn helper
// is for programs that neither stay nor stream, and who types a command does not notice the two milliseconds.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { PassThrough, Readable, Writable } from 'node:stream'
import { SwarmError } from '../../../proto/errors.ts'
import type { TerminalSize } from '../../../proto/gen/tsswarm/v1/streams.ts'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import { atUsualPriority } from '../../../proto/lib/priority.ts'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import type { AttachedProgram, ExecEnd } from '../../streams/container-streams.ts'
import { inPrivateMounts, type SpawnHelper } from '../spawn/spawn-helper.ts'
import { childMore, isThere, lookAtChild, untilRead } from './last-words.ts'
import { plainText } from './oci-errors.ts'
import { ociText } from './oci-spec.ts'
import { identifyProcess, type ProcessIdentity, signalProcess } from './processes.ts'
import { parseSignal } from './signals.ts'

export interface ExecProgramOptions {
  readonly runtime: RuntimeName
  readonly runtimePath: string
  readonly runtimeDir: string
  readonly containerId: string
  /** In memory, made for this one and removed after it: the process with its environment lies in it. */
  readonly dir: string
  readonly process: object
  /** As it is named when it cannot be run. */
  readonly command: string
  readonly tty: boolean
  readonly size: TerminalSize | undefined
  readonly detach: boolean
  readonly helper: SpawnHelper
  readonly clock: Clock
}

const sighup = 1
const sigkill = 9
/** Between hanging up and killing. */
const hangUpMs = 2_000
const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const sizeMax = 65_535
const startMs = 30_000
const pollMs = 10
/** What the runtime ends with when it could not run the program. */
const runtimeFailed = 255
const wordsMax = 4_096

export async function startExec(options: ExecProgramOptions): Promise<AttachedProgram> {
  const { dir, process: spec } = options
  await mkdir(dir, { mode: 0o700 })
  await writeFile(`${dir}/process.json`, ociText(spec), { mode: 0o600 })
  return options.detach ? await startDetached(options) : new ExecProgram(options)
}

/**
 * With a null device of its own: crun makes the program's user the owner of its standard streams, and whoever holds the host's own device
 * open may change its mode for all.
 */
const silently: readonly string[] = [
  ...['unshare', '--mount', '--propagation', 'slave', '/bin/sh', '-c'],
  `cd "$1" && shift && mkdir dev && mount -t tmpfs -o mode=700,size=4k,nr_inodes=4 null dev &&
   mknod -m 666 dev/null c 1 3 || { echo 'no null device can be made for it' >log; exit ${runtimeFailed}; }
   exec "$@" <dev/null >dev/null 2>&1`,
  'exec',
]

/** The runtime ends once the program runs; nothing of it is heard. */
async function startDetached(options: ExecProgramOptions): Promise<AttachedProgram> {
  const { helper, dir } = options
  const { code } = await helper.spawn([...silently, dir, ...argvOf(options)], {
    timeoutMs: startMs,
  })
  // The code is the runtime's own.
  const end = await endOf(options, code === 0 ? 0 : runtimeFailed, '')
  return {
    input: new PassThrough().resume(),
    output: Readable.from([]),
    errors: undefined,
    ended: Promise.resolve(end),
    resize: async () => {},
    signal: () => {},
    hangUp: async () => {},
  }
}

/** What became of it, by its exit code and by what the runtime wrote; its files are removed. */
async function endOf(
  { dir, command, detach }: Pick<ExecProgramOptions, 'dir' | 'command' | 'detach'>,
  code: number,
  words: string,
): Promise<ExecEnd> {
  // On a terminal it says the same again, with the time.
  const log = await readFile(`${dir}/log`, 'utf8').catch(() => '')
  const complaint = plainText(log.trim().split('\n')[0] ?? '')
  await rm(dir, { recursive: true, force: true })
  const isRefused = code === runtimeFailed && (complaint !== '' || detach)
  if (!isRefused) return { exitCode: code, err: '' }
  const what = `cannot run "${command}" in the container`
  // It says the same on standard error, but not always of what.
  const isSaid = words.includes(complaint)
  return { exitCode: failureCode(complaint), err: isSaid ? what : `${what}: ${complaint}` }
}

class ExecProgram implements AttachedProgram {
  readonly output: AsyncIterable<Buffer>
  readonly errors: AsyncIterable<Buffer> | undefined
  readonly ended: Promise<ExecEnd>
  readonly #options: ExecProgramOptions
  readonly #child: ChildProcess
  readonly #streams: ChildStreams
  /** The newest words of the program, to tell whether the runtime's own were among them. */
  #words = ''
  readonly #over = new AbortController()
  #process: ProcessIdentity | undefined
  #hangingUp: Promise<void> | undefined

  constructor(options: ExecProgramOptions) {
    this.#options = options
    const env = { PATH: systemPath, SHELL: '/bin/sh' }
    const argv = [...inPrivateMounts, ...argvOf(options)]
    const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', 'pipe']
    this.#child = atUsualPriority(() => spawn('unshare', argv, { env, stdio }))
    this.#streams = streamsOf(this.#child)
    // A program that ends without reading its input is judged by its exit code.
    this.#streams.stdin.on('error', () => {})
    const { stdout, stderr } = this.#streams
    this.output = options.tty ? this.#noting(stdout) : stdout
    this.errors = options.tty ? undefined : this.#noting(stderr)
    this.ended = this.#untilEnded()
    this.ended.catch(() => {})
    if (needsHold(options)) this.#letGo().catch(() => {})
    else this.#streams.hold.destroy()
  }

  get input() {
    return this.#streams.stdin
  }

  /** Lets the runtime end once it has read what the program wrote. */
  async #letGo(): Promise<void> {
    const { clock } = this.#options
    const { stdout, hold } = this.#streams
    try {
      await untilRead({
        program: await this.#find(),
        isThere,
        look: () => lookAtChild(this.#child.pid ?? 0),
        isBehind: () => stdout.readableLength > 0,
        clock,
        signal: this.#over.signal,
      })
    } finally {
      hold.destroy()
    }
  }

  async *#noting(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of chunks) {
      this.#words = (this.#words + chunk.toString('utf8')).slice(-wordsMax)
      yield chunk
    }
  }

  async resize({ rows, columns }: TerminalSize): Promise<void> {
    const process = await this.#find()
    if (!this.#options.tty || process === undefined) return
    // That of the container itself, as crun does not pass on what it hears of its own.
    const size = ['rows', bounded(rows), 'cols', bounded(columns)]
    await this.#options.helper.spawn(['stty', '-F', `/proc/${process.pid}/fd/0`, ...size])
  }

  signal(name: string): void {
    const number = parseSignal(name)
    this.#find()
      .then((process) => process !== undefined && signalProcess(process, number))
      .catch(() => {})
  }

  hangUp(): Promise<void> {
    this.#hangingUp ??= this.#hangUp()
    return this.#hangingUp
  }

  async #hangUp(): Promise<void> {
    if (this.#over.signal.aborted) return
    this.#streams.stdin.destroy()
    // Nobody reads any more; what it writes must not keep it from ending.
    this.#streams.stdout.destroy()
    this.#streams.stderr.destroy()
    await this.#kill(sighup)
    const ended = this.ended.then(
      () => {},
      () => {},
    )
    await Promise.race([ended, wait(this.#options.clock, hangUpMs)])
    if (this.#over.signal.aborted) return
    await this.#kill(sigkill)
    this.#child.kill('SIGKILL')
    await ended
  }

  /** With its group: it leads one of its own. */
  async #kill(signal: number): Promise<void> {
    const process = await this.#find()
    if (process === undefined) {
      this.#child.kill(signal)
      return
    }
    if (!signalProcess(process, signal)) return
    signalGroup(process.pid, signal)
  }

  /** The process in the container. The runtime may tell of it after it has begun to speak. */
  async #find(): Promise<ProcessIdentity | undefined> {
    const { clock, dir } = this.#options
    const untilMs = clock.monotonicMs() + startMs
    while (
      this.#process === undefined &&
      !this.#over.signal.aborted &&
      clock.monotonicMs() < untilMs
    ) {
      const text = await readFile(`${dir}/pid`, 'utf8').catch(() => '')
      if (Number(text) > 0) this.#process = identifyProcess(Number(text))
      if (Number(text) > 0) break
      await wait(clock, pollMs)
    }
    return this.#process
  }

  #untilEnded(): Promise<ExecEnd> {
    return new Promise((resolve, reject) => {
      this.#child.on('error', (cause) => {
        this.#over.abort()
        reject(new SwarmError('INTERNAL', `cannot run a program: ${cause.message}`, { cause }))
      })
      // Their streams may be held open by what the program left behind: it has ended all the same.
      this.#child.on('exit', (code) => {
        this.#over.abort()
        endOf(this.#options, code ?? 128 + sigkill, this.#words).then(resolve, reject)
      })
    })
  }
}

/** As Docker tells them: not found, and found but not to be run. */
export function failureCode(complaint: string): number {
  return /executable file .*not found|: no such file or directory/.test(complaint) ? 127 : 126
}

function argvOf(options: ExecProgramOptions): readonly string[] {
  const { runtime, runtimePath, runtimeDir, containerId, dir, tty, size, detach } = options
  const argv = [
    ...[
      runtimePath,
      '--log',
      runtime === 'crun' ? `file:${dir}/log` : `${dir}/log`,
      '--root',
      runtimeDir,
      'exec',
    ],
    ...(detach ? ['--detach'] : []),
    ...['--pid-file', `${dir}/pid`, '--process', `${dir}/process.json`, containerId],
  ]
  if (!tty || detach) return argv
  // Before the runtime looks at the terminal for its size.
  const sized =
    size === undefined ? '' : `stty rows ${bounded(size.rows)} cols ${bounded(size.columns)}; `
  const command = `${sized}${needsHold(options) ? childMore : ''}exec ${argv.map(quoted).join(' ')}`
  return ['script', '-qef', '--echo', 'never', '-c', command, '/dev/null']
}

interface ChildStreams {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Open as long as the runtime is not to end. */
  readonly hold: Writable
}

function streamsOf(child: ChildProcess): ChildStreams {
  const { stdin, stdout, stderr } = child
  const hold = child.stdio[3]
  if (stdin === null || stdout === null || stderr === null || !(hold instanceof Writable)) {
    throw new SwarmError('INTERNAL', 'cannot run a program: it has no streams')
  }
  hold.on('error', () => {})
  return { stdin, stdout, stderr, hold }
}

/** runc reads a terminal to its end by itself. */
function needsHold({ tty, runtime }: ExecProgramOptions): boolean {
  return tty && runtime === 'crun'
}

function bounded(number: number): string {
  return String(Math.min(Math.max(Math.trunc(number), 0), sizeMax))
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}

function signalGroup(pid: number, signal: number): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It leads none, or has just ended.
  }
}
