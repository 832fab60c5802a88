// attach against a daemon in this process that plays the far end.
import t, { type Test } from 'tap'
import type { TerminalControl } from '../../../cli/context.ts'
import type { StreamFrame } from '../../../proto/gen/tsswarm/v1/streams.ts'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'

type FrameKind = NonNullable<StreamFrame['kind']>
type Send = (kind: FrameKind) => Promise<void>

async function aFarEnd(
  t: Test,
  facts: { readonly tty: boolean; readonly hasInput: boolean },
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
      const names = { taskId: 't1', taskName: 'web.1.t1', nodeHostname: 'w1', pathKind: '' }
      if (kind.$case === 'open') {
        await send({ kind: { $case: 'opened', value: { ...names, ...facts } } })
        await send({ kind: { $case: 'data', value: Buffer.from('out\n') } })
      }
      if (await take(kind, (one) => send({ kind: one }))) return
    }
  }) as never
  return { daemon, got }
}

const ended = (exitCode: number, err = '', code = '') =>
  ({ $case: 'ended', value: { exitCode, err, code } }) as const
const bytes = (text: string) => Buffer.from(text)

function aTerminal() {
  const raw: boolean[] = []
  const listeners = new Set<(name: string) => void>()
  const terminal: TerminalControl = {
    size: () => ({ rows: 24, columns: 80 }),
    onResize: () => () => {},
    setRaw: (on) => void raw.push(on),
    onSignal: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  return { terminal, raw, listeners }
}

t.test('both outputs, input and its end, the exit code of the task', async (t) => {
  const facts = { tty: false, hasInput: true }
  const { daemon, got } = await aFarEnd(t, facts, async (kind, send) => {
    if (kind.$case === 'data') await send({ $case: 'errorData', value: kind.value })
    if (kind.$case === 'dataEnd') await send(ended(7))
    return kind.$case === 'dataEnd'
  })
  const run = await daemon.run('attach web', { stdin: [bytes('typed')] })
  t.same(run, { code: 7, stdout: 'out\n', stderr: 'typed' })
  t.match(got[0], {
    value: { reference: 'web', what: { $case: 'attach', value: { interactive: true } } },
  })
})

t.test('the detach keys leave a terminal, which is as before then', async (t) => {
  const { terminal, raw, listeners } = aTerminal()
  const facts = { tty: true, hasInput: true }
  const { daemon, got } = await aFarEnd(t, facts, async (kind, send) => {
    if (kind.$case === 'detach') await send(ended(0))
    return kind.$case === 'detach'
  })
  const typed = { terminalControl: terminal, stdinIsTerminal: true }
  const run = await daemon.run('attach web', {
    ...typed,
    stdin: [bytes('ls\r'), bytes('\x10'), bytes('pwd\r\x10\x11never')],
  })
  t.same(run, { code: 0, stdout: 'out\n', stderr: 'read escape sequence\n' })
  t.same(raw, [true, false])
  t.equal(listeners.size, 0)
  const data = got.flatMap((kind) => (kind.$case === 'data' ? [Buffer.from(kind.value)] : []))
  t.equal(Buffer.concat(data).toString(), 'ls\r\x10pwd\r')
  t.match(got[0], { value: { what: { value: { size: { rows: 24, columns: 80 } } } } })
  const others = ['attach', '--detach-keys', 'ctrl-x', 'web']
  const left = await daemon.run(others, { ...typed, stdin: [bytes('\x10\x11\x18')] })
  t.match(left, { code: 0, stderr: 'read escape sequence\n' })
  t.match(await daemon.run('attach --detach-keys ctrl-1 web'), {
    code: 125,
    stderr: /invalid detach keys/,
  })
})

t.test('only looking: nothing is read, and signals go where they are wanted', async (t) => {
  const { terminal, listeners } = aTerminal()
  const facts = { tty: false, hasInput: true }
  const { daemon, got } = await aFarEnd(t, facts, async (kind, send) => {
    if (kind.$case === 'signal') await send(ended(143))
    return kind.$case === 'signal'
  })
  const run = await daemon.run('attach --no-stdin web', {
    ...{ terminalControl: terminal, stdin: [bytes('unread')] },
    onOutput: () => {
      for (const listener of listeners) listener('SIGTERM')
    },
  })
  t.match(run, { code: 143, stderr: '' })
  t.match(got[0], { value: { what: { value: { interactive: false } } } })
  t.match(got.at(-1), { $case: 'signal', value: 'SIGTERM' })
  t.notOk(got.some(({ $case }) => $case === 'data' || $case === 'dataEnd'))
  let seen = -1
  const controller = new AbortController()
  const alone = await daemon.run('attach --no-stdin --sig-proxy=false web', {
    ...{ terminalControl: terminal, signal: controller.signal },
    onOutput: () => {
      seen = listeners.size
      controller.abort()
    },
  })
  t.equal(seen, 0, 'an interrupt is for this program')
  t.equal(alone.code, 130)
})

t.test('input that cannot be taken', async (t) => {
  const text = 'the standard input of the container is not open'
  const facts = { tty: false, hasInput: false }
  const { daemon } = await aFarEnd(t, facts, async (kind, send) => {
    if (kind.$case === 'data') await send(ended(0, text, 'FAILED_PRECONDITION'))
    if (kind.$case === 'dataEnd') await send(ended(0))
    return kind.$case === 'data' || kind.$case === 'dataEnd'
  })
  t.match(await daemon.run('attach web', { stdin: [bytes('lost')] }), {
    code: 1,
    stderr: `Error: ${text}\n`,
  })
  t.match(await daemon.run('attach web'), { code: 0, stdout: 'out\n' }, 'none was given')
  const onTerminal = await aFarEnd(t, { tty: true, hasInput: true }, async () => false)
  t.match(await onTerminal.daemon.run('attach web', { stdin: [bytes('x')] }), {
    code: 1,
    stderr: /input device is not a TTY: attach with --no-stdin/,
  })
})
