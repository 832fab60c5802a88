import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import {
  encodeFields,
  encodeFrame,
  FieldReader,
  FrameReader,
} from '../../../../../worker/executor/spawn/frames.ts'
import { createSpawnHelper } from '../../../../../worker/executor/spawn/spawn-helper.ts'
import { eventually } from '../../../../support/netns.ts'

t.test('frames come out as they went in, however the stream is cut', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.string({ unit: 'grapheme' })), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (messages, cuts) => {
        const bytes = Buffer.concat(messages.map((message) => encodeFields(message)))
        const reader = new FieldReader()
        const seen: (readonly string[])[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i % cuts.length] ?? 1
          seen.push(...reader.push(bytes.subarray(at, at + size)))
          at += size
        }
        return JSON.stringify(seen) === JSON.stringify(messages)
      },
    ),
  )
})

t.test('a message in JSON is cut anywhere, too', async (t) => {
  const bytes = encodeFrame({ text: 'ö€' })
  const reader = new FrameReader()
  t.same(reader.push(bytes.subarray(0, 9)), [])
  t.same(reader.push(Buffer.concat([bytes.subarray(9), bytes])), Array(2).fill('{"text":"ö€"}'))
})

t.test('a length that cannot be is refused', async (t) => {
  t.throws(() => new FrameReader().push(Buffer.from([255, 255, 255, 255])), RangeError)
  t.throws(() => new FieldReader().push(Buffer.from([0, 0, 0, 5, 0, 0, 0, 9, 1])), RangeError)
})

