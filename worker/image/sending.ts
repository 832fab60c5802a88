// How far skopeo is with what it sends: it says so only on a terminal. It puts each layer into a file of its spool folder first and sends it from there:
// the position in that file tells. Not for pulls, whose files stay (pull.ts). Source: proc(5), /proc/PID/fdinfo; tried with skopeo 1.9 and 1.18.
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import type { Clock } from '../../proto/lib/clock.ts'

/** A layer's file, as the process that sends it has it open. */
export interface SpoolFile {
  readonly inode: number
  readonly sizeBytes: number
  readonly position: number
}

/** Adds up what was sent, from looks at the open files. Pure but for what it remembers. */
export class SentBytes {
  readonly #open = new Map<number, { readonly sizeBytes: number; readonly sentBytes: number }>()
  #doneBytes = 0

  /** All files as they are now; the bytes that were sent so far, which never become less. */
  note(files: readonly SpoolFile[]): number {
    const present = new Set(files.map(({ inode }) => inode))
    for (const [inode, { sizeBytes }] of [...this.#open]) {
      if (present.has(inode)) continue
      // It is closed once all of it was sent.
      this.#doneBytes += sizeBytes
      this.#open.delete(inode)
    }
    for (const { inode, sizeBytes, position } of files) {
      const before = this.#open.get(inode)?.sentBytes ?? 0
      // While it is written the position is the end; from then on it is what was read.
      const isSending = before > 0 || position < sizeBytes
      this.#open.set(inode, { sizeBytes, sentBytes: isSending ? Math.max(before, position) : 0 })
    }
    let sum = this.#doneBytes
    for (const { sentBytes } of this.#open.values()) sum += sentBytes
    return sum
  }
}

const lookEveryMs = 200
/** Looking for the process costs a look at all there are. */
const searchEveryLooks = 5
/** What the slowest registry that is waited for stores in a second of a layer that it has whole. */
const keptBytesPerMs = 8 * 1024

/** Who hears of what is sent. */
export interface SendingListener {
  /** How far it is, whenever that is more. */
  readonly onBytes: (bytes: number) => void
  /** How long nothing may move. */
  readonly stalledMs: number
  /** Once, when nothing has moved for too long. */
  readonly onStalled: (stall: Stall) => void
}

export interface Stall {
  readonly sentBytes: number
  readonly silentMs: number
}

/** Whether anything moves: what is written into the spool, read from it, opened or closed. Pure but for what it remembers. */
export class Standstill {
  readonly #stalledMs: number
  #seen = '[]'
  #movedAtMs: number

  constructor(stalledMs: number, nowMs: number) {
    this.#stalledMs = stalledMs
    this.#movedAtMs = nowMs
  }

  /** How long it is now that nothing moves, once that is too long; a layer that was sent whole is to be stored over there. */
  note(files: readonly SpoolFile[], nowMs: number): number | undefined {
    const seen = JSON.stringify(files)
    if (seen !== this.#seen) {
      this.#seen = seen
      this.#movedAtMs = nowMs
    }
    const isWhole = files.every(({ sizeBytes, position }) => position >= sizeBytes)
    const keptBytes = isWhole ? files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) : 0
    const silentMs = nowMs - this.#movedAtMs
    return silentMs > this.#stalledMs + keptBytes / keptBytesPerMs ? silentMs : undefined
  }
}

/** Tells of one skopeo alone, that with `spoolDir`. */
export function watchSending(
  spoolDir: string,
  clock: Clock,
  { onBytes, onStalled, stalledMs }: SendingListener,
): { stop(): void } {
  const sent = new SentBytes()
  let [looks, toldBytes] = [0, 0]
  let process: { readonly pid: string; readonly standstill: Standstill } | undefined
  let isStopped = false
  const look = async (): Promise<void> => {
    if (process === undefined && looks % searchEveryLooks === 0) {
      const pid = await processWith(spoolDir)
      // One that waits for its turn on this host is not waiting for the registry.
      const standstill = new Standstill(stalledMs, clock.monotonicMs())
      if (pid !== undefined) process = { pid, standstill }
    }
    looks += 1
    if (process === undefined) return
    const files = await spoolFiles(process.pid, spoolDir)
    const sentBytes = sent.note(files)
    if (isStopped) return
    if (sentBytes > toldBytes) {
      toldBytes = sentBytes
      onBytes(sentBytes)
    }
    const silentMs = process.standstill.note(files, clock.monotonicMs())
    if (silentMs === undefined) return
    isStopped = true
    onStalled({ sentBytes, silentMs })
  }
  const run = (): void => {
    // What cannot be seen is not told; the push itself does not care.
    const done = look().catch(() => {})
    void done.then(() => {
      if (!isStopped) timer = clock.setTimer(lookEveryMs, run)
    })
  }
  let timer = clock.setTimer(lookEveryMs, run)
  return {
    stop: () => {
      isStopped = true
      timer.cancel()
    },
  }
}

/** The one that has the folder among its arguments. */
async function processWith(spoolDir: string): Promise<string | undefined> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
    if (words[0] === 'skopeo' && words.includes(spoolDir)) return pid
  }
  return undefined
}

async function spoolFiles(pid: string, spoolDir: string): Promise<readonly SpoolFile[]> {
  const dir = `/proc/${pid}`
  const files: SpoolFile[] = []
  for (const fd of await readdir(`${dir}/fd`)) {
    const target = await readlink(`${dir}/fd/${fd}`).catch(() => '')
    if (!target.startsWith(`${spoolDir}/`)) continue
    // The size first: what grows has its end behind it then.
    const found = await stat(`${dir}/fd/${fd}`).catch(() => undefined)
    const info = await readFile(`${dir}/fdinfo/${fd}`, 'utf8').catch(() => '')
    const [, position] = /^pos:\s*(\d+)/m.exec(info) ?? []
    if (found === undefined || position === undefined) continue
    files.push({ inode: found.ino, sizeBytes: found.size, position: Number(position) })
  }
  return files
}
