// Handing over to another process: the old one starts the new one as its child, gives it first the names and then the
// sockets themselves, and both may read from these until the new one says that it serves. So no question is lost.
import { type ChildProcess, type SendHandle, spawn } from 'node:child_process'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { Stamp } from '../../../proto/objects/assignment.ts'
import type { LateAnswer } from './server.ts'
import type { ZoneChange } from './zone-change.ts'

/** From the old process to the new one. With `udp` and `tcp` comes a socket. */
export type HandOverMessage =
  | { readonly kind: 'names'; readonly changes: readonly ZoneChange[] }
  | { readonly kind: 'stamp'; readonly stamp?: Stamp | undefined }
  | { readonly kind: 'udp' }
  | { readonly kind: 'tcp' }
  | {
      readonly kind: 'late'
      readonly base64: string
      readonly address: string
      readonly port: number
    }

/**
 * What the new process says once it listens to its parent: a socket that comes earlier would be read from by Node itself,
 * and what came in be thrown away.
 */
export const readyMessage = 'ready'

/** What it says once it answers. */
export const servingMessage = 'serving'

export interface Successor {
  readonly pid: number
  /** Errors: it ended. */
  send(message: HandOverMessage, handle?: SendHandle): Promise<void>
  /** Resolves once it answers. Errors: it ended, or did not in time. */
  serves(): Promise<void>
  relay(answer: LateAnswer): void
  /** Lets it go its own way. */
  release(): void
  kill(): void
}

const timeoutMs = 8_000

/** Errors: the program cannot be started, or does not listen in time. */
export async function startSuccessor(argv: readonly string[], clock: Clock): Promise<Successor> {
  const [file = '', ...args] = argv
  const child = spawn(file, args, {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      reject(new Error(`the successor ended (${signal ?? `exit code ${code}`})`))
    })
  })
  ended.catch(() => {})
  const hears = (wanted: string): Promise<void> =>
    new Promise((resolve) => {
      child.on('message', (message) => {
        if (message === wanted) resolve()
      })
    })
  const [ready, serving] = [hears(readyMessage), hears(servingMessage)]
  const deadline = new Promise<never>((_, reject) => {
    const timer = clock.setTimer(timeoutMs, () =>
      reject(new Error(`the successor does not answer within ${timeoutMs} ms`)),
    )
    void Promise.allSettled([Promise.race([serving, ended])]).then(() => timer.cancel())
  })
  deadline.catch(() => {})
  await Promise.race([ready, ended, deadline]).catch((err) => {
    child.kill('SIGKILL')
    throw err
  })
  return {
    pid: child.pid ?? 0,
    send: (message, handle) => Promise.race([sendTo(child, message, handle), ended, deadline]),
    serves: () => Promise.race([serving, ended, deadline]),
    relay: ({ bytes, address, port }) => {
      const message = { kind: 'late', base64: bytes.toString('base64'), address, port } as const
      sendTo(child, message).catch(() => {})
    },
    release: () => {
      if (child.connected) child.disconnect()
      child.unref()
    },
    kill: () => child.kill('SIGKILL'),
  }
}

function sendTo(child: ChildProcess, message: HandOverMessage, handle?: SendHandle): Promise<void> {
  return new Promise((resolve, reject) => {
    child.send(message, handle, {}, (err) => (err === null ? resolve() : reject(err)))
  })
}