t.test('programs run through the helper', async (t) => {
  const helper = createSpawnHelper({ runningMax: 2 })
  t.teardown(() => helper.close())

  await t.test('with their output, code, environment, folder and input', async (t) => {
    const script = 'cat; echo $COLOUR; pwd; echo bad >&2; exit 3'
    const result = await helper.spawn(['/bin/sh', '-c', script], {
      env: { PATH: '/usr/bin:/bin', COLOUR: 'red' },
      cwd: '/usr',
      input: 'in\n',
    })
    t.same(result, { code: 3, stdout: 'in\nred\n/usr\n', stderr: 'bad\n', sync: '' })
    t.match(await helper.run(['/bin/echo', 'x']), { code: 0, stdout: 'x\n' })
  })

  await t.test('the daemon lends them nothing of its environment', async (t) => {
    process.env['TSSWARM_TEST_SECRET'] = 'x'
    t.teardown(() => {
      delete process.env['TSSWARM_TEST_SECRET']
    })
    const { stdout } = await helper.spawn(['/usr/bin/env'])
    t.notMatch(stdout, 'TSSWARM_TEST_SECRET')
  })

  await t.test('output is cut where it was asked for', async (t) => {
    const script = 'yes | head -c 300000; echo end >&2'
    const cut = await helper.spawn(['/bin/sh', '-c', script], { outputBytesMax: 10 })
    t.same(cut, { code: 0, stdout: 'y\ny\ny\ny\ny\n', stderr: 'end\n', sync: '' })
  })

  await t.test('probes that hang keep no work waiting', async (t) => {
    const controllers = Array.from({ length: 5 }, () => new AbortController())
    const hanging = controllers.map(({ signal }) =>
      helper.spawn(['/bin/sleep', '100'], { lane: 'probe', signal, timeoutMs: 60_000 }),
    )
    t.match(await helper.spawn(['/bin/echo', 'work']), { code: 0 })
    for (const controller of controllers) controller.abort()
    for (const result of await Promise.all(hanging)) t.match(result, { cutShort: 'cancel' })
  })

  await t.test('what cannot be started is told', async (t) => {
    t.match(await helper.spawn(['/no/such']), { code: -1, stderr: /ENOENT/ })
    t.match(await helper.spawn(['/bin/true'], { cwd: '/no/such' }), {
      code: -1,
      stderr: /true ENOENT .chdir:.no.such/,
    })
    t.match(await helper.spawn(['/etc/passwd']), { code: -1, stderr: 'spawn /etc/passwd EACCES' })
    t.match(await helper.spawn([]), { code: -1, stderr: 'empty command' })
    t.match(await helper.spawn(['/bin/echo', 'a\0b']), { code: -1, stderr: /zero byte/ })
  })

  await t.test('arguments, input and output are any text, and as long as may be', async (t) => {
    const words = ['', ' ', '\'"$(id)\\', 'ö€😀', '-n', 'a\nb', '%s']
    const { stdout } = await helper.spawn(['printf', '<%s>', ...words])
    t.equal(stdout, words.map((word) => `<${word}>`).join(''))
    const input = 'ö€😀\n'.repeat(200_000)
    const results = await Promise.all(
      ['one', 'two'].map((end) =>
        helper.spawn(['sh', '-c', 'cat; printf "$1"', 'sh', end], { input }),
      ),
    )
    t.ok(results.every(({ stdout: all }, at) => all === input + ['one', 'two'][at]))
    t.match(await helper.spawn(['/bin/true'], { input }), { code: 0 }, 'which reads none of it')
  })

  await t.test('signals that the helper minds are as usual for what it runs', async (t) => {
    const { stdout } = await helper.spawn(['grep', '-E', '^Sig(Ign|Blk)', '/proc/self/status'])
    t.match(stdout, /SigBlk:\s0+\nSigIgn:\s0+\n/)
    const { stderr } = await helper.spawn(['sh', '-c', 'kill -TERM $$'])
    t.equal(stderr, 'ended by SIGTERM')
  })

  await t.test('they get no descriptors but their own', async (t) => {
    const { stdout } = await helper.spawn(['ls', '/proc/self/fd'])
    t.equal(stdout, '0\n1\n2\n3\n', 'the last one is the folder that ls reads')
    const synced = await helper.spawn(['ls', '/proc/self/fd'], { syncPipe: true })
    t.equal(synced.stdout, '0\n1\n2\n3\n4\n')
  })

  await t.test('they are run in another network, with its settings', async (t) => {
    const keeper = spawn('unshare', ['--net', 'sh', '-c', 'echo; read end'])
    t.teardown(() => keeper.kill('SIGKILL'))
    await once(keeper.stdout, 'data')
    const path = '/proc/sys/net/ipv4/ip_default_ttl'
    const result = await helper.spawn(['cat', path], {
      netns: `/proc/${keeper.pid}/ns/net`,
      settings: new Map([
        ['/proc/sys/net/ipv4/none', '1'],
        [path, '77'],
      ]),
    })
    t.match(result, { code: 0, stdout: '77\n', stderr: /ipv4\/none: No such file/ })
    t.not((await helper.spawn(['cat', path])).stdout, '77\n')
    t.match(await helper.spawn(['true'], { netns: '/no/net' }), {
      code: -1,
      stderr: 'spawn true ENOENT (open:/no/net)',
    })
  })

  await t.test('they are killed after their time, and when nobody wants them', async (t) => {
    t.match(await helper.spawn(['sleep', '60'], { timeoutMs: 20 }), {
      code: -1,
      stderr: 'ended by SIGKILL',
      cutShort: 'timeout',
    })
    const controller = new AbortController()
    const running = helper.spawn(['sleep', '60'], { signal: controller.signal })
    controller.abort()
    t.match(await running, { code: -1, cutShort: 'cancel' })
    t.match(await helper.spawn(['true'], { signal: controller.signal }), { code: -1 })
  })

  await t.test('no more run at a time than allowed; one that waits can be given up', async (t) => {
    const controller = new AbortController()
    const long = [1, 2].map(() => helper.spawn(['sleep', '60'], { signal: controller.signal }))
    const giveUp = new AbortController()
    const waiting = helper.spawn(['true'], { signal: giveUp.signal })
    const patient = helper.spawn(['true'])
    giveUp.abort()
    t.match(await waiting, { code: -1, stderr: 'aborted before its start' })
    controller.abort()
    await Promise.all(long)
    t.match(await patient, { code: 0 })
  })

  await t.test('the first line of descriptor 3 is part of the answer', async (t) => {
    const script = 'echo \'{"data": 7}\' >&3; sleep 5 & exit 0'
    const before = performance.now()
    const result = await helper.spawn(['/bin/sh', '-c', script], { syncPipe: true })
    t.match(result, { code: 0, sync: '{"data": 7}' })
    t.ok(performance.now() - before < 4_000, 'what it left in the background is not awaited')
    t.match(await helper.spawn(['/bin/true'], { syncPipe: true }), { code: 0, sync: '' })
  })

  await t.test('the time counts also for what a program leaves in the background', async (t) => {
    const script = 'sleep 61 & echo $!; exit 0'
    for (const syncPipe of [true, false]) {
      const result = await helper.spawn(['/bin/sh', '-c', script], { syncPipe, timeoutMs: 500 })
      t.match(result, { code: -1, sync: '', cutShort: 'timeout' }, `sync pipe: ${syncPipe}`)
      process.kill(Number.parseInt(result.stdout, 10), 'SIGKILL')
    }
  })
})

