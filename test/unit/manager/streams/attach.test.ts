// attach as it travels, and what becomes of streams when a manager dies or a client does not behave.
import { once } from 'node:events'
import t from 'tap'
import { StreamHub, tunnelsMax } from '../../../../manager/streams/stream-hub.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import type {
  AgentStreamsMessage,
  StreamFrame,
  TunnelOrder,
} from '../../../../proto/gen/tsswarm/v1/streams.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { childController } from '../../../../proto/lib/lifecycle.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { nodeId } from '../../../../proto/objects/index.ts'
import { aStreamWorld, type ClientEnd, exec, sh } from '../../../support/stream-world.ts'
import { untilSeen } from '../../../support/until.ts'

t.setTimeout(60_000)

const attach = (interactive = true) =>
  ({ $case: 'attach', value: { interactive, size: undefined } }) as const
const data = (text: string) => ({ $case: 'data', value: Buffer.from(text) }) as const
const echo =
  'while read x; do [ "$x" = end ] && exit 6; echo "got $x"; echo "err $x" >&2; done; exit 9'

/** Until it is said. */
async function heard(client: ClientEnd, text: string): Promise<void> {
  await untilSeen(text, async () => (client.text().includes(text) ? true : undefined))
}

async function failure(client: ClientEnd): Promise<unknown> {
  return await client.done.then(
    () => 'ended well',
    (err: unknown) => err,
  )
}

t.test('attach: several clients at one process, from any manager', async (t) => {
  const world = await aStreamWorld(t)
  const { containers } = world
  const refused = world.open(attach())
  await refused.done
  t.match(refused.all('ended'), [{ code: 'FAILED_PRECONDITION', err: 'it is not running' }])

  containers.startMain(echo, true)
  const first = world.open(attach(), { manager: 'm1' })
  const second = world.open(attach(), { manager: 'm2' })
  const gone = world.open(attach(), { manager: 'm2' })
  await untilSeen('all are there', async () => (containers.attached === 3 ? true : undefined))
  t.match(world.notes.at(-1), { access: { action: 'attach', taskId: 'task1' } })
  await first.send(data('one\n'))
  await first.send({ $case: 'dataEnd', value: true })
  for (const client of [first, second, gone]) await heard(client, 'got one\n')
  t.match(first.all('opened'), [{ taskName: 'web.1.task1', hasInput: true, tty: false }])
  gone.life.abort()
  t.match(await failure(gone), { code: 'CANCELLED' })
  await untilSeen('one has left', async () => (containers.attached === 2 ? true : undefined))
  t.equal(containers.main?.exitCode, null, 'the process goes on')

  const leaving = world.open(attach(), { manager: 'm2' })
  await leaving.send(data('two\n'))
  await leaving.send({ $case: 'detach', value: true })
  await leaving.done
  t.match(leaving.all('ended'), [{ exitCode: 0, err: '' }])
  await heard(first, 'got two\n')

  await second.send({ $case: 'resize', value: { rows: 3, columns: 4 } })
  await second.send(data('end\n'))
  await Promise.all([first.done, second.done])
  for (const client of [first, second]) {
    t.match(client.all('ended'), [{ exitCode: 6, err: '', code: '' }])
    t.equal(client.text('errorData'), 'err one\nerr two\n')
  }
  t.same(containers.sizes, [{ rows: 3, columns: 4 }])
  t.equal(containers.attached, 0)
})

t.test('attach: input for a process that takes none', async (t) => {
  const world = await aStreamWorld(t)
  world.containers.startMain('echo on; trap "exit 5" TERM; while :; do sleep 0.05; done', false)
  const typing = world.open(attach())
  await typing.send(data('lost'))
  await typing.done
  t.match(typing.all('ended'), [
    { code: 'FAILED_PRECONDITION', err: /standard input of the container is not open/ },
  ])
  const looking = world.open(attach())
  await looking.send({ $case: 'dataEnd', value: true })
  await untilSeen('it is there', async () => looking.all('opened').length === 1 || undefined)
  t.match(looking.all('opened'), [{ hasInput: false }])
  await looking.send({ $case: 'signal', value: 'SIGTERM' })
  await looking.done
  t.match(looking.all('ended'), [{ exitCode: 5 }])
  t.equal(world.containers.attached, 0)
})

