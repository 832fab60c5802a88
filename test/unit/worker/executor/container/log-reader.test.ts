import { constants } from 'node:fs'
import { appendFile, mkdtemp, open, rename, rm, truncate, writeFile } from 'node:fs/promises'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../../proto/lib/clock.ts'
import { runCommand } from '../../../../../proto/lib/command.ts'
import {
  LogCursor,
  type LogSource,
  readLog,
} from '../../../../../worker/executor/container/log-reader.ts'
import { rotateLog } from '../../../../../worker/executor/container/log-rotation.ts'
import type { LogOptions } from '../../../../../worker/executor/executor.ts'

const never = new AbortController().signal

interface Log {
  readonly path: string
  readonly source: LogSource
  /** One line for each number. */
  write(...numbers: readonly number[]): Promise<void>
  /** As rotation does. */
  rotate(): Promise<void>
  end(): void
}

async function aLog(t: Test): Promise<Log> {
  const dir = await mkdtemp('/tmp/tsswarm-log-')
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const path = `${dir}/log`
  const ended = new AbortController()
  let written = 0
  return {
    path,
    source: { path, hasEnded: () => ended.signal.aborted, ended: ended.signal, clock: systemClock },
    write: async (...numbers) => {
      const lines = numbers.map((number) => {
        written += 1
        const second = `${Math.floor(written / 60) % 60}`.padStart(2, '0')
        const stamp = `2026-01-01T00:${second}:${`${written % 60}`.padStart(2, '0')}.000000000Z`
        return `${stamp} stdout F ${number}\n`
      })
      await appendFile(path, lines.join(''))
    },
    rotate: async () => {
      await rename(`${path}.1`, `${path}.2`).catch(() => {})
      await rename(path, `${path}.1`)
      await writeFile(path, '')
    },
    end: () => ended.abort(),
  }
}

async function numbers(source: LogSource, options: LogOptions = {}): Promise<readonly number[]> {
  const seen: number[] = []
  for await (const line of readLog(source, options, never)) {
    seen.push(Number(Buffer.from(line.data).toString()))
  }
  return seen
}

t.test('a cursor that is closed while it is read ends there', async (t) => {
  const { path } = await aLog(t)
  await writeFile(path, 'x'.repeat(1_000_000))
  const cursor = await LogCursor.open(path, {})
  const rest = cursor.rest()
  t.notOk((await rest.next()).done)
  const closing = cursor.close()
  t.ok((await rest.next()).done)
  await closing
})

const upTo = (last: number, first = 1): readonly number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

t.test('a log that was never written is empty', async (t) => {
  const log = await aLog(t)
  t.same(await numbers(log.source), [])
  t.same(await numbers(log.source, { tail: 5 }), [])
})

t.test(
  'rotated files are read oldest first, and the newest lines reach back over them',
  async (t) => {
    const log = await aLog(t)
    await log.write(...upTo(3))
    await log.rotate()
    await log.write(...upTo(6, 4))
    await log.rotate()
    await log.write(7, 8)
    t.same(await numbers(log.source), upTo(8))
    for (const tail of [0, 1, 2, 3, 5, 6, 8, 9]) {
      t.same(await numbers(log.source, { tail }), upTo(8).slice(8 - Math.min(tail, 8)), `${tail}`)
    }
  },
)

t.test('the newest lines are the same wherever a chunk ends', async (t) => {
  const log = await aLog(t)
  await writeFile(log.path, '')
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 4_000 }),
      fc.integer({ min: 0, max: 5_000 }),
      async (count, tail) => {
        await truncate(log.path)
        await log.write(...upTo(count))
        const seen = await numbers(log.source, { tail })
        return JSON.stringify(seen) === JSON.stringify(upTo(count).slice(Math.max(0, count - tail)))
      },
    ),
    { numRuns: 20 },
  )
})

t.test('a follower sees every line once through rotations, to the end', async (t) => {
  const log = await aLog(t)
  const following = numbers(log.source, { follow: true })
  await log.write(1, 2)
  await log.rotate()
  await log.write(3)
  await log.rotate()
  await log.write(4, 5)
  log.end()
  t.same(await following, upTo(5))
  t.same(await numbers(log.source, { follow: true, tail: 1 }), [5], 'an ended one is not awaited')
})

t.test('a follower whose file was removed goes on with the oldest there is', async (t) => {
  const log = await aLog(t)
  await log.write(1)
  const iterator = readLog(log.source, { follow: true }, never)
  t.equal((await iterator.next()).value?.data[0], '1'.charCodeAt(0))
  await log.write(2)
  await rm(log.path)
  await log.write(3)
  log.end()
  const rest: string[] = []
  for await (const line of iterator) rest.push(Buffer.from(line.data).toString())
  t.same(rest.at(-1), '3')
})

t.test('a small log and one without a writer are not rotated', async (t) => {
  const log = await aLog(t)
  await log.write(...upTo(10))
  const limits = { bytesMax: 10, filesMax: 3 }
  t.equal(await rotateLog(log.path, `${log.path}.ctl`, { ...limits, bytesMax: 10_000 }), false)
  t.equal(await rotateLog(log.path, `${log.path}.ctl`, limits), false)
  t.equal(await rotateLog(`${log.path}.none`, `${log.path}.ctl`, limits), false)
  t.same(await numbers(log.source), upTo(10))
})

t.test('rotation keeps so many files, and tells conmon to open a new one', async (t) => {
  const log = await aLog(t)
  const control = `${log.path}.ctl`
  t.equal((await runCommand(['mkfifo', control])).code, 0)
  // conmon's end.
  const pipe = await open(control, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => pipe.close())
  const limits = { bytesMax: 10, filesMax: 3 }
  for (let round = 1; round <= 4; round++) {
    await log.write(round)
    t.equal(await rotateLog(log.path, control, limits), true)
    const { buffer, bytesRead } = await pipe.read(Buffer.alloc(16))
    t.equal(buffer.toString('utf8', 0, bytesRead), '2 0 0\n')
  }
  await log.write(5)
  t.same(await numbers(log.source), [3, 4, 5])
  t.equal(await rotateLog(log.path, control, { bytesMax: 10, filesMax: 1 }), true)
  t.same(await numbers(log.source), [3, 4], 'a single file is begun anew')
})
