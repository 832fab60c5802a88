// Runs a program of the host to its end: argv in, exit code and text out. Never through a shell, and not for
// programs that stay (see worker/network/coprocess.ts).
import { spawn } from 'node:child_process'

export interface CommandResult {
  /** Exit code; -1 when a signal ended it or it could not be started. */
  readonly code: number
  readonly stdout: string
  /** What it wrote, or why it could not be started or was ended. */
  readonly stderr: string
}

export interface CommandOptions {
  /** Written to standard input; default: nothing. */
  readonly input?: string
  /** Then it is killed; default 10,000. */
  readonly timeoutMs?: number
  /** Replaces the environment; default: that of this process. */
  readonly env?: Readonly<Record<string, string>>
}

/** Resolves with whatever came of it; never rejects. */
export type RunCommand = (
  argv: readonly string[],
  options?: CommandOptions,
) => Promise<CommandResult>

const outputBytesMax = 64 * 1024 * 1024

/** Starts the program as a child of this process. Costs a blocking fork: 1 ms at 50 MB of memory, more above. */
export const runCommand: RunCommand = (argv, options = {}) =>
  new Promise((resolve) => {
    const [file, ...args] = argv
    if (file === undefined) return resolve({ code: -1, stdout: '', stderr: 'empty command' })
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.env === undefined ? {} : { env: options.env }),
    })
    const stdout = collect(child.stdout)
    const stderr = collect(child.stderr)
    const timeoutMs = options.timeoutMs ?? 10_000
    let tookTooLong = false
    const timer = setTimeout(() => {
      tookTooLong = child.kill('SIGKILL')
    }, timeoutMs)
    const finish = (result: CommandResult): void => {
      clearTimeout(timer)
      resolve(result)
    }
    child.on('error', (err) => finish({ code: -1, stdout: '', stderr: err.message }))
    child.on('close', (code, signal) => {
      const ending = tookTooLong ? `it was killed after ${timeoutMs} ms` : `ended by ${signal}`
      const why = signal === null ? '' : ending
      finish({ code: code ?? -1, stdout: stdout(), stderr: stderr() + why })
    })
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  let size = 0
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= outputBytesMax) chunks.push(chunk)
  })
  return () => Buffer.concat(chunks).toString('utf8')
}
