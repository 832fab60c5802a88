// exec and attach on a real pseudo terminal: the program itself under script, a container at the far end, no cluster between.
import { resolve } from 'node:path'
import t, { type Test } from 'tap'
import { SwarmError } from '../../proto/errors.ts'
import type { StreamFrame } from '../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import type { ContainerStreams } from '../../worker/streams/container-streams.ts'
import { serveAttach } from '../../worker/streams/serve-attach.ts'
import { serveExec } from '../../worker/streams/serve-exec.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import { startTestDaemon } from '../support/daemon-server.ts'
import { createExecutorHost, loadImage, never, nothingLeft } from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'
import { Pty } from '../support/pty.ts'

t.setTimeout(120_000)

/** A daemon whose streams lead right into the containers of this host. */
async function aDaemon(t: Test, streams: ContainerStreams) {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  daemon.control['openStream'] = (async (
    _: unknown,
    incoming: AsyncIterable<StreamFrame>,
    send: (frame: StreamFrame) => Promise<void>,
    signal: AbortSignal,
  ) => {
    const frames = incoming[Symbol.asyncIterator]()
    const { value } = await frames.next()
    const io = {
      ...{ signal, clock: systemClock },
      frames: { [Symbol.asyncIterator]: () => ({ next: () => frames.next() }) },
      send: (kind: NonNullable<StreamFrame['kind']>) => send({ kind }),
    }
    const { reference: id, what } = value?.kind?.$case === 'open' ? value.kind.value : noWish()
    if (what?.$case === 'exec') await serveExec(streams, { id, exec: what.value }, io)
    else if (what?.$case === 'attach') await serveAttach(streams, { id, attach: what.value }, io)
  }) as never
  return daemon
}

function noWish(): never {
  throw new SwarmError('INVALID_ARGUMENT', 'a stream begins by saying what is to be done')
}

/** Runs the program and tells its exit code, and whether the terminal is as before. */
function onTerminal(t: Test, socketPath: string, words: string): Pty {
  const program = `'${process.execPath}' '${resolve('build/cli/main.js')}' -H '${socketPath}'`
  const pty = new Pty(
    `stty rows 30 cols 90; before=$(stty -g); ${program} ${words}; code=$?; ` +
      '[ "$(stty -g)" = "$before" ] && echo "code $code, as before" || stty -a',
  )
  t.teardown(() => pty.kill())
  return pty
}

const inside =
  'trap "stty size" WINCH; trap "echo interrupted; exit 42" INT; stty size; while :; do sleep 0.05; done'

t.test('a real terminal', async (t) => {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { executor, images, streams } = await host.open()
  await loadImage(images, await busyboxImage())
  const wish = { tty: true, openStdin: true }
  await executor.create(aScript('main', 'while read x; do echo "main got $x"; done', wish), never)
  await executor.start('main', never)
  const commands = async (): Promise<readonly string[]> =>
    (await streams.processes('main')).map(({ command }) => command)

  await t.test('exec: size, keys, interrupt, exit code, and the terminal after it', async (t) => {
    const daemon = await aDaemon(t, streams)
    const pty = onTerminal(t, daemon.socketPath, `exec -it main sh -c '${inside}'`)
    await pty.shows('30 90\r\n')
    const raw = await pty.settings()
    for (const word of ['-icanon', '-echo', '-isig', '-opost'])
      t.ok(raw.split(/\s+/).includes(word), word)
    await pty.resize(41, 101)
    await pty.shows('41 101\r\n')
    // Changes that follow each other: the last one counts.
    for (const rows of [42, 43, 44]) await pty.resize(rows, 99)
    await pty.shows('44 99\r\n')
    pty.type('\x03')
    await pty.shows('interrupted\r\n')
    await pty.shows('code 42, as before\r\n')
    t.equal(await pty.ended(), 0)
  })

  await t.test('exec: a connection that is killed', async (t) => {
    const daemon = await aDaemon(t, streams)
    const pty = onTerminal(t, daemon.socketPath, `exec -it main sh -c '${inside}'`)
    await pty.shows('30 90\r\n')
    t.equal((await commands()).filter((one) => one.includes('WINCH')).length, 1)
    daemon.close()
    await pty.shows(/Error: [^\r\n]*connection to the daemon broke off\r\n/)
    await pty.shows('code 1, as before\r\n')
    await eventually(
      async () => !(await commands()).some((one) => one.includes('WINCH')),
      'what it ran has ended',
    )
  })

  await t.test('attach: typed lines, and leaving by keys', async (t) => {
    const daemon = await aDaemon(t, streams)
    const pty = onTerminal(t, daemon.socketPath, 'attach main')
    await eventually(async () => / -icanon\b/.test(await pty.settings()), 'it is attached')
    pty.type('hello\r')
    await pty.shows('main got hello\r\n')
    pty.type('last\r\x10\x11')
    await pty.shows('read escape sequence\r\n')
    await pty.shows('code 0, as before\r\n')
    await eventually(async () => {
      for await (const { data } of executor.logs('main', {}, never)) {
        if (Buffer.from(data).toString() === 'main got last\r') return true
      }
      return false
    }, 'what was typed last arrived')
    const again = onTerminal(t, daemon.socketPath, 'attach --detach-keys ctrl-x main')
    await eventually(async () => / -icanon\b/.test(await again.settings()), 'it is attached')
    again.type('\x04')
    await again.shows('code 0, as before\r\n')
  })
  await executor.remove('main')
  t.same(await host.leftovers(), nothingLeft)
})
