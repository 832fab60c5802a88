// Joining where no manager is. (Joining a real one: test/unit/manager/rpc and test/e2e.)
import { createServer, type Server } from 'node:net'
import t from 'tap'
import { joinCluster } from '../../../../worker/identity/join-cluster.ts'

const token = `SWMTKN-1-${'0'.repeat(50)}-${'0'.repeat(25)}`

function join(address: string): Promise<unknown> {
  return joinCluster({
    addresses: [address],
    token,
    availability: 0,
    requestId: 'request',
    signal: new AbortController().signal,
  })
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0)
    })
  })
}

t.test('an address where nobody or somebody else listens is told with the reason', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.resume()
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  const port = await listen(server)
  await t.rejects(join(`127.0.0.1:${port}`), {
    code: 'UNAVAILABLE',
    message: /at 127\.0\.0\.1:\d+: .*is no manager, it does not speak TLS; check the address/,
  })
  await new Promise((resolve) => server.close(resolve))
  await t.rejects(join(`127.0.0.1:${port}`), {
    code: 'UNAVAILABLE',
    message: /ECONNREFUSED 127\.0\.0\.1:\d+; check the address, and that this TCP port is open/,
  })
})
