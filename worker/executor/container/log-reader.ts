// Reads a container's log across its rotated files, from the beginning or the newest lines, and on as it grows.
import { watch } from 'node:fs'
import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { LogAttributes } from '../../../proto/spec/log-driver-spec.ts'
import type { LogLine, LogOptions } from '../executor.ts'
import { LogDecoder, parseLogPart, timestampOf } from './log-format.ts'

export interface LogSource {
  /** The newest file; older ones are `<path>.1`, `<path>.2` … */
  readonly path: string
  /** Whether nothing will be written any more. */
  readonly hasEnded: () => boolean
  /** Aborted when nothing will be written any more. */
  readonly ended: AbortSignal
  readonly clock: Clock
  /** What is told of each line to who asks for details. */
  readonly attributes?: LogAttributes | undefined
}

const chunkBytes = 64 * 1024
const newline = 10
/** Should a notice of the file system be lost, a follower looks again after this. */
const lookAgainMs = 5_000

/** As Executor.logs. */
export async function* readLog(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const { attributes } = source
  if (options.details !== true || attributes === undefined) {
    return yield* readLines(source, options, signal)
  }
  for await (const line of readLines(source, options, signal)) yield { ...line, attributes }
}

async function* readLines(
  source: LogSource,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const wants = lineFilter(options)
  const decoder = new LogDecoder()
  const cursor = await LogCursor.open(source.path, options)
  const wake = options.follow === true ? watchFolder(source, signal) : undefined
  try {
    while (!signal.aborted) {
      // Asked before reading, so that what was written before the end is read.
      const hasEnded = source.hasEnded()
      for await (const chunk of cursor.rest()) {
        for (const line of decoder.push(chunk)) {
          if (wants(line)) yield line
        }
        if (signal.aborted) return
      }
      if (hasEnded) yield* decoder.rest().filter(wants)
      if (hasEnded || wake === undefined) return
      await wake.next()
    }
  } finally {
    wake?.stop()
    await cursor.close()
  }
}

function lineFilter(options: LogOptions): (line: LogLine) => boolean {
  const since = options.sinceMs === undefined ? '' : timestampOf(options.sinceMs)
  const until = options.untilMs === undefined ? '~' : timestampOf(options.untilMs)
  const streams = new Set(options.streams ?? ['stdout', 'stderr'])
  return (line) => streams.has(line.stream) && line.timestamp >= since && line.timestamp < until
}

interface LogFile {
  readonly path: string
  readonly inode: number
}

/** A place in the files of one log, that survives their rotation. */
export class LogCursor {
  readonly #path: string
  #file: FileHandle | undefined
  #inode = 0
  #offset = 0

  private constructor(path: string) {
    this.#path = path
  }

