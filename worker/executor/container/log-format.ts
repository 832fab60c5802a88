// conmon's log lines: `TIMESTAMP STREAM TAG TEXT`, TAG F for a whole line or its last part, P for a part. Pure: bytes in,
// lines out.
import type { LogLine } from '../executor.ts'

export interface LogPart {
  readonly stream: 'stdout' | 'stderr'
  readonly timestamp: string
  readonly isLast: boolean
  readonly data: Buffer
}

interface Pending {
  readonly timestamp: string
  readonly parts: Buffer[]
  bytes: number
}

const newline = 10
const space = 32
/** A longer line comes in pieces: memory is bounded although containers write what they like. */
const lineBytesMax = 256 * 1024

/** Cuts chunks of a log file into its parts. Damaged ones (a crash of the host) are left out. */
export class LogSplitter {
  #rest: Buffer = Buffer.alloc(0)

  /** The parts that are complete now, oldest first; their data are of the chunk's memory. */
  push(chunk: Buffer): readonly LogPart[] {
    const parts: LogPart[] = []
    let start = 0
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
      const part = parseLogPart(bytes.subarray(start, end))
      start = end + 1
      if (part !== undefined) parts.push(part)
    }
    this.#rest = Buffer.from(bytes.subarray(start))
    return parts
  }
}

/** Puts chunks of a log file together to lines. */
export class LogDecoder {
  readonly #pending = new Map<LogLine['stream'], Pending>()
  readonly #splitter = new LogSplitter()

  /** The lines that are complete now, oldest first. */
  push(chunk: Buffer): readonly LogLine[] {
    return this.#splitter.push(chunk).flatMap((part) => this.#add(part) ?? [])
  }

  /** What began a line and did not end it, once nothing more can come. */
  rest(): readonly LogLine[] {
    const lines = [...this.#pending].map(([stream, { timestamp, parts }]) => ({
      stream,
      timestamp,
      data: new Uint8Array(Buffer.concat(parts)),
    }))
    this.#pending.clear()
    return lines
  }

  #add(part: LogPart): LogLine | undefined {
    const { stream } = part
    const pending = this.#pending.get(stream)
    if (pending === undefined && part.isLast) {
      return { stream, timestamp: part.timestamp, data: Uint8Array.from(part.data) }
    }
    const line = pending ?? { timestamp: part.timestamp, parts: [], bytes: 0 }
    line.parts.push(Buffer.from(part.data))
    line.bytes += part.data.length
    if (!part.isLast && line.bytes < lineBytesMax) {
      this.#pending.set(stream, line)
      return undefined
    }
    this.#pending.delete(stream)
    return { stream, timestamp: line.timestamp, data: new Uint8Array(Buffer.concat(line.parts)) }
  }
}

/** One line of the file without its end; undefined when it is damaged. */
export function parseLogPart(line: Buffer): LogPart | undefined {
  const first = line.indexOf(space)
  const second = line.indexOf(space, first + 1)
  if (first < 0 || second < 0 || line[second + 2] !== space) return undefined
  const stream = line.toString('latin1', first + 1, second)
  const tag = line[second + 1]
  if (stream !== 'stdout' && stream !== 'stderr') return undefined
  if (tag !== 0x46 && tag !== 0x50) return undefined
  const timestamp = utcTimestamp(line.toString('latin1', 0, first))
  if (timestamp === undefined) return undefined
  return { stream, timestamp, isLast: tag === 0x46, data: line.subarray(second + 3) }
}

const timestampForm = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{1,9})(Z|[+-]\d\d:\d\d)$/

/** RFC 3339 with nine fraction digits in UTC; undefined when the text is no timestamp. */
export function utcTimestamp(text: string): string | undefined {
  const match = timestampForm.exec(text)
  if (match === null) return undefined
  const [, seconds = '', fraction = '', zone = ''] = match
  const nanos = fraction.padEnd(9, '0')
  if (zone === 'Z' || zone === '+00:00') return `${seconds}.${nanos}Z`
  const ms = Date.parse(`${seconds}${zone}`)
  if (Number.isNaN(ms)) return undefined
  return `${new Date(ms).toISOString().slice(0, 19)}.${nanos}Z`
}

/** For comparing with RFC 3339 timestamps of nine digits as text. */
export function timestampOf(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, -1)}000000Z`
}
