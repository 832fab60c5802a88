import { createSocket } from 'node:dgram'
import { type AddressInfo, connect, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { createLoopbackListener } from '../../../../worker/network/loopback-listener.ts'
import { freePort } from '../../../support/free-ports.ts'
import { untilSeen } from '../../../support/until.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

/** A server on 127.0.0.1 that answers what it hears once the client is done. */
async function tcpEcho(t: Test, port = 0): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

function askTcp(host: string, port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect({ host, port }, () => socket.end(text))
    socket.setEncoding('utf8')
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', (err) => resolve(err.message))
    socket.on('close', () => resolve(answer))
  })
}

t.test('a connection to ::1 is led to 127.0.0.1 until the port is closed', async (t) => {
  const port = await tcpEcho(t)
  const listener = createLoopbackListener(new VirtualClock(), silentLogger)
  t.teardown(() => listener.close())
  listener.set([{ protocol: 'tcp', port, to: '127.0.0.1' }])
  listener.set([{ protocol: 'tcp', port, to: '127.0.0.1' }])
  const long = 'x'.repeat(1_000_000)
  t.equal(await askTcp('::1', port, long), long)
  listener.set([])
  t.match(await askTcp('::1', port, 'x'), /ECONNREFUSED/)
})

t.test('a port of another program on ::1 is left to it, one nobody serves is closed', async (t) => {
  const taken = createServer((socket) => socket.end('other'))
  await new Promise<void>((resolve) => taken.listen(0, '::1', resolve))
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const listener = createLoopbackListener(new VirtualClock(), silentLogger)
  t.teardown(() => listener.close())
  listener.set([{ protocol: 'tcp', port, to: '127.0.0.1' }])
  t.equal(await askTcp('::1', port, ''), 'other')
})

t.test('a port is served once the program that had it on ::1 has let go of it', async (t) => {
  const port = await freePort()
  await tcpEcho(t, port)
  const taken = createServer((socket) => socket.end('other'))
  await new Promise<void>((resolve) => taken.listen(port, '::1', resolve))
  const listener = createLoopbackListener(new VirtualClock(), silentLogger)
  t.teardown(() => listener.close())
  const ports = [{ protocol: 'tcp' as const, port, to: '127.0.0.1' }]
  listener.set(ports)
  t.equal(await askTcp('::1', port, ''), 'other')
  listener.set(ports)
  await new Promise((resolve) => taken.close(resolve))
  const isServed = async (): Promise<boolean> => {
    listener.set(ports)
    return (await askTcp('::1', port, 'x')) === 'x'
  }
  await untilSeen('it is served', isServed)
})

t.test('datagrams find their way back to their sender, and senders are forgotten', async (t) => {
  const clock = new VirtualClock()
  const echo = createSocket('udp4')
  const from: number[] = []
  echo.on('message', (message, remote) => {
    from.push(remote.port)
    echo.send(message, remote.port, remote.address)
  })
  await new Promise<void>((resolve) => echo.bind(0, '127.0.0.1', resolve))
  t.teardown(() => echo.close())
  const { port } = echo.address()
  const listener = createLoopbackListener(clock, silentLogger)
  t.teardown(() => listener.close())
  listener.set([{ protocol: 'udp', port, to: '127.0.0.1' }])
  const client = createSocket('udp6')
  t.teardown(() => client.close())
  const ask = (text: string): Promise<string> =>
    new Promise((resolve) => {
      client.once('message', (message) => resolve(message.toString()))
      client.send(text, port, '::1')
    })
  t.equal(await ask('one'), 'one')
  t.equal(await ask('two'), 'two')
  t.equal(from[0], from[1], 'one sender is one flow')
  await clock.advance(30_000)
  t.equal(await ask('three'), 'three')
  listener.set([])
})
