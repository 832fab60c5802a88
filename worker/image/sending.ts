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

/** Tells the bytes whenever they are more; `spoolDir` is that of one skopeo alone. */
export function watchSending(
  spoolDir: string,
  clock: Clock,
  onBytes: (bytes: number) => void,
): { stop(): void } {
  const sent = new SentBytes()
  let [looks, toldBytes] = [0, 0]
  let pid: string | undefined
  let isStopped = false
  const look = async (): Promise<void> => {
    if (pid === undefined && looks % searchEveryLooks === 0) pid = await processWith(spoolDir)
    looks += 1
    if (pid === undefined) return
    const bytes = sent.note(await spoolFiles(pid, spoolDir))
    if (isStopped || bytes <= toldBytes) return
    toldBytes = bytes
    onBytes(bytes)
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
