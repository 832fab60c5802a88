// What the answers of a server, and none, say of a container.
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcp } from 'node:net'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { askNetwork, type NetworkQuestion } from '../../../../worker/health/ask-network.ts'
import { NetworkProber } from '../../../../worker/health/network-prober.ts'

const timeoutMs = 5_000

async function aServer(t: Test, listener: RequestListener): Promise<NetworkQuestion> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { kind: 'http', address: '127.0.0.1', port, path: '/live?x=1', timeoutMs }
}

t.test('a page is well from 200 to 399', async (t) => {
  let status = 200
  let asked = ''
  const question = await aServer(t, ({ method, url, headers }, response) => {
    asked = `${method} ${url} ${headers['user-agent']} ${headers.connection}`
    response.writeHead(status, { location: 'http://192.0.2.1/' }).end('it is ill')
  })
  for (const [code, isHealthy] of [
    [200, true],
    [302, true],
    [399, true],
    [400, false],
    [404, false],
    [500, false],
  ] as const) {
    status = code
    const answer = await askNetwork(question)
    t.equal(answer.isHealthy, isHealthy, `${code}`)
    const page = `http://127.0.0.1:${question.port}/live?x=1`
    t.equal(answer.output, isHealthy ? '' : `${page}: status ${code}: it is ill`)
  }
  t.equal(asked, 'GET /live?x=1 tsswarm-health close')
})

t.test('a page without end is cut', async (t) => {
  const question = await aServer(t, (_, response) => {
    response.writeHead(500)
    response.write('x'.repeat(100_000))
  })
  const { isHealthy, output } = await askNetwork(question)
  t.equal(isHealthy, false)
  t.ok(output.length < 4_200 && output.length > 4_096, `${output.length}`)
})

t.test('who does not answer, or not in time, is ill', async (t) => {
  const silent = await aServer(t, () => {})
  t.match(await askNetwork({ ...silent, timeoutMs: 50 }), {
    isHealthy: false,
    output: /timeout after 0.05 s$/,
  })
  const odd = await anOddServer()
  t.match(await askNetwork({ ...silent, port: odd.port }), {
    isHealthy: false,
    output: /Parse Error/,
  })
  await odd.closed()
})

t.test('a connection is enough where no page is asked for, and ends in order', async (t) => {
  const odd = await anOddServer()
  const tcp = { kind: 'tcp', address: '127.0.0.1', port: odd.port, path: '', timeoutMs } as const
  t.same(await askNetwork(tcp), { isHealthy: true, output: '' })
  await odd.closed()
  t.same(odd.ends, ['end'])
  const refused = `127.0.0.1:${odd.port}: connect ECONNREFUSED`
  t.match(await askNetwork(tcp), { isHealthy: false, output: refused })
})

/** Speaks first, and not HTTP. */
async function anOddServer() {
  const ends: string[] = []
  const server = createTcp((socket) => {
    socket.once('end', () => ends.push('end'))
    socket.on('error', () => ends.push('reset'))
    socket.end('SSH-2.0-x\r\n')
    socket.resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const closed = () => new Promise((resolve) => server.close(resolve))
  return { port, ends, closed }
}

t.test('containers cannot be asked without a data plane, the host can', async (t) => {
  const question = await aServer(t, (_, response) => void response.end())
  const prober = new NetworkProber({ dataPlaneFile: '/no/such', clock: systemClock })
  t.teardown(() => prober.close())
  await t.rejects(prober.ask(question, new AbortController().signal), { code: 'UNAVAILABLE' })
  t.match(await prober.askHost(question), { isHealthy: true })
})