  static async open(path: string, options: LogOptions): Promise<LogCursor> {
    const cursor = new LogCursor(path)
    // Again only when a file was rotated in the middle of it.
    while (!(await cursor.#begin(options)));
    return cursor
  }

  /** At the present end. */
  static async atEnd(path: string): Promise<LogCursor> {
    const cursor = new LogCursor(path)
    for (let isThere = false; !isThere; ) {
      const newest = (await logFiles(path)).at(-1)
      isThere = newest === undefined || (await cursor.#switchTo(newest, 0))
    }
    cursor.#offset = (await cursor.#file?.stat())?.size ?? 0
    return cursor
  }

  /** Whether its file was rotated out of the log, so that it cannot be told what came after it. */
  async isLost(): Promise<boolean> {
    if (this.#file === undefined) return false
    return (await this.#file.stat()).nlink === 0
  }

  /** Everything up to the present end, over all newer files. */
  async *rest(): AsyncGenerator<Buffer> {
    while (true) {
      // Asked before reading: once a newer file exists, nothing is written to this one any more.
      const newer = await this.#newerFile()
      yield* this.#restOfFile()
      if (newer === undefined) return
      await this.#switchTo(newer, 0)
    }
  }

  /** Also while it is being read: that ends there. */
  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async *#restOfFile(): AsyncGenerator<Buffer> {
    while (this.#file !== undefined) {
      const buffer = Buffer.allocUnsafe(chunkBytes)
      const { bytesRead } = await this.#file.read(buffer, 0, chunkBytes, this.#offset)
      if (bytesRead === 0) return
      this.#offset += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  }

  /** False when a file was rotated meanwhile. */
  async #begin(options: LogOptions): Promise<boolean> {
    const files = await logFiles(this.#path)
    const streams = new Set(options.streams ?? ['stdout', 'stderr'])
    const start =
      options.tail === undefined
        ? { file: files[0], offset: 0 }
        : await tailStart(files, options.tail, streams)
    if (start === undefined) return false
    return start.file === undefined || this.#switchTo(start.file, start.offset)
  }

  /** The file after the present one; the oldest when the present one is gone or there was none yet. */
  async #newerFile(): Promise<LogFile | undefined> {
    const files = await logFiles(this.#path)
    return files[files.findIndex((file) => file.inode === this.#inode) + 1]
  }

  /** False, and nothing changed, when the file was renamed meanwhile: its path means another one. */
  async #switchTo(wanted: LogFile, offset: number): Promise<boolean> {
    const file = await openSame(wanted)
    if (file === undefined) return false
    await this.close()
    this.#file = file
    this.#inode = wanted.inode
    this.#offset = offset
    return true
  }
}

/** Undefined when the path means another file by now, or none. */
async function openSame({ path, inode }: LogFile): Promise<FileHandle | undefined> {
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined || (await file.stat()).ino === inode) return file
  await file.close()
  return undefined
}

/** Oldest first; as they were at one moment, not some before and some after a rotation. */
async function logFiles(path: string): Promise<readonly LogFile[]> {
  for (let before = await listFiles(path); ; ) {
    const now = await listFiles(path)
    if (JSON.stringify(now) === JSON.stringify(before)) return now
    before = now
  }
}

async function listFiles(path: string): Promise<readonly LogFile[]> {
  const name = basename(path)
  const names = await readdir(dirname(path)).catch(() => [])
  const age = (one: string): number =>
    one === name ? 0 : Number(new RegExp(`^${name}\\.([0-9]+)$`).exec(one)?.[1] ?? Number.NaN)
  const paths = names
    .filter((one) => !Number.isNaN(age(one)))
    .sort((a, b) => age(b) - age(a))
    .map((one) => `${dirname(path)}/${one}`)
  const files = await Promise.all(
    paths.map(async (one) => ({ path: one, inode: await inodeOf(one) })),
  )
  return files.filter((file) => file.inode !== 0)
}

async function inodeOf(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.ino,
    () => 0,
  )
}

/**
 * Where the newest `lines` lines begin; undefined when a file was rotated meanwhile. Reads backwards: costs by what is
 * wanted, not by what is there.
 */
async function tailStart(
  files: readonly LogFile[],
  lines: number,
  streams: ReadonlySet<string>,
): Promise<{ readonly file: LogFile | undefined; readonly offset: number } | undefined> {
  let missing = lines
  for (const file of files.toReversed()) {
    const handle = await openSame(file)
    if (handle === undefined) return undefined
    const found = await backwards(handle, missing, streams)
    if (found.kind === 'offset') return { file, offset: found.offset }
    missing -= found.lines
  }
  return { file: files[0], offset: 0 }
}

type Backwards =
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'all'; readonly lines: number }

/** Closes the file. */
async function backwards(
  file: FileHandle,
  wanted: number,
  streams: ReadonlySet<string>,
): Promise<Backwards> {
  try {
    const { size } = await file.stat()
    let rest: Buffer = Buffer.alloc(0)
    let lines = 0
    for (let position = size; position > 0; ) {
      const length = Math.min(chunkBytes, position)
      position -= length
      const buffer = Buffer.alloc(length)
      await file.read(buffer, 0, length, position)
      const bytes = Buffer.concat([buffer, rest])
      const lineEnds = endsOfLines(bytes)
      for (let i = lineEnds.length - 1; i >= (position === 0 ? 0 : 1); i--) {
        const start = i === 0 ? 0 : (lineEnds[i - 1] ?? 0) + 1
        const part = parseLogPart(bytes.subarray(start, lineEnds[i]))
        if (part?.isLast !== true || !streams.has(part.stream)) continue
        if (lines === wanted) return { kind: 'offset', offset: position + (lineEnds[i] ?? 0) + 1 }
        lines += 1
      }
      rest = bytes.subarray(0, (lineEnds[0] ?? bytes.length - 1) + 1)
    }
    return { kind: 'all', lines }
  } finally {
    await file.close()
  }
}

function endsOfLines(bytes: Buffer): readonly number[] {
  const ends: number[] = []
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, end + 1)) {
    ends.push(end)
  }
  return ends
}

/** Tells when the log may have grown. */
export function watchFolder(
  source: Pick<LogSource, 'path' | 'ended' | 'clock'>,
  signal: AbortSignal,
): { next(): Promise<void>; stop(): void } {
  let isNews = false
  let wake: (() => void) | undefined
  const news = (): void => {
    isNews = true
    wake?.()
  }
  const watcher = watch(dirname(source.path), { persistent: false }, news)
  // The folder is gone: the container was removed.
  watcher.on('error', news)
  const tick = (): void => {
    timer = source.clock.setTimer(lookAgainMs, tick)
    news()
  }
  let timer = source.clock.setTimer(lookAgainMs, tick)
  signal.addEventListener('abort', news)
  source.ended.addEventListener('abort', news)
  return {
    next: async () => {
      if (!isNews) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      isNews = false
    },
    stop: () => {
      watcher.close()
      timer.cancel()
      signal.removeEventListener('abort', news)
      source.ended.removeEventListener('abort', news)
    },
  }
}
