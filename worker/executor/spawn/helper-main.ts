// The spawn helper: a small process that forks for the daemon, because a fork blocks and costs by
// memory size. Requests arrive framed on descriptor 3. It ends with the daemon, and so do the
// programs it runs then; conmon, which has gone to the background by itself, lives on. Not a shell:
// argv arrays only.
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { encodeFrame, FrameReader, type SpawnAnswer, type SpawnRequest } from './frames.ts'

const outputBytesMax = 32 * 1024 * 1024
const syncBytesMax = 64 * 1024

const channel = new Socket({ fd: 3, readable: true, writable: true })
const running = new Map<number, ChildProcess>()
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
  for (const child of running.values()) child.kill('SIGTERM')
  process.exit(0)
}

function receive(text: string): void {
  const message: SpawnRequest | { readonly kind: 'cancel'; readonly id: number } = JSON.parse(text)
  if (message.kind === 'cancel') {
    running.get(message.id)?.kill('SIGKILL')
    return
  }
  run(message, (answer) => channel.write(encodeFrame(answer)))
}

function run(request: SpawnRequest, answer: (result: SpawnAnswer) => void): void {
  const failed = (why: string): void =>
    answer({ id: request.id, code: -1, stdout: '', stderr: why, sync: '' })
  const [file, ...args] = request.argv
  if (file === undefined) {
    failed('empty command')
    return
  }
  const child = spawn(file, args, {
    env: request.env,
    cwd: request.cwd,
    stdio: request.syncPipe ? ['pipe', 'pipe', 'pipe', 'pipe'] : ['pipe', 'pipe', 'pipe'],
  })
  running.set(request.id, child)
  const timer = setTimeout(() => child.kill('SIGKILL'), request.timeoutMs)
  const finish = (done: () => void): void => {
    clearTimeout(timer)
    running.delete(request.id)
    done()
  }
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  const sync = request.syncPipe ? firstLine(child) : undefined
  child.on('error', (err) => finish(() => failed(err.message)))
  // With a sync pipe the program's background half keeps the other pipes open for a while: do not
  // wait for them.
  child.on(sync === undefined ? 'close' : 'exit', (code, signal) => {
    const why = signal === null ? '' : `ended by ${signal}`
    const send = (line: string): void =>
      finish(() =>
        answer({
          id: request.id,
          code: code ?? -1,
          stdout: stdout(),
          stderr: stderr() + why,
          sync: line,
        }),
      )
    if (sync === undefined) send('')
    else sync.then(send, () => send(''))
  })
  child.stdin?.on('error', () => {})
  child.stdin?.end(request.input)
}

function collect(stream: Readable | null): () => string {
  const chunks: Buffer[] = []
  let size = 0
  stream?.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= outputBytesMax) chunks.push(chunk)
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
  })
}
