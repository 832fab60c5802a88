// Logs of real containers: what was written comes out, in order, from any point, while it grows and while it is rotated.
import { readdir } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { Executor, LogLine } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  hasLogged,
  loadImage,
  logLines,
  never,
  runToEnd,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(180_000)

async function aWorld(
  t: Test,
  logLimits?: { readonly bytesMax: number; readonly filesMax: number },
): Promise<{ readonly host: ExecutorHost; readonly executor: Executor }> {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { executor, images } = await host.open(logLimits === undefined ? {} : { logLimits })
  await loadImage(images, await busyboxImage())
  return { host, executor }
}

function textOf(line: LogLine): string {
  return Buffer.from(line.data).toString('utf8')
}

t.test('a log', async (t) => {
  const { host, executor } = await aWorld(t)
  const script = 'for i in $(seq 1 500); do echo line $i; done; echo oops >&2; printf unfinished'
  await runToEnd(executor, aScript('plain', script))

  await t.test('has all lines in order, also the last one without an end', async (t) => {
    const lines = await logLines(executor, 'plain', { streams: ['stdout'] })
    t.same(lines, [...Array.from({ length: 500 }, (_, i) => `line ${i + 1}`), 'unfinished'])
    t.same(await logLines(executor, 'plain', { streams: ['stderr'] }), ['oops'])
  })

  await t.test('can be had from its newest lines', async (t) => {
    t.same(await logLines(executor, 'plain', { tail: 0, streams: ['stderr'] }), [])
    t.same(await logLines(executor, 'plain', { tail: 1, streams: ['stderr'] }), ['oops'])
    const lines = await logLines(executor, 'plain', { tail: 3, streams: ['stdout'] })
    t.equal(lines.at(-1), 'unfinished')
    t.equal(lines.at(-2), 'line 500')
    t.equal((await logLines(executor, 'plain', { tail: 100_000 })).length, 502)
  })

  await t.test(
    'tells of its container what its driver was asked to, to who wants it',
    async (t) => {
      const log = { kind: 'files', attributes: { tier: 'front' } } as const
      await runToEnd(executor, aScript('detailed', 'echo line', { log }))
      const told = async (details: boolean) => {
        const lines: LogLine[] = []
        for await (const line of executor.logs('detailed', { details }, never)) lines.push(line)
        return lines.map(({ attributes }) => attributes)
      }
      t.same(await told(true), [{ tier: 'front' }])
      t.same(await told(false), [undefined])
    },
  )

  await t.test('is not there with driver none, and who asks is told', async (t) => {
    const silent = aScript('silent', 'echo hidden; exit 3', { log: { kind: 'none' } })
    await executor.create(silent, never)
    await executor.start('silent', never)
    t.match(await executor.wait('silent', never), { exitCode: 3 })
    const kept = await readdir(`${host.dirs.stateDir}/containers/silent`)
    t.notOk(kept.some((name) => name.startsWith('log')))
    await t.rejects(logLines(executor, 'silent'), {
      code: 'UNSUPPORTED',
      message: 'container test.1.silent keeps no output: its log driver is none',
    })
  })

  await t.test('can be had from and to a time', async (t) => {
    const timed = 'echo early; sleep 0.3; echo late'
    await runToEnd(executor, aScript('timed', timed))
    const stamps: number[] = []
    for await (const line of executor.logs('timed', {}, never)) {
      t.match(line.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
      stamps.push(Date.parse(line.timestamp))
    }
    const middleMs = ((stamps[0] ?? 0) + (stamps[1] ?? 0)) / 2
    t.same(await logLines(executor, 'timed', { sinceMs: middleMs }), ['late'])
    t.same(await logLines(executor, 'timed', { untilMs: middleMs }), ['early'])
    t.same(await logLines(executor, 'timed', { sinceMs: Date.parse('2100-01-01') }), [])
  })

  await t.test('puts long lines together again and keeps bytes as they are', async (t) => {
    const long = 'head -c 100000 /dev/zero | tr "\\0" x; echo; printf "\\377\\376\\n"'
    await runToEnd(executor, aScript('long', long))
    const lines: LogLine[] = []
    for await (const line of executor.logs('long', {}, never)) lines.push(line)
    t.equal(lines[0]?.data.length, 100_000)
    t.same([...(lines[1]?.data ?? [])], [0xff, 0xfe])
  })

  await t.test('is followed to the end of the container', async (t) => {
    await executor.create(
      aScript('followed', 'for i in 1 2 3 4 5; do echo $i; sleep 0.1; done'),
      never,
    )
    const seen: string[] = []
    const following = (async () => {
      for await (const line of executor.logs('followed', { follow: true }, never)) {
        seen.push(textOf(line))
      }
    })()
    await executor.start('followed', never)
    await eventually(async () => seen.includes('2'), 'lines come while it runs')
    t.equal((await executor.inspect('followed')).state.kind, 'running')
    await following
    t.same(seen, ['1', '2', '3', '4', '5'])
    t.same(await logLines(executor, 'followed', { follow: true, tail: 2 }), ['4', '5'])
  })

  await t.test('is followed until the reader leaves', async (t) => {
    await executor.create(aScript('endless', 'while true; do echo x; sleep 0.05; done'), never)
    await executor.start('endless', never)
    const controller = new AbortController()
    let count = 0
    for await (const _ of executor.logs('endless', { follow: true }, controller.signal)) {
      count += 1
      if (count === 5) controller.abort()
    }
    t.equal(count, 5)
    t.equal((await executor.inspect('endless')).state.kind, 'running')
  })
})

t.test(
  'a log that grows beyond its bounds is rotated and loses no line to a follower',
  async (t) => {
    const { host, executor } = await aWorld(t, { bytesMax: 20_000, filesMax: 3 })
    const count = 4_000
    // Slow enough to see several rotations.
    const script = `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo number $i; [ $((i % 200)) -ne 0 ] || sleep 0.3; done`
    await executor.create(aScript('chatty', script), never)
    // Below what the node keeps.
    const log = { kind: 'files', bytesMax: 1_000, filesMax: 1 } as const
    await executor.create(aScript('brief', 'seq 1 500; exec sleep 300', { log }), never)
    await executor.start('brief', never)
    const seen: string[] = []
    const following = (async () => {
      for await (const line of executor.logs('chatty', { follow: true }, never)) {
        seen.push(textOf(line))
      }
    })()
    await executor.start('chatty', never)
    const dir = `${host.dirs.stateDir}/containers/chatty`
    const files = async (): Promise<readonly string[]> =>
      (await readdir(dir)).filter((name) => name.startsWith('log')).toSorted()
    await eventually(async () => (await files()).length === 2, 'it is rotated', 60_000)
    await eventually(async () => (await logLines(executor, 'brief')).length === 0, 'it is cut')
    const brief = await readdir(`${host.dirs.stateDir}/containers/brief`)
    t.notOk(brief.includes('log.1'), 'one file, as its limits say')
    await hasLogged(executor, 'chatty', `number ${count}`)
    await following
    t.equal(seen.length, count)
    t.equal(seen[0], 'number 1')
    t.ok(
      seen.every((line, index) => line === `number ${index + 1}`),
      'each line once and in order',
    )
    const kept = await logLines(executor, 'chatty')
    t.equal(kept.at(-1), `number ${count}`)
    const tail = await logLines(executor, 'chatty', { tail: kept.length - 3 })
    t.same(tail, kept.slice(3), 'the newest lines reach over files')
  },
)
