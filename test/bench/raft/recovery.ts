// How long a member with a long log and no snapshot takes from the start of its process until all is applied.
import { systemRandomBytes } from 'raft-ts'
import { BenchChild } from './child.ts'
import { append, closed, dataEntries, inDirectory, openBenchStorage } from './log-alone.ts'
import type { RecoveryAnswer, RecoveryQuestion } from './recovery-process.ts'
import { median, rounded } from './rounds.ts'

const goalMs = 5_000

export interface RecoveryFigure {
  readonly entries: number
  readonly entryBytes: number
  /** As under load: so many entries ride one flush. */
  readonly entriesPerRecord: number
  readonly goalMs: number
  /** From the start of the process until all is applied; median of the rounds. */
  readonly ms: number
  /** Of that: until the log is open, the start of Node included. */
  readonly openedMs: number
  readonly roundsMs: string
}

export interface RecoveryOptions {
  readonly entries: number
  readonly entryBytes: number
  readonly entriesPerRecord: number
  readonly rounds: number
}

export async function benchRecovery(options: RecoveryOptions): Promise<RecoveryFigure> {
  const { entries, entryBytes, entriesPerRecord, rounds } = options
  return await inDirectory(async (directory) => {
    await write(directory, options)
    const answers: RecoveryAnswer[] = []
    const all: number[] = []
    for (let round = 0; round < rounds; round++) {
      const startMs = performance.now()
      const child = new BenchChild('recovery-process.js')
      const question: RecoveryQuestion = { directory, entries }
      answers.push(await child.ask(question))
      all.push(performance.now() - startMs)
      await child.end()
    }
    return {
      entries,
      entryBytes,
      entriesPerRecord,
      goalMs,
      ms: Math.round(median(all)),
      openedMs: Math.round(median(answers.map(({ openedMs }) => openedMs))),
      roundsMs: all.map((ms) => rounded(ms)).join(' '),
    }
  })
}

async function write(directory: string, options: RecoveryOptions): Promise<void> {
  const storage = await openBenchStorage(directory, { kind: 'new', voters: ['a'] })
  const data = systemRandomBytes(options.entryBytes)
  let first = storage.log.lastIndex + 1
  const end = first + options.entries
  while (first < end) {
    const count = Math.min(options.entriesPerRecord, end - first)
    await append(storage, dataEntries(first, count, data))
    first += count
  }
  await closed(storage)
}
