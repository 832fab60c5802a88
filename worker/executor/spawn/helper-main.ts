// The spawn helper: a small process that forks for the daemon, because a fork blocks and costs by
// memory size. Requests arrive framed on descriptor 3. It ends with the daemon, and so do the
// programs it runs then; conmon, which has gone to the background by itself, lives on. Not a shell:
// argv arrays only.
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { atUsualPriority } from '../../../proto/lib/priority.ts'
import {
  type CutShort,
  encodeFrame,
  FrameReader,
  type SpawnAnswer,
  type SpawnRequest,
} from './frames.ts'

type Answer = Omit<SpawnAnswer, 'id'>

interface Running {
  readonly child: ChildProcess
  /** Kills it and answers at once. */
  readonly cutShort: (why: CutShort) => void
}

const syncBytesMax = 64 * 1024

const channel = new Socket({ fd: 3, readable: true, writable: true })
const running = new Map<number, Running>()
const frames = new FrameReader()

channel.on('data', (chunk: Buffer) => {
  for (const text of frames.push(chunk)) receive(text)
})
channel.on('end', endWithDaemon)
channel.on('error', endWithDaemon)
// Signals of a terminal concern the daemon; this process ends when the daemon does.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})

function endWithDaemon(): void {
  for (const { child } of running.values()) child.kill('SIGTERM')
  process.exit(0)
}

function receive(text: string): void {
  const message: SpawnRequest | { readonly kind: 'cancel'; readonly id: number } = JSON.parse(text)
  if (message.kind === 'cancel') {
    running.get(message.id)?.cutShort('cancel')
    return
  }
  run(message, (answer) => channel.write(encodeFrame({ id: message.id, ...answer })))
}

function run(request: SpawnRequest, send: (answer: Answer) => void): void {
  const [file, ...args] = request.argv
  if (file === undefined) {
    send(failed('empty command'))
    return
  }
  const start = (): ChildProcess =>
    spawn(file, args, {
      env: request.env,
      cwd: request.cwd,
      stdio: request.syncPipe ? ['pipe', 'pipe', 'pipe', 'pipe'] : ['pipe', 'pipe', 'pipe'],
    })
  const child = request.isUrgent ? start() : atUsualPriority(start)
  const stdout = collect(child.stdout, request.outputBytesMax)
  const stderr = collect(child.stderr, request.outputBytesMax)
  const finish = (answer: Answer): void => {
    if (!running.delete(request.id)) return
    clearTimeout(timer)
    send(answer)
  }
  const text = (why: string) => ({ stdout: stdout(), stderr: stderr() + why })
  const cutShort = (why: CutShort): void => {
    child.kill('SIGKILL')
    // Neither its end nor that of its pipes is awaited: it may hang in the kernel, and what it started may hold them.
    for (const pipe of child.stdio) pipe?.destroy()
    finish({ code: -1, ...text('ended by SIGKILL'), sync: '', cutShort: why })
  }
  const timer = setTimeout(() => cutShort('timeout'), request.timeoutMs)
  running.set(request.id, { child, cutShort })
  const sync = request.syncPipe ? firstLine(child) : undefined
  child.on('error', (err) => finish(failed(err.message)))
  // With a sync pipe the program's background half keeps the other pipes open for a while: do not
  // wait for them.
  child.on(sync === undefined ? 'close' : 'exit', async (code, signal) => {
    const line = (await sync) ?? ''
    finish({ code: code ?? -1, ...text(signal === null ? '' : `ended by ${signal}`), sync: line })
  })
  child.stdin?.on('error', () => {})
  child.stdin?.end(request.input)
}

function failed(why: string): Answer {
  return { code: -1, stdout: '', stderr: why, sync: '' }
}

function collect(stream: Readable | null, bytesMax: number): () => string {
  const chunks: Buffer[] = []
  let free = bytesMax
  stream?.on('data', (chunk: Buffer) => {
    if (free > 0) chunks.push(chunk.subarray(0, free))
    free -= chunk.length
  })
  return () => Buffer.concat(chunks).toString('utf8')
}

/** The first line on descriptor 3, or what came before its end. The pipe is closed then. */
function firstLine(child: ChildProcess): Promise<string> {
  const pipe = child.stdio[3]
  return new Promise((resolve) => {
    if (!(pipe instanceof Socket)) return resolve('')
    let text = ''
    const finish = (): void => {
      resolve(text.split('\n', 1)[0] ?? '')
      pipe.destroy()
    }
    pipe.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      if (text.includes('\n') || text.length > syncBytesMax) finish()
    })
    pipe.on('end', finish)
    pipe.on('error', finish)
    // Cut short.
    pipe.on('close', finish)
  })
}
