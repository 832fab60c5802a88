import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import {
  Generator,
  type GeneratorResult,
  type LoadOutcome,
  type LoadWish,
} from '../../loss/generator.ts'
import { compileProgram } from '../../loss/programs.ts'
import { freePort } from '../../support/free-ports.ts'
import { untilSeen } from '../../support/until.ts'

const program = await compileProgram('load', t.testdir())

const ok = (connection: string, body = 'one'): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: ${connection}\r\n\r\n${body}`

/** A server that does as told with the n-th request of a connection. */
async function aServer(
  t: Test,
  act: (socket: Socket, request: string, n: number) => void,
): Promise<number> {
  const open = new Set<Socket>()
  const server: Server = createServer((socket) => {
    let n = 0
    open.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      n += 1
      act(socket, data.toString(), n)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** Under load until something of it is as wanted. */
async function loaded(
  port: number,
  wish: Partial<LoadWish>,
  isEnough: (so: LoadOutcome) => boolean,
): Promise<GeneratorResult> {
  const nothing = { perSecond: 0, fastMs: 5, slowPerSecond: 0, slowMs: 10, keepAlive: 0 }
  const at = { address: '127.0.0.1', port, waitMs: 2_000 }
  const load = Generator.start(program, {
    name: 'clients',
    enter: [],
    wish: { ...nothing, ...at, ...wish },
  })
  try {
    await untilSeen('enough', async () => load.line !== undefined && isEnough(load.line), 10_000)
    return await load.end()
  } finally {
    load.kill()
  }
}

/** How many of all that were sent have failed. */
function failures({ failed }: LoadOutcome): number {
  return Object.values(failed).reduce((sum, n) => sum + n, 0)
}

t.test('every request is counted, with what was asked', async (t) => {
  const paths = new Set<string>()
  const port = await aServer(t, (socket, request) => {
    paths.add(request.split(' ')[1] ?? '')
    const isLast = request.includes('Connection: close')
    socket.write(ok(isLast ? 'close' : 'keep-alive', isLast ? 'one' : 'two'))
    if (isLast) socket.end()
  })
  const wish = { perSecond: 200, slowPerSecond: 50, keepAlive: 2 }
  const { sent, answered, failed, retried, servers } = await loaded(
    port,
    wish,
    ({ answered }) => answered.fresh > 20 && answered.slow > 5 && answered.kept > 5,
  )
  t.same(answered, sent)
  t.same([failed, retried], [{}, {}])
  t.same([...paths].sort(), ['/10', '/5'])
  t.equal(servers, 2)
})

t.test('what fails is told by kind and cause', async (t) => {
  const causes: readonly (readonly [string, (socket: Socket) => void])[] = [
    ['ECONNRESET', (socket) => socket.resetAndDestroy()],
    ['closed', (socket) => socket.end('HTTP/1.1 200 OK\r\n')],
    ['another status', (socket) => socket.end(ok('close').replace('200', '503'))],
    ['no answer in time', () => {}],
  ]
  for (const [cause, act] of causes) {
    const port = await aServer(t, act)
    const wish = { perSecond: 50, waitMs: 100 }
    const outcome = await loaded(port, wish, (so) => failures(so) > 3)
    t.same(Object.keys(outcome.failed), [`fresh: ${cause}`])
    t.equal(failures(outcome), outcome.sent.fresh)
    t.equal(outcome.failures.length, outcome.sent.fresh)
    t.ok(outcome.failures.every((one) => one.cause === cause && one.endedAtMs >= one.startedAtMs))
    t.equal(outcome.answered.fresh, 0)
  }
})

t.test('nobody there is a failure to connect', async (t) => {
  const { failed } = await loaded(await freePort(), { perSecond: 50 }, (so) => failures(so) > 3)
  t.same(Object.keys(failed), ['fresh: connecting: ECONNREFUSED'])
})

t.test('a kept connection that is reset when it is used again is tried once more', async (t) => {
  const port = await aServer(t, (socket, _, n) => {
    if (n === 2) socket.resetAndDestroy()
    else socket.write(ok('keep-alive'))
  })
  const outcome = await loaded(port, { keepAlive: 1 }, ({ sent }) => sent.kept > 3)
  t.same(outcome.failed, {})
  t.same(Object.keys(outcome.retried), ['ECONNRESET'])
  t.equal(outcome.answered.kept, outcome.sent.kept)
})

t.test('one that is reset at its first request, or in an answer, has failed', async (t) => {
  const first = await aServer(t, (socket) => socket.resetAndDestroy())
  const { failed, retried } = await loaded(first, { keepAlive: 1 }, ({ sent }) => sent.kept > 3)
  t.same(Object.keys(failed), ['kept: ECONNRESET'])
  t.same(retried, {})
  const second = await aServer(t, (socket, _, n) => {
    if (n === 2) socket.end('HTTP/1.1 200 OK\r\n')
    else socket.write(ok('keep-alive'))
  })
  const cut = await loaded(second, { keepAlive: 1 }, (so) => failures(so) > 1)
  t.same(Object.keys(cut.failed), ['kept: closed'])
  t.same(cut.retried, {})
})

t.test('a connection ends when the server asks for it, and may end while idle', async (t) => {
  const port = await aServer(t, (socket, _, n) => {
    if (n === 2) socket.end(ok('close'))
    else socket.write(ok('keep-alive'))
  })
  const asked = await loaded(port, { keepAlive: 1 }, ({ closes }) => closes.asked > 1)
  t.same([asked.failed, asked.retried], [{}, {}])
  const silent = await aServer(t, (socket) => socket.end(ok('keep-alive')))
  const idle = await loaded(silent, { keepAlive: 1 }, ({ closes }) => closes.idle > 1)
  t.same([idle.failed, idle.retried], [{}, {}])
})

t.test('an answer may come in pieces, and must be one', async (t) => {
  const pieces = await aServer(t, (socket) => {
    const text = ok('close', 'four')
    socket.write(text.slice(0, -2), () => setImmediate(() => socket.end(text.slice(-2))))
  })
  const whole = await loaded(pieces, { perSecond: 50 }, ({ answered }) => answered.fresh > 3)
  t.same(whole.failed, {})
  const wrong: readonly (readonly [string, string])[] = [
    ['more than the answer', `${ok('close')}x`],
    ['an answer without its length', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['a head without an end', 'x'.repeat(2_000)],
  ]
  for (const [cause, text] of wrong) {
    const port = await aServer(t, (socket) => socket.end(text))
    const outcome = await loaded(port, { perSecond: 50 }, (so) => failures(so) > 3)
    t.same(Object.keys(outcome.failed), [`fresh: ${cause}`])
  }
})

t.test('a load that ends by itself is an error, with what it said', async (t) => {
  const wish = { address: 'nowhere', port: 1, perSecond: 1, fastMs: 1, slowPerSecond: 0 }
  const place = {
    name: 'clients',
    enter: [],
    wish: { ...wish, slowMs: 1, keepAlive: 0, waitMs: 1 },
  }
  const load = Generator.start(program, place)
  await t.rejects(load.end(), /clients: exit 2: usage/)
  t.throws(() => load.line, /clients: exit 2/)
})
