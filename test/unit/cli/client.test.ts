// The client over node's http2 against a server of grpc-js: messages, streams, errors, deadlines, retries.
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { connectClient } from '../../../cli/client.ts'
import { frame, percentDecode } from '../../../cli/grpc-channel.ts'
import { SwarmError } from '../../../proto/errors.ts'
import {
  ControlService,
  type LogLine,
  LogLine as LogLineMessage,
} from '../../../proto/gen/tsswarm/v1/control.ts'
import {
  DaemonService,
  type ImageProgress,
  type LoadImageRequest,
} from '../../../proto/gen/tsswarm/v1/daemon.ts'
import { systemClock } from '../../../proto/lib/clock.ts'
import { childController } from '../../../proto/lib/lifecycle.ts'
import { seededRandom } from '../../../proto/lib/random.ts'
import { createService } from '../../support/control.ts'
import { startTestDaemon } from '../../support/daemon-server.ts'

const daemon = await startTestDaemon()
t.teardown(() => daemon.close())

const connect = (
  signal = childController().controller.signal,
  retryMs = 3_000,
  callTimeoutMs = 30_000,
) =>
  connectClient({
    socketPath: daemon.socketPath,
    clock: systemClock,
    random: seededRandom(3),
    signal,
    retryMs,
    callTimeoutMs,
  })

t.test('calls one after another and at once over one connection', async (t) => {
  const client = await connect()
  for (let i = 0; i < 20; i += 1) await createService(daemon.world, { name: `web${i}` })
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      client.call(ControlService.getService, { reference: `web${i}` }),
    ),
  )
  t.strictSame(
    answers.map((answer) => answer.service?.service?.spec?.name),
    Array.from({ length: 20 }, (_, i) => `web${i}`),
  )
  client.close()
})

t.test('errors keep code, text and details', async (t) => {
  const client = await connect()
  await t.rejects(client.call(ControlService.getService, { reference: 'näh %' }), {
    name: 'SwarmError',
    code: 'NOT_FOUND',
    message: 'service "näh %" not found: "tsswarm service ls" lists what there is',
    details: { noun: 'service', reference: 'näh %' },
  })
  daemon.control['getNode'] = async () => {
    throw new TypeError('a bug')
  }
  await t.rejects(client.call(ControlService.getNode, { reference: 'self' }), {
    code: 'INTERNAL',
    message: /a bug/,
  })
  const unknown = { ...ControlService.getCluster, path: '/tsswarm.v1.Control/Nope' as const }
  await t.rejects(client.call(unknown as unknown as typeof ControlService.getCluster, {}), {
    code: 'UNSUPPORTED',
  })
  client.close()
})

t.test('a large answer and a large stream arrive whole', async (t) => {
  const text = new Uint8Array(300_000).fill(97)
  daemon.control['serviceLogs'] = async function* (): AsyncGenerator<LogLine> {
    for (let i = 0; i < 50; i += 1) {
      yield {
        taskId: `t${i}`,
        taskName: '',
        nodeId: '',
        nodeHostname: '',
        atMs: i,
        atNanos: 0,
        stderr: false,
        text,
        err: '',
        ...{ serviceId: '', attributes: {} },
      }
    }
  }
  const client = await connect()
  const request = {
    reference: '',
    follow: false,
    sinceMs: 0,
    tail: undefined,
    stdout: true,
    stderr: true,
    details: false,
  }
  let count = 0
  for await (const line of client.stream(ControlService.serviceLogs, [request])) {
    t.equal(line.taskId, `t${count}`)
    t.equal(line.text.length, text.length)
    count += 1
  }
  t.equal(count, 50)
  let taken = 0
  for await (const _ of client.stream(ControlService.serviceLogs, [request])) {
    taken += 1
    if (taken === 3) break
  }
  t.equal(taken, 3, 'a reader may leave early')
  client.close()
})

t.test('an upload is sent with back-pressure, and may be answered before its end', async (t) => {
  let received = 0
  const load = async (
    _: unknown,
    incoming: AsyncIterable<LoadImageRequest>,
    send: (message: ImageProgress) => Promise<void>,
  ): Promise<void> => {
    for await (const { chunk } of incoming) {
      received += chunk.length
      if (received > 20 * 2 ** 20) throw new SwarmError('RESOURCE_EXHAUSTED', 'the disk is full')
    }
    await send({
      step: 'loaded',
      subject: '',
      doneBytes: received,
      totalBytes: 0,
      image: undefined,
    })
  }
  daemon.daemon['loadImage'] = load as (typeof daemon.daemon)[string]
  const client = await connect()
  async function* upload(chunks: number): AsyncGenerator<LoadImageRequest> {
    for (let i = 0; i < chunks; i += 1) yield { chunk: new Uint8Array(256 * 1024) }
  }
  const answers: ImageProgress[] = []
  for await (const answer of client.stream(DaemonService.loadImage, upload(40)))
    answers.push(answer)
  t.match(answers, [{ doneBytes: 10 * 2 ** 20 }])
  received = 0
  await t.rejects(
    async () => {
      for await (const _ of client.stream(DaemonService.loadImage, upload(1_000)));
    },
    { code: 'RESOURCE_EXHAUSTED', message: 'the disk is full' },
  )
  async function* broken(): AsyncGenerator<LoadImageRequest> {
    yield { chunk: new Uint8Array(1) }
    throw new SwarmError('DATA_LOSS', 'the file went away')
  }
  await t.rejects(
    async () => {
      for await (const _ of client.stream(DaemonService.loadImage, broken()));
    },
    { code: 'DATA_LOSS' },
  )
  client.close()
})

