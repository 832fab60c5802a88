// exec, top and stats against a daemon in this process that plays the far end.
import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import type { TerminalControl } from '../../../cli/context.ts'
import { SwarmError } from '../../../proto/errors.ts'
import type { StreamFrame, TaskUsage } from '../../../proto/gen/tsswarm/v1/streams.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'
import { untilSeen } from '../../support/until.ts'

type FrameKind = NonNullable<StreamFrame['kind']>
type Send = (kind: FrameKind) => Promise<void>

/** A far end: what it sees, and what it does with each frame. */
async function aFarEnd(
  t: Test,
  take: (kind: FrameKind, send: Send) => Promise<boolean>,
): Promise<{ readonly daemon: TestDaemon; readonly got: FrameKind[] }> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  const got: FrameKind[] = []
  daemon.control['openStream'] = (async (
    _: unknown,
    incoming: AsyncIterable<StreamFrame>,
    send: (frame: StreamFrame) => Promise<void>,
  ) => {
    for await (const { kind } of incoming) {
      if (kind === undefined) continue
      got.push(kind)
      if (await take(kind, (one) => send({ kind: one }))) return
    }
  }) as never
  return { daemon, got }
}

const opened = (more = {}) =>
  ({
    $case: 'opened',
    value: {
      ...{ taskId: 't1', taskName: 'web.1.t1', nodeHostname: 'w1' },
      ...{ tty: false, hasInput: false, pathKind: '' },
      ...more,
    },
  }) as const
const ended = (exitCode: number, err = '', code = '') =>
  ({ $case: 'ended', value: { exitCode, err, code } }) as const
const bytes = (text: string) => Buffer.from(text)

