// Clients at the standard streams of a container's first process, on a real kernel with real conmon and socat.
import { readdirSync, readlinkSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { ContainerConfig } from '../../worker/executor/executor.ts'
import type { AttachedContainer } from '../../worker/streams/container-streams.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import { createExecutorHost, loadImage, never, nothingLeft } from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(120_000)

async function aWorld(t: Test) {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const opened = await host.open()
  await loadImage(opened.images, await busyboxImage())
  const { executor, streams } = opened
  /** A container that has begun to speak; how to attach to it, and which of this host's programs stand in its folder. */
  const running = async (id: string, script: string, over: Partial<ContainerConfig>) => {
    await executor.create(aScript(id, script, over), never)
    await executor.start(id, never)
    const bundleDir = `${host.dirs.runDir}/containers/${id}`
    await eventually(async () => {
      for await (const _ of executor.logs(id, {}, never)) return true
      return false
    }, 'it has spoken')
    return {
      attach: (interactive = true, size?: { readonly rows: number; readonly columns: number }) =>
        streams.attach(id, { interactive, size }).then((one) => new Client(one)),
      carriers: () => processesIn(bundleDir),
    }
  }
  return { host, executor, streams, running }
}

class Client {
  readonly container: AttachedContainer
  /** As they came, errors marked. */
  text = ''
  /** Settles with the outputs. */
  readonly done: Promise<void>

  constructor(container: AttachedContainer) {
    this.container = container
    this.done = this.#read()
    this.done.catch(() => {})
  }

  type(text: string): void {
    this.container.input.write(text)
  }

  async hears(text: string): Promise<void> {
    await eventually(async () => this.text.includes(text), `it says ${text}`)
  }

  async #read(): Promise<void> {
    for await (const { stream, data } of this.container.output) {
      const text = Buffer.from(data).toString()
      this.text += stream === 'stdout' ? text : `<${text}>`
    }
  }
}

function processesIn(dir: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === dir
    } catch {
      return false
    }
  })
}

const echo =
  'echo before; while read x; do [ "$x" = end ] && exit 6; printf "got $x"; echo; echo "bad $x" >&2; done; exit 9'

t.test('attach', async (t) => {
  const { host, executor, streams, running } = await aWorld(t)

  await t.test('both outputs from now on, input of several, its end, the exit code', async (t) => {
    const { attach, carriers } = await running('main', echo, { openStdin: true })
    const [first, second, looking] = [await attach(), await attach(), await attach(false)]
    t.match(first.container, { tty: false, hasInput: true })
    t.equal(carriers().length, 2, 'who only looks needs none')
    first.type('one\n')
    for (const client of [first, second, looking]) await client.hears('<bad one\n>')
    first.container.input.end()
    second.type('two\n')
    await second.hears('bad two')
    t.equal(second.text, 'got one\n<bad one\n>got two\n<bad two\n>')
    await eventually(async () => carriers().length === 1, 'the end of input is an end')

    // Typed, and left at once: it arrives.
    const leaving = await attach()
    leaving.type('last\n')
    await leaving.container.leave()
    await second.hears('bad last')
    await looking.container.hangUp()
    await looking.done
    await t.rejects(looking.container.ended, { code: 'CANCELLED' })

    second.type('end\n')
    await Promise.all([first.done, second.done])
    t.same(await first.container.ended, { exitCode: 6, err: '' })
    for (const client of [first, second]) await client.container.hangUp()
    t.same(carriers(), [])
    await executor.remove('main')
  })

  await t.test('input is held up, not lost, where the container does not read', async (t) => {
    const script = 'read go </tmp/go; wc -c; exit 3'
    const { attach, carriers } = await running('slow', `mkfifo /tmp/go; echo ready; ${script}`, {
      openStdin: true,
    })
    const client = await attach()
    const chunk = 'x'.repeat(64 * 1024)
    let sent = 0
    const fill = async (): Promise<void> => {
      const { input } = client.container
      while (sent < 512 && input.writable) {
        sent += 1
        if (!input.write(chunk)) await new Promise((resolve) => input.once('drain', resolve))
      }
    }
    const filling = fill()
    let seen = -1
    await eventually(async () => {
      const isStill = sent === seen
      seen = sent
      return isStill
    }, 'no more goes in')
    t.ok(sent < 64, `what nobody reads is not swallowed: ${sent}`)
    client.container.input.destroy()
    await Promise.race([filling, client.container.hangUp()])
    t.same(carriers(), [])
    await executor.remove('slow')
  })

  await t.test('a client that does not read holds nobody up', async (t) => {
    const script = 'echo ready; read x; seq 1 200000; exit 4'
    const { attach } = await running('loud', script, { openStdin: true })
    const [stuck, client] = [await attach(), await attach()]
    const { output } = stuck.container
    t.ok(output)
    client.type('go\n')
    await client.done
    t.same(await client.container.ended, { exitCode: 4, err: '' })
    t.equal(client.text.length, 1_288_895)
    t.match(client.text, /^1\n2\n3\n(.*\n)*200000\n$/)
    await stuck.container.hangUp()
    await client.container.hangUp()
    await executor.remove('loud')
  })

  await t.test('on a terminal: keys, its size, redrawn for who comes', async (t) => {
    const script =
      'trap "stty size" WINCH; trap "echo interrupted; exit 7" INT; echo ready; while :; do sleep 0.05; done'
    const { attach } = await running('tty', script, { openStdin: true, tty: true })
    const first = await attach(true, { rows: 33, columns: 111 })
    t.match(first.container, { tty: true, hasInput: true })
    await first.hears('33 111\r\n')
    const second = await attach(true, { rows: 33, columns: 111 })
    await second.hears('33 111\r\n')
    await second.container.resize({ rows: 12, columns: 34 })
    await first.hears('12 34\r\n')
    second.type('\x03')
    await second.done
    t.match(second.text, /interrupted\r\n$/)
    t.same(await second.container.ended, { exitCode: 7, err: '' })
    await Promise.all([first, second].map(({ container }) => container.hangUp()))
    await executor.remove('tty')
  })

  await t.test('one without open input: signals reach it, nothing is typed', async (t) => {
    const script = 'trap "exit 8" TERM; cat; echo ended; while :; do sleep 0.05; done'
    const { attach, carriers } = await running('closed', script, {})
    const client = await attach()
    t.match(client.container, { tty: false, hasInput: false })
    t.same(carriers(), [])
    t.throws(() => client.container.signal('SIGNOT'), { code: 'INVALID_ARGUMENT' })
    client.container.signal('SIGTERM')
    await client.done
    t.same(await client.container.ended, { exitCode: 8, err: '' })
    await client.container.hangUp()
    await t.rejects(attach(), { code: 'FAILED_PRECONDITION', message: /is not running/ })
    await executor.remove('closed')
  })
  await t.test('one without a log has nothing to be read', async (t) => {
    await executor.create(aScript('mute', 'sleep 1000', { log: { kind: 'none' } }), never)
    await executor.start('mute', never)
    const attached = streams.attach('mute', { interactive: false, size: undefined })
    await t.rejects(attached, { code: 'FAILED_PRECONDITION', message: /keeps no log/ })
    await executor.remove('mute')
  })
  t.same(await host.leftovers(), nothingLeft)
})