t.test('the manager of the session dies: one clear error, and nothing runs on', async (t) => {
  const world = await aStreamWorld(t)
  const { cluster, containers } = world
  const session = (): string | undefined =>
    cluster.store.view((tx) => tx.get('nodes', 'w1')?.sessionManagerId)
  const [dying = '', other = ''] = session() === 'm1' ? ['m1', 'm2'] : ['m2', 'm1']
  await cluster.lead(other)
  containers.startMain(echo, true)
  const program = world.open(sh('echo on; exec sleep 600', { interactive: true }), {
    manager: other,
  })
  const attached = world.open(attach(), { manager: other })
  await heard(program, 'on\n')
  await untilSeen('it is attached', async () => (containers.attached === 1 ? true : undefined))
  await cluster.kill(dying)
  for (const client of [program, attached]) {
    const lost = { code: 'UNAVAILABLE', message: 'the connection to the node of the task was lost' }
    t.match(await failure(client), lost)
    t.same(client.all('ended'), [], 'no end is told that was not seen')
  }
  await untilSeen('nothing runs on', async () =>
    containers.running === 0 && containers.attached === 0 ? true : undefined,
  )
  t.equal(containers.main?.exitCode, null, 'but the task itself')
  await untilSeen('the session moved', async () => (session() === other ? true : undefined))
  await untilSeen('it can be worked in again', async () => {
    const again = world.open(sh('echo here'), { manager: other })
    return (await failure(again)) === 'ended well' && again.text() === 'here\n' ? true : undefined
  })
  containers.main?.kill()
})

t.test('a client that never reads holds up itself alone', async (t) => {
  const world = await aStreamWorld(t)
  for (const manager of ['m1', 'm2']) {
    let release = (): void => {}
    const stuck = new Promise<void>((resolve) => {
      release = resolve
    })
    // It says how much it wrote into the pipe.
    const script = 'exec dd if=/dev/zero bs=65536 count=4096 status=none'
    const client = world.open(sh(script), {
      manager,
      take: async ({ $case }: NonNullable<StreamFrame['kind']>) =>
        $case === 'data' ? await stuck : undefined,
    })
    await untilSeen('it is stuck', async () => (client.all('data').length > 0 ? true : undefined))
    const quick = world.open(sh('echo quick'), { manager })
    await quick.done
    t.equal(quick.text(), 'quick\n')
    t.equal(world.containers.running, 1, 'what it runs waits')
    t.equal(client.all('data').length, 1, 'and nothing more is taken for it')
    client.life.abort()
    t.match(await failure(client), { code: 'CANCELLED' })
    await untilSeen('it has ended', async () => (world.containers.running === 0 ? true : undefined))
    release()
  }
})

t.test('a hundred at once, each whole', async (t) => {
  const world = await aStreamWorld(t)
  const chunk = Buffer.alloc(16 * 1024, 'y')
  const many = await opened(100, (i) =>
    world.open(exec(['/bin/cat'], { interactive: true }), { manager: i % 2 === 0 ? 'm1' : 'm2' }),
  )
  await Promise.all(
    many.map(async (client, i) => {
      for (let n = 0; n < 4; n += 1) await client.send({ $case: 'data', value: chunk })
      await client.send(data(String(i)))
      await client.send({ $case: 'dataEnd', value: true })
      await client.done
    }),
  )
  t.same(
    many.filter((client, i) => client.text() !== chunk.toString().repeat(4) + String(i)),
    [],
  )
})

t.test('more streams than a node serves are refused, until one has ended', async (t) => {
  const hub = new StreamHub({ clock: systemClock, random: systemRandom })
  const caller = { kind: 'node', nodeId: nodeId('w1'), role: 'worker' } as const
  const { controller: life } = childController()
  t.teardown(() => life.abort())
  const orders: boolean[] = []
  /** Opens each tunnel that is ordered. */
  const follow = async ({ tunnelId, gone }: TunnelOrder): Promise<void> => {
    orders.push(gone)
    if (gone) return
    const frames = (async function* (): AsyncGenerator<StreamFrame> {
      yield { kind: { $case: 'tunnelId', value: tunnelId } }
      await once(life.signal, 'abort')
    })()
    hub.handleTunnel(caller, frames, async () => {}, life.signal).catch(() => {})
  }
  const ready = (async function* (): AsyncGenerator<AgentStreamsMessage> {
    yield { kind: { $case: 'ready', value: {} } }
    await once(life.signal, 'abort')
  })()
  hub.handleStreams(caller, ready, follow, life.signal).catch(() => {})
  const wish = { requestId: 'r', reference: 'web', user: '', taskId: 't', nodeId: '' }
  const open = () => hub.open(caller.nodeId, { ...wish, what: attach() }, life.signal)
  const [first] = await Promise.all(Array.from({ length: tunnelsMax }, open))
  await t.rejects(open(), { code: 'RESOURCE_EXHAUSTED', message: /256 streams already/ })
  first?.close(new SwarmError('CANCELLED', 'the client has gone'))
  t.equal(orders.at(-1), true, 'the node is told')
  await open()
})

/** All open at once, begun a few at a time: a node has 10 s for each that it is asked for. */
async function opened(
  count: number,
  open: (i: number) => ClientEnd,
): Promise<readonly ClientEnd[]> {
  const clients: ClientEnd[] = []
  while (clients.length < count) {
    const next = Array.from({ length: Math.min(16, count - clients.length) }, (_, i) =>
      open(clients.length + i),
    )
    await Promise.all(next.map((client) => Promise.race([client.done, untilOpened(client)])))
    clients.push(...next)
  }
  return clients
}

async function untilOpened(client: ClientEnd): Promise<void> {
  await untilSeen('it is open', async () => (client.all('opened').length > 0 ? true : undefined))
}