t.test(
  'a program that is to be read-only is so for what the helper runs, until it is replaced',
  async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'tsswarm-program-'))
    t.teardown(() => rm(dir, { recursive: true }))
    const program = join(dir, 'program')
    await writeFile(program, '#!/bin/sh\necho one\n', { mode: 0o755 })
    const helper = createSpawnHelper({ readOnlyPrograms: [join(dir, 'none'), program] })
    t.teardown(() => helper.close())
    t.match(await helper.spawn([program]), { code: 0, stdout: 'one\n' })
    const overwrite = ['/bin/sh', '-c', 'echo more >>"$1"', 'sh', program]
    t.match((await helper.spawn(overwrite)).stderr, /Read-only file system/)
    await writeFile(`${program}.new`, '#!/bin/sh\necho two\n', { mode: 0o755 })
    await rename(`${program}.new`, program)
    t.match(await helper.spawn([program]), { code: 0, stdout: 'two\n' })
  },
)

t.test('a helper that dies is replaced', async (t) => {
  const helper = createSpawnHelper()
  t.teardown(() => helper.close())
  const { stdout } = await helper.spawn(['/bin/sh', '-c', 'echo $PPID'])
  const running = helper.spawn(['sleep', '60'])
  process.kill(Number(stdout), 'SIGKILL')
  t.match(await running, { code: -1, stderr: /the spawn helper ended/ })
  t.match(await helper.spawn(['/bin/echo', 'again']), { code: 0, stdout: 'again\n' })
})

t.test('closing ends it and what it runs', async (t) => {
  const helper = createSpawnHelper()
  const { stdout } = await helper.spawn(['/bin/sh', '-c', 'echo $PPID'])
  const running = helper.spawn(['sleep', '6061'])
  const queued = Array.from({ length: 8 }, () => helper.spawn(['sleep', '6061']))
  await helper.close()
  t.match(await running, { code: -1 })
  for (const one of queued) t.match(await one, { code: -1 })
  t.match(await helper.spawn(['true']), { code: -1, stderr: /closed/ })
  await eventually(async () => {
    const status = await readFile(`/proc/${Number(stdout)}/status`, 'utf8').catch(() => '')
    return status === ''
  }, 'the helper is gone')
})

t.test('a cgroup that cannot be entered is named, with what to do', async (t) => {
  const helper = createSpawnHelper({ cgroupDirs: ['/dev/null/none'] })
  t.teardown(() => helper.close())
  for (const _ of [1, 2]) {
    const { code, stderr } = await helper.spawn(['/bin/true'])
    t.equal(code, -1)
    t.match(stderr, /cannot use the cgroup \/dev\/null\/none .*must be writable/)
  }
})
