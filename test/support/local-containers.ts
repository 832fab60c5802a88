// Containers that are none: their programs run on this host, with real pipes. For tests of how streams travel.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { PassThrough } from 'node:stream'
import { SwarmError } from '../../proto/errors.ts'
import type { AttachOpen, ExecOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { walkInRoot } from '../../proto/lib/rooted-files.ts'
import type {
  AttachedContainer,
  AttachedProgram,
  ContainerStreams,
  ContainerUsage,
  OutputChunk,
} from '../../worker/streams/container-streams.ts'

export class LocalContainers implements ContainerStreams {
  /** Programs that have not ended. */
  running = 0
  /** What exec was asked for. */
  readonly asked: ExecOpen[] = []
  readonly sizes: unknown[] = []
  /** What attach finds, once startMain was called. */
  main: ChildProcessWithoutNullStreams | undefined
  /** Clients of it. */
  attached = 0
  #isMainOpen = false
  cpuTotalNanos = 0
  /** Folder that stands for their file systems. */
  root = '/nowhere'
  readonly #ids: ReadonlySet<string>

  constructor(...ids: readonly string[]) {
    this.#ids = new Set(ids)
  }

  async exec(id: string, request: ExecOpen): Promise<AttachedProgram> {
    this.#check(id)
    this.asked.push(request)
    const [file = '', ...args] = request.argv
    const child = spawn(file, args, { stdio: 'pipe' })
    this.running += 1
    child.stdin.on('error', () => {})
    const ended = new Promise<{ exitCode: number; err: string }>((resolve) => {
      child.on('exit', (code, signal) => {
        this.running -= 1
        const exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
        resolve({ exitCode, err: '' })
      })
    })
    return {
      input: child.stdin,
      output: child.stdout,
      errors: child.stderr,
      ended,
      resize: async (size) => {
        this.sizes.push(size)
      },
      signal: (name) => child.kill(name as NodeJS.Signals),
      hangUp: async () => {
        child.kill('SIGKILL')
        child.stdout.destroy()
        child.stderr.destroy()
        await ended
      },
    }
  }

  /** The first process of every container. */
  startMain(script: string, openStdin: boolean): void {
    this.main = spawn('/bin/sh', ['-c', script], { stdio: 'pipe' })
    this.#isMainOpen = openStdin
  }

  async attach(id: string, _request: AttachOpen): Promise<AttachedContainer> {
    this.#check(id)
    const { main } = this
    if (main === undefined) throw new SwarmError('FAILED_PRECONDITION', 'it is not running')
    this.attached += 1
    const life = new AbortController()
    const ended = once(main, 'exit', { signal: life.signal })
    ended.catch(() => {})
    return {
      ...{ tty: false, hasInput: this.#isMainOpen },
      input: new PassThrough().on('data', (chunk) => main.stdin.write(chunk)),
      output: outputsOf(main, life.signal),
      ended: ended.then(([code]) => ({ exitCode: Number(code), err: '' })),
      resize: async (size) => {
        this.sizes.push(size)
      },
      signal: (name) => main.kill(name as NodeJS.Signals),
      leave: async () => {
        this.attached -= 1
        life.abort()
      },
      hangUp: async () => {
        if (!life.signal.aborted) this.attached -= 1
        life.abort()
      },
    }
  }

  async place(id: string, path: string, followLast: boolean) {
    this.#check(id)
    return await walkInRoot(this.root, path, followLast)
  }

  async forward(id: string, port: number) {
    return await this.exec(id, {
      ...{ argv: ['socat', '-t', '60', '-', `TCP:127.0.0.1:${port}`], env: [], workdir: '' },
      ...{ user: '', tty: false, interactive: true, detach: false, size: undefined },
    })
  }

  async processes(id: string) {
    this.#check(id)
    return [
      {
        ...{ pid: 7, ppid: 1, user: 'root', cpuMs: 61_000, startedAtMs: 0, tty: '?' },
        ...{ memoryBytes: 4096, command: 'sleep 1', state: 'S' },
        ...{ name: 'sleep', virtualBytes: 8_192 },
      },
    ]
  }

  async usage(id: string): Promise<ContainerUsage> {
    this.#check(id)
    this.cpuTotalNanos += 1e8
    return {
      cpuTotalNanos: this.cpuTotalNanos,
      memoryBytes: 1024,
      memoryLimitBytes: 4096,
      receivedBytes: 1,
      sentBytes: 2,
      readBytes: 3,
      writtenBytes: 4,
      pids: 5,
    }
  }

  #check(id: string): void {
    if (this.#ids.has(id)) return
    throw new SwarmError('NOT_FOUND', `No such container: ${id}`)
  }
}

/** From the call on, in the order in which they are seen. */
function outputsOf(
  main: ChildProcessWithoutNullStreams,
  signal: AbortSignal,
): AsyncIterable<OutputChunk> {
  const { stdout, stderr } = main
  const chunks: OutputChunk[] = []
  let open = 2
  let wake = (): void => {}
  for (const emitter of [main, stdout, stderr]) emitter.setMaxListeners(0)
  const take = (stream: OutputChunk['stream']) => (data: Buffer) => {
    chunks.push({ stream, data })
    wake()
  }
  const end = (): void => {
    open -= 1
    wake()
  }
  stdout.on('data', take('stdout')).on('end', end)
  stderr.on('data', take('stderr')).on('end', end)
  signal.addEventListener('abort', () => wake(), { once: true })
  return (async function* () {
    while (!signal.aborted && (open > 0 || chunks.length > 0)) {
      yield* chunks.splice(0)
      if (open === 0 || signal.aborted) continue
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  })()
}
