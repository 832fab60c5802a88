// Containers that are none: their programs run on this host, with real pipes. For tests of how streams travel.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { SwarmError } from '../../proto/errors.ts'
import type { ExecOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { walkInRoot } from '../../proto/lib/rooted-files.ts'
import type {
  AttachedProgram,
  ContainerStreams,
  ContainerUsage,
} from '../../worker/streams/container-streams.ts'

export class LocalContainers implements ContainerStreams {
  /** Programs that have not ended. */
  running = 0
  /** What exec was asked for. */
  readonly asked: ExecOpen[] = []
  readonly sizes: unknown[] = []
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
