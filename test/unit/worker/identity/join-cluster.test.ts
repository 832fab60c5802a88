// Joining where no manager is. (Joining a real one: test/unit/manager/rpc and test/e2e.)
import { createServer, type Server } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import t from 'tap'
import { createRootCa, issueCertificate } from '../../../../manager/ca/root-ca.ts'
import { newJoinToken } from '../../../../proto/codec/join-token.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { joinCluster } from '../../../../worker/identity/join-cluster.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'
import { freePort } from '../../../support/free-ports.ts'

const token = `SWMTKN-1-${'0'.repeat(50)}-${'0'.repeat(25)}`

function join(address: string, joinToken = token): Promise<unknown> {
  return joinCluster({
    addresses: [address],
    token: joinToken,
    availability: 0,
    requestId: 'request',
    signal: new AbortController().signal,
  })
}

async function listen(server: Server): Promise<number> {
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return port
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

t.test('a port of a manager that asks for a certificate is named as the wrong port', async (t) => {
  const nowMs = Date.now()
  const root = await createRootCa(nowMs)
  const key = await createNodeKey()
  const subject = { nodeId: 'm1', role: 'manager', clusterId: 'cluster' } as const
  const issue = { csrPem: key.csrPem, subject, nowMs, lifeMs: 3_600_000 }
  const server = createTlsServer({
    cert: `${await issueCertificate(root, issue)}${root.certPem}`,
    key: key.keyPem,
    ca: root.certPem,
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
  })
  server.on('tlsClientError', () => {})
  const port = await listen(server)
  t.teardown(() => server.close())
  await t.rejects(join(`127.0.0.1:${port}`, newJoinToken(root.certPem, seededRandom(1))), {
    code: 'UNAVAILABLE',
    message:
      /^no manager could be reached at .*: 127\.0\.0\.1:\d+ answers, but not as the control API of a manager: give that port, which is 2377 unless set otherwise$/,
  })
})
