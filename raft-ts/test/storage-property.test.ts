// The log against a model: random appends, truncations, notes, snapshots, compactions, crashes and
// reopenings. What was acknowledged is there, nothing else but a suffix of what was not.
import fc from 'fast-check'
import type { Entry, HardState, Storage } from 'raft-ts'
import t from 'tap'
import { MemoryDisk } from './support/memory-disk.ts'
import { aConf, anEntry, open, textOf } from './support/storage.ts'

type Command =
  | {
      readonly kind: 'append'
      readonly back: number
      readonly count: number
      readonly size: number
    }
  | { readonly kind: 'vote'; readonly vote: string }
  | { readonly kind: 'run'; readonly operations: number }
  | { readonly kind: 'snapshot'; readonly keep: number }
  | { readonly kind: 'crash'; readonly keep: number; readonly blank: number }
  | { readonly kind: 'close' }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      back: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 5 })),
      count: fc.integer({ min: 1, max: 6 }),
      size: fc.integer({ min: 0, max: 700 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('vote' as const),
      vote: fc.constantFrom('a', 'b', 'c'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('run' as const),
      operations: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('snapshot' as const),
      keep: fc.integer({ min: 0, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('crash' as const),
      keep: fc.double({ min: 0, max: 1, noNaN: true }),
      blank: fc.integer({ min: 0, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'close' as const }) },
)

/** One state of the log that the caller asked for. */
interface Version {
  readonly entries: readonly Entry[]
  readonly hardState: HardState
}

class Model {
  readonly disk = new MemoryDisk()
  storage: Storage
  /** All versions since the last acknowledged one, which is the first. */
  versions: Version[] = [{ entries: [], hardState: { term: 0, vote: undefined, commit: 0 } }]
  term = 1
  snapshotIndex = 0

  constructor() {
    this.storage = open(this.disk)
  }

  get latest(): Version {
    return this.versions.at(-1) as Version
  }

  write(version: Version, batch: readonly Entry[]): void {
    this.versions.push(version)
    this.storage.log.append({ hardState: version.hardState, entries: batch }, (err) => {
      if (err !== undefined) throw err
      this.versions.splice(0, this.versions.indexOf(version))
    })
  }

  append(command: Extract<Command, { kind: 'append' }>): void {
    const { entries } = this.latest
    const keep = Math.max(this.snapshotIndex, entries.length - command.back)
    if (keep < entries.length) this.term += 1
    const batch = Array.from({ length: command.count }, (_, i) =>
      anEntry(keep + i + 1, this.term, 'x'.repeat(command.size)),
    )
    const hardState = { ...this.latest.hardState, term: this.term }
    this.write({ entries: [...entries.slice(0, keep), ...batch], hardState }, batch)
  }

  snapshot(keep: number): void {
    this.disk.run()
    const index = Math.min(this.latest.entries.length, this.snapshotIndex + 4)
    const term = this.latest.entries[index - 1]?.term
    if (term === undefined || index <= this.snapshotIndex) return
    const { snapshots, log } = this.storage
    snapshots.begin({ index, term, conf: aConf(['a']) }, (_, draft) => {
      if (draft === undefined) throw new Error('no draft')
      snapshots.seal(draft, () => snapshots.publish(draft, () => log.compact(index - keep)))
    })
    this.disk.run()
    this.snapshotIndex = index
  }

  reopen(): void {
    this.storage = open(this.disk)
    this.check()
  }

  /**
   * The log is one of the versions not older than the last acknowledged one; it is the only one from now on.
   * Term and vote may be newer: their second copy may have been durable first.
   */
  check(): void {
    const { log } = this.storage
    const { firstIndex, lastIndex, hardState } = log
    const found = log.entries(firstIndex, lastIndex, Number.POSITIVE_INFINITY)
    const shown = show({ entries: found, hardState })
    const match = this.versions.find(({ entries }, i) =>
      this.versions
        .slice(i)
        .some((later) => show({ ...later, entries: entries.slice(firstIndex - 1) }) === shown),
    )
    if (match === undefined) throw new Error(`an acknowledged append is lost: ${shown}`)
    if (firstIndex > this.snapshotIndex + 1) throw new Error('entries are missing')
    this.versions = [{ entries: match.entries, hardState }]
    this.term = Math.max(this.term, match.hardState.term) + 1
  }
}

function show({ entries, hardState }: Version): string {
  const { term, vote, commit } = hardState
  return JSON.stringify([term, vote, commit, entries.map(textOf)])
}

function run(commands: readonly Command[]): void {
  const model = new Model()
  for (const command of commands) {
    switch (command.kind) {
      case 'append':
        model.append(command)
        break
      case 'vote': {
        const { entries } = model.latest
        model.term += 1
        const hardState = { term: model.term, vote: command.vote, commit: 0 }
        model.write({ entries, hardState }, [])
        break
      }
      case 'run':
        model.disk.run(command.operations)
        break
      case 'snapshot':
        model.snapshot(command.keep)
        break
      case 'crash':
        model.disk.crash({
          keep: (_, unsynced) => Math.floor(unsynced * command.keep),
          blank: (_, sector) => sector % 6 === command.blank,
        })
        model.reopen()
        break
      case 'close':
        model.storage.close((err) => {
          if (err !== undefined) throw err
        })
        model.disk.run()
        model.reopen()
        break
    }
  }
  model.disk.run()
  model.check()
}

t.test('a tail that truncates below compacted segments is not a gap', async (t) => {
  run([
    { kind: 'append', back: 1, count: 5, size: 80 },
    { kind: 'append', back: 1, count: 4, size: 680 },
    { kind: 'append', back: 0, count: 2, size: 288 },
    { kind: 'snapshot', keep: 0 },
    { kind: 'close' },
  ])
  t.pass('the shortest history that once failed (seed 1)')
})

t.test('random histories keep what was acknowledged', async (t) => {
  const seed = Number(process.env.FC_SEED ?? Date.now() % 2 ** 31)
  fc.assert(fc.property(fc.array(command, { maxLength: 60, size: 'max' }), run), {
    seed,
    numRuns: Number(process.env.FC_RUNS ?? 400),
  })
  t.pass(`seed ${seed}`)
})