t.test(
  'what has no leader is asked again under the same request id; other errors are not',
  async (t) => {
    const client = await connect()
    const real = daemon.world.api.removeService
    let failures = 3
    daemon.control['removeService'] = async (...args: Parameters<typeof real>) => {
      failures -= 1
      if (failures >= 0)
        throw new SwarmError(failures % 2 === 0 ? 'NO_LEADER' : 'OUTCOME_UNKNOWN', 'wait')
      return await real(...args)
    }
    daemon.seen.length = 0
    const { serviceId } = await client.call(ControlService.removeService, {
      requestId: 'r1',
      reference: 'web0',
    })
    t.equal(serviceId.length, 25)
    t.strictSame(
      daemon.seen.map(({ request }) => request),
      Array(4).fill({ requestId: 'r1', reference: 'web0' }),
    )
    daemon.seen.length = 0
    failures = 1
    await t.rejects(
      client.call(
        ControlService.removeService,
        { requestId: 'r2', reference: 'web1' },
        { retry: false },
      ),
      { code: 'NO_LEADER' },
    )
    await t.rejects(
      client.call(ControlService.removeService, { requestId: 'r3', reference: 'nope' }),
      { code: 'NOT_FOUND' },
    )
    t.equal(daemon.seen.length, 2)
    client.close()
    const hasty = await connect(undefined, 100)
    failures = 1_000
    await t.rejects(hasty.call(ControlService.removeService, { requestId: 'r4', reference: 'x' }), {
      code: /NO_LEADER|OUTCOME_UNKNOWN/,
    })
    hasty.close()
  },
)

t.test('deadlines and interrupts end a call', async (t) => {
  daemon.control['getService'] = () => new Promise(() => {})
  const { controller } = childController()
  const client = await connect(controller.signal)
  const call = client.call(ControlService.getService, { reference: 'web' }, { timeoutMs: 50 })
  await t.rejects(call, { code: 'DEADLINE_EXCEEDED' })
  const hasty = await connect(undefined, undefined, 1)
  await t.rejects(hasty.call(ControlService.getService, { reference: 'web' }), {
    code: 'DEADLINE_EXCEEDED',
  })
  hasty.close()
  const waiting = client.call(ControlService.getService, { reference: 'web' })
  setImmediate(() => controller.abort())
  await t.rejects(waiting, { code: 'CANCELLED' })
  await t.rejects(client.call(ControlService.getCluster, {}), { code: 'CANCELLED' })
  client.close()
})

t.test('a connection that breaks is an error', async (t) => {
  const client = await connect()
  daemon.control['getCluster'] = async (_: unknown, __: unknown, signal: AbortSignal) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
  }
  const call = client.call(ControlService.getCluster, {}, { retry: false })
  setImmediate(() => client.close())
  await t.rejects(call, { code: 'UNAVAILABLE', message: 'the connection to the daemon broke off' })
  await t.rejects(client.call(DaemonService.info, {}), { code: 'CANCELLED' }, 'closed is closed')
})

t.test('a daemon that is started again is found again', async (t) => {
  const first = await startTestDaemon()
  const client = await connectClient({
    socketPath: first.socketPath,
    clock: systemClock,
    random: seededRandom(3),
    signal: childController().controller.signal,
  })
  await client.call(DaemonService.info, {})
  first.close()
  const call = client.call(DaemonService.info, {})
  const second = await startTestDaemon(first.socketPath)
  t.equal((await call).version, '9.9.9')
  client.close()
  second.close()
})

t.test('what is no daemon is told so', async (t) => {
  const signal = new AbortController().signal
  const options = { clock: systemClock, random: seededRandom(1), signal, retryMs: 100 }
  const missing = `${daemon.socketPath}.none`
  await t.rejects(connectClient({ ...options, socketPath: missing }), {
    code: 'DAEMON_NOT_RUNNING',
  })
  const file = `${daemon.socketPath}.file`
  writeFileSync(file, '')
  await t.rejects(connectClient({ ...options, socketPath: file }), { code: 'DAEMON_NOT_RUNNING' })
  const path = `${daemon.socketPath}.other`
  const other = createServer((socket) => socket.end('HTTP/1.0 400 Bad Request\r\n\r\n')).listen(
    path,
  )
  const client = await connectClient({ ...options, socketPath: path })
  await t.rejects(client.call(DaemonService.info, {}, { timeoutMs: 2_000 }), {
    code: 'UNAVAILABLE',
  })
  client.close()
  other.close()
})

t.test('frames and texts of the wire', async (t) => {
  t.strictSame([...frame(Buffer.from([7, 8]))], [0, 0, 0, 0, 2, 7, 8])
  t.equal(percentDecode('n%C3%A4h %25'), 'näh %')
  t.equal(percentDecode('100%'), '100%')
  t.ok(LogLineMessage)
})