function aTerminal() {
  const listeners = new Set<(name: string) => void>()
  const resized = new Set<() => void>()
  const raw: boolean[] = []
  const terminal: TerminalControl = {
    size: () => ({ rows: 24, columns: 80 }),
    onResize: (listener) => {
      resized.add(listener)
      return () => resized.delete(listener)
    },
    setRaw: (on) => void raw.push(on),
    onSignal: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  return { terminal, listeners, resized, raw }
}

t.test('exec: what is asked for, both outputs, exit code, input and its end', async (t) => {
  const { daemon, got } = await aFarEnd(t, async (kind, send) => {
    if (kind.$case === 'open') {
      await send(opened())
      await send({ $case: 'errorData', value: bytes('warning\n') })
    }
    if (kind.$case === 'data') await send({ $case: 'data', value: kind.value })
    if (kind.$case === 'dataEnd') await send(ended(42))
    return kind.$case === 'dataEnd'
  })
  const words = [
    'exec',
    '-i',
    '-u',
    'app',
    '-w',
    '/srv',
    '-e',
    'A=1',
    '-e',
    'HOST',
    '-e',
    'NO',
    'web',
  ]
  const run = await daemon.run([...words, 'sh', '-c', 'cat'], {
    stdin: [bytes('one '), bytes('two')],
    env: { HOST: 'here' },
  })
  t.same(run, { code: 42, stdout: 'one two', stderr: 'warning\n' })
  t.match(got[0], {
    value: {
      requestId: /^\w{25}$/,
      reference: 'web',
      user: /./,
      what: {
        $case: 'exec',
        value: {
          ...{ argv: ['sh', '-c', 'cat'], env: ['A=1', 'HOST=here'], workdir: '/srv', user: 'app' },
          ...{ tty: false, interactive: true, detach: false },
        },
      },
    },
  })
})

t.test('exec: errors of manager and node, and of the command line', async (t) => {
  const { daemon } = await aFarEnd(t, async (kind, send) => {
    const reference = kind.$case === 'open' ? kind.value.reference : ''
    if (reference === 'gone') throw new SwarmError('NOT_FOUND', 'no such task or service: gone')
    if (reference === 'off')
      await send(ended(0, 'container off is not running', 'FAILED_PRECONDITION'))
    if (reference === 'none') {
      await send(opened())
      await send(ended(127, 'executable file `x` not found in $PATH'))
    }
    return true
  })
  const failed = (stderr: string, code = 1) => ({ code, stdout: '', stderr })
  t.same(await daemon.run('exec gone x'), failed('Error: no such task or service: gone\n'))
  t.same(await daemon.run('exec off x'), failed('Error: container off is not running\n'))
  t.same(
    await daemon.run('exec none x'),
    failed('Error: executable file `x` not found in $PATH\n', 127),
  )
  t.match(await daemon.run('exec broken x'), { code: 1, stderr: /ended before what it is for/ })
  t.match(await daemon.run('exec --privileged web x'), {
    code: 1,
    stderr: /--privileged cannot be used/,
  })
  t.match(await daemon.run('exec -it web sh'), { code: 1, stderr: /input device is not a TTY/ })
  t.match(await daemon.run('exec -di web sh'), { code: 125, stderr: /conflicting options/ })
  t.match(await daemon.run('exec --env-file /no/such web sh'), { code: 125, stderr: /env file/ })
  t.match(await daemon.run('exec -e =x web sh'), { code: 125, stderr: /invalid environment/ })
  t.match(await daemon.run('exec web'), { code: 125 })
})

t.test('exec on a terminal: raw while it runs, its size goes along', async (t) => {
  const { terminal, resized, raw } = aTerminal()
  const { daemon, got } = await aFarEnd(t, async (kind, send) => {
    if (kind.$case === 'open') {
      await send(opened())
      await send({ $case: 'data', value: bytes('$ ') })
    }
    if (kind.$case === 'resize') await send(ended(0))
    return kind.$case === 'resize'
  })
  const run = await daemon.run('exec -it web sh', {
    ...{ terminalControl: terminal, stdinIsTerminal: true },
    onOutput: () => {
      for (const listener of resized) listener()
    },
  })
  t.match(run, { code: 0, stdout: '$ ' })
  t.same(raw, [true, false])
  t.equal(resized.size, 0)
  t.match(got[0], { value: { what: { value: { tty: true, size: { rows: 24, columns: 80 } } } } })
  t.match(got.at(-1), { $case: 'resize', value: { rows: 24, columns: 80 } })
})

t.test('exec without a terminal passes signals on; who insists is let go', async (t) => {
  const { terminal, listeners } = aTerminal()
  const signal = (name: string): void => {
    for (const listener of listeners) listener(name)
  }
  const { daemon, got } = await aFarEnd(t, async (kind, send) => {
    if (kind.$case === 'open') {
      await send(opened())
      await send({ $case: 'data', value: bytes('on') })
    }
    if (kind.$case === 'signal') signal('SIGINT')
    return false
  })
  const run = await daemon.run('exec web sleep 9', {
    terminalControl: terminal,
    onOutput: () => signal('SIGTERM'),
  })
  t.match(run, { code: 1, stderr: /interrupted/ })
  t.same(
    got.slice(1).map((kind) => kind.$case === 'signal' && kind.value),
    ['SIGTERM', 'SIGINT', 'SIGINT', 'SIGINT'],
  )
})

t.test('top shows processes as docker does', async (t) => {
  const startedAtMs = Date.UTC(2020, 1, 2, 3, 4)
  const { daemon } = await aFarEnd(t, async (_, send) => {
    const value = {
      processes: [
        {
          ...{ pid: 812, ppid: 800, user: 'app', cpuMs: 3_723_000, startedAtMs, tty: '?' },
          ...{ memoryBytes: 2 ** 20, command: 'nginx: master\tprocess', state: 'S' },
          ...{ name: 'nginx', virtualBytes: 2 ** 21 },
        },
      ],
      hostMemoryBytes: 2 ** 22,
    }
    await send({ $case: 'top', value })
    await send(ended(0))
    return true
  })
  const { stdout, code } = await daemon.run('top web.1')
  t.equal(code, 0)
  t.match(stdout, /^UID +PID +PPID +C +STIME +TTY +TIME +CMD\n/)
  t.match(stdout, /\napp +812 +800 +\d+ +2020-02-02 +\? +01:02:03 +nginx: master process\n$/)
  const line = async (...words: readonly string[]): Promise<string> => {
    const shown = await daemon.run(['top', 'web.1', ...words])
    t.equal(shown.stderr, '')
    return shown.stdout.replaceAll(/ +/g, ' ')
  }
  t.match(
    await line('aux'),
    /^USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\napp 812 [\d.]+ 25\.0 2048 1024 \? S 2020-02-02 01:02:03 nginx: master process\n$/,
  )
  t.equal(await line('-o', 'pid,comm=NAME'), 'PID NAME\n812 nginx\n')
  t.equal(await line('-eopid', '-o', 'ppid,user', '--no-headers'), '812 800 app\n')
  t.match(await line('-e'), /^PID TTY TIME CMD\n812 \? 01:02:03 nginx\n$/)
  t.equal(await line('-ef'), await line())
  for (const [words, why] of [
    [['-Z'], /unknown ps option "-Z": known are -e, -f, aux/],
    [['--sort', 'pid'], /unknown ps option "--sort"/],
    [['-o', 'pid,nothing'], /unknown ps column "nothing": known are user, /],
    [['-o'], /unknown ps column ""/],
  ] as const) {
    t.match(await daemon.run(['top', 'web.1', ...words]), { code: 125, stderr: why })
  }
})

const usage = (more: Partial<TaskUsage>): TaskUsage => ({
  ...{ taskId: 'task1', taskName: 'web.1.task1', nodeHostname: 'w1', containerId: 'c1', err: '' },
  ...{ cpuTotalNanos: 9, cpuPermille: 1_255, memoryBytes: 2 ** 20, memoryLimitBytes: 2 ** 22 },
  ...{ receivedBytes: 1_500, sentBytes: 20, readBytes: 0, writtenBytes: 4_096, pids: 3 },
  ...more,
})

t.test('stats, once: a table, templates, and who could not be asked', async (t) => {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  let tasks = [usage({})]
  daemon.control['taskUsages'] = async function* () {
    yield { tasks }
  } as never
  const run = await daemon.run('stats --no-stream web')
  t.equal(run.code, 0)
  t.match(run.stdout, /^NAME +NODE +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS\n/)
  t.match(
    run.stdout,
    /web\.1 +w1 +125\.50% +1MiB \/ 4MiB +25\.00% +1\.5kB \/ 20B +0B \/ 4\.1kB +3\n/,
  )
  t.match(daemon.seen.at(-1)?.request, { references: ['web'], once: true })
  const format = await daemon.run(['stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}'])
  t.equal(format.stdout, 'web.1 3\n')
  tasks = [usage({}), usage({ taskId: 'task2', taskName: 'web.2.task2', err: 'node w2 is down' })]
  const part = await daemon.run('stats --no-stream')
  t.equal(part.code, 1)
  t.match(part.stdout, /web\.2 +w1 +-- +-- \/ -- +-- +-- +-- +--\n/)
  t.equal(part.stderr, 'Error: web.2.task2 on w1: node w2 is down\n')
})

t.test('stats is drawn anew with each sample until it is interrupted', async (t) => {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  const controller = new AbortController()
  daemon.control['taskUsages'] = async function* (_: unknown, __: unknown, signal: AbortSignal) {
    for (let pids = 1; !signal.aborted; pids += 1) {
      yield { tasks: [usage({ pids })] }
      await new Promise((resolve) => setImmediate(resolve))
    }
  } as never
  let draws = 0
  const run = await daemon.run('stats', {
    ...{ signal: controller.signal, terminal: true },
    onOutput: (text) => {
      draws += text.startsWith('\x1b[2J\x1b[H') ? 1 : 0
      if (draws === 3) controller.abort()
    },
  })
  t.equal(run.code, 0)
  t.ok(draws >= 3)
})

t.test('port-forward: why there is no connection is told to who is gone already', async (t) => {
  const { daemon } = await aFarEnd(t, async (kind, send) => {
    if (kind.$case === 'open') {
      await send(opened())
      const isForward = kind.value.what?.$case === 'forward'
      await send(isForward ? { $case: 'dataEnd', value: true } : ended(0))
      return !isForward
    }
    // The client has let go.
    if (kind.$case === 'dataEnd') await send(ended(0, 'nothing waits on port 81 of the task'))
    return kind.$case === 'dataEnd'
  })
  const life = new AbortController()
  let port = 0
  const run = daemon.run('port-forward 0:81 web', {
    signal: life.signal,
    onOutput: (text) => {
      port = Number(/:(\d+) ->/.exec(text)?.[1])
    },
    onErrors: () => life.abort(),
  })
  await untilSeen('it listens', async () => (port > 0 ? true : undefined))
  const socket = connect({ port, host: '127.0.0.1' }).resume()
  await once(socket, 'close')
  t.match(await run, { code: 0, stderr: 'Error: nothing waits on port 81 of the task\n' })
})
