// Keeps the network record across restarts of the daemon: one line of JSON an event, in a directory that lives as long as
// the containers do (a tmpfs). Appending costs some 20 µs, so it is done synchronously, in the turn that decides.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { applyEvent, type NetworkRecord, type RecordEvent } from './network-record.ts'

export interface Journal {
  /** Undefined until the first event. */
  readonly record: NetworkRecord | undefined
  append(event: RecordEvent): void
}

/** Reads what is there. A line cut short by a crash, and whatever follows it, is ignored and overwritten. */
export function openJournal(file: string): Journal {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const { record, lines, isWhole } = readEvents(file)
  return new FileJournal(file, record, isWhole ? lines : Number.POSITIVE_INFINITY)
}

class FileJournal implements Journal {
  record: NetworkRecord | undefined
  readonly #file: string
  #lines: number

  constructor(file: string, record: NetworkRecord | undefined, lines: number) {
    this.#file = file
    this.record = record
    this.#lines = lines
  }

  append(event: RecordEvent): void {
    const record = applyEvent(this.record, event)
    if (this.#lines > 1_000 + 4 * (record?.endpoints.length ?? 0)) {
      this.#compact(record)
    } else {
      appendFileSync(this.#file, `${JSON.stringify(event)}\n`, { mode: 0o600 })
      this.#lines += 1
    }
    this.record = record
  }

  #compact(record: NetworkRecord | undefined): void {
    const event: RecordEvent | undefined =
      record === undefined ? undefined : { kind: 'compacted', record }
    const text = event === undefined ? '' : `${JSON.stringify(event)}\n`
    writeFileSync(`${this.#file}.new`, text, { mode: 0o600 })
    renameSync(`${this.#file}.new`, this.#file)
    this.#lines = 1
  }
}

function readEvents(file: string): {
  readonly record: NetworkRecord | undefined
  readonly lines: number
  readonly isWhole: boolean
} {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
  let record: NetworkRecord | undefined
  let lines = 0
  for (const line of text.split('\n').slice(0, -1)) {
    const event = parseEvent(line)
    if (event === undefined) return { record, lines, isWhole: false }
    record = applyEvent(record, event)
    lines += 1
  }
  return { record, lines, isWhole: text === '' || text.endsWith('\n') }
}

function parseEvent(line: string): RecordEvent | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
