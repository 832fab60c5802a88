import { readdirSync, readlinkSync } from 'node:fs'
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../../proto/lib/clock.ts'
import { chunksOf, followOutput } from '../../../../../worker/executor/container/log-follower.ts'
import { LogSplitter } from '../../../../../worker/executor/container/log-format.ts'
import { untilSeen } from '../../../../support/until.ts'

const stamp = '2026-01-01T00:00:00.000000000+00:00'
const never = new AbortController().signal

async function aLog(t: Test) {
  const dir = await mkdtemp('/tmp/tsswarm-log-')
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const path = `${dir}/log`
  const ended = new AbortController()
  const source = {
    ...{ path, clock: systemClock, ended: ended.signal, keepsOlder: true },
    hasEnded: () => ended.signal.aborted,
  }
  return {
    source,
    end: () => ended.abort(),
    add: (...lines: readonly string[]) =>
      appendFile(path, lines.map((line) => `${stamp} ${line}\n`).join('')),
    rotate: async (kept: number) => {
      await rm(`${path}.${kept}`, { force: true })
      for (let age = kept - 1; age >= 1; age -= 1) {
        await rename(`${path}.${age}`, `${path}.${age + 1}`).catch(() => {})
      }
      await rename(path, `${path}.1`)
      await writeFile(path, '')
    },
  }
}

t.test('what was written, byte for byte: unfinished lines, no line added', async (t) => {
  const log = [
    `${stamp} stdout P $ `,
    `${stamp} stdout P ls`,
    `${stamp} stdout F \r`,
    'damaged',
    `${stamp} stderr F bad`,
    `${stamp} stdout F `,
    '',
  ].join('\n')
  const read = (...chunks: readonly string[]): readonly string[] => {
    const splitter = new LogSplitter()
    const parts = chunks.flatMap((chunk) => splitter.push(Buffer.from(chunk)))
    return [...chunksOf(parts)].map(({ stream, data }) => `${stream}:${Buffer.from(data)}`)
  }
  const whole = ['stdout:$ ls\r\n', 'stderr:bad\n', 'stdout:\n']
  t.same(read(log), whole)
  for (let cut = 1; cut < log.length; cut += 7) {
    t.same(read(log.slice(0, cut), log.slice(cut)), whole, `cut at ${cut}`)
  }
  t.same(read(''), [])
})

t.test('from the call on, over rotations, to the end', async (t) => {
  const log = await aLog(t)
  await log.add('stdout F before')
  await log.rotate(2)
  await log.add('stdout F before too')
  const output = await followOutput(log.source, never)
  const read = async (): Promise<string> => {
    const { value } = await output.next()
    return value === undefined ? '' : `${value.stream}:${Buffer.from(value.data)}`
  }
  await log.add('stdout P a')
  t.equal(await read(), 'stdout:a')
  await log.rotate(2)
  await log.add('stdout F b')
  t.equal(await read(), 'stdout:b\n')
  const next = read()
  await log.add('stderr F last')
  log.end()
  t.equal(await next, 'stderr:last\n')
  t.equal((await output.next()).done, true)
})

t.test('a log that began after the call, and one that nobody wants any more', async (t) => {
  const log = await aLog(t)
  const life = new AbortController()
  const output = await followOutput(log.source, life.signal)
  const first = output.next()
  await log.add('stdout F first')
  t.match(await first, { value: { stream: 'stdout', data: Buffer.from('first\n') } })
  const rest = output.next()
  const unread = await followOutput(log.source, life.signal)
  const held = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === log.source.path
      } catch {
        return false
      }
    }).length
  t.equal(held(), 2)
  life.abort()
  t.equal((await rest).done, true)
  t.equal((await unread.next()).done, true)
  await untilSeen('no file is held open', async () => held() === 0)
})

t.test('who reads so slowly that the log was rotated away is told', async (t) => {
  const log = await aLog(t)
  await log.add('stdout F before')
  const output = await followOutput(log.source, never)
  await log.add('stdout F one')
  t.match(await output.next(), { value: { data: Buffer.from('one\n') } })
  for (let i = 0; i < 3; i += 1) {
    await log.add(`stdout F lost ${i}`)
    await log.rotate(2)
  }
  const alone = await followOutput({ ...log.source, keepsOlder: false }, never)
  await log.add('stdout F two')
  for (let i = 0; i < 3; i += 1) await log.rotate(2)
  await log.add('stdout F three')
  t.match(await alone.next(), { value: { data: Buffer.from('two\n') } })
  t.match(await alone.next(), { value: { data: Buffer.from('three\n') } }, 'it cannot be told')
  await alone.return()
  await t.rejects(output.next(), { code: 'RESOURCE_EXHAUSTED', message: /attach again/ })
})
