// The cluster CA against Node's own certificate reader.
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { createRootCa, issueCertificate } from '../../../../manager/ca/root-ca.ts'
import { newJoinToken, parseJoinToken, rootCertDigest } from '../../../../proto/codec/join-token.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'

const nowMs = Date.UTC(2030, 0, 1)
const dayMs = 24 * 3_600_000

t.test(
  'a node certificate names node, role and cluster, and only the root vouches for it',
  async (t) => {
    const root = await createRootCa(nowMs)
    const other = await createRootCa(nowMs)
    const { csrPem, keyPem } = await createNodeKey()
    const subject = { nodeId: 'n1', role: 'manager', clusterId: 'c1' } as const
    const pem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs: 90 * dayMs })
    const cert = new X509Certificate(pem)
    t.equal(cert.subject, 'CN=n1\nOU=swarm-manager\nO=c1')
    t.match(cert.subjectAltName, /DNS:n1, DNS:swarm-manager/)
    t.ok(cert.verify(new X509Certificate(root.certPem).publicKey))
    t.notOk(cert.verify(new X509Certificate(other.certPem).publicKey))
    t.equal(Date.parse(cert.validFrom), nowMs - 3_600_000, 'backdated by an hour')
    t.equal(Date.parse(cert.validTo), nowMs + 90 * dayMs)
    t.notOk(cert.ca)
    t.match(keyPem, /BEGIN PRIVATE KEY/)
  },
)

t.test('the root is a CA for 20 years', async (t) => {
  const cert = new X509Certificate((await createRootCa(nowMs)).certPem)
  t.ok(cert.ca)
  t.equal(cert.subject, 'CN=swarm-ca')
  t.ok(Date.parse(cert.validTo) > nowMs + 19.9 * 365 * dayMs)
})

t.test('a request that is not one is refused', async (t) => {
  const root = await createRootCa(nowMs)
  const subject = { nodeId: 'n1', role: 'worker', clusterId: 'c1' } as const
  const attempt = issueCertificate(root, { subject, csrPem: 'nonsense', nowMs, lifeMs: dayMs })
  await t.rejects(attempt, { code: 'INVALID_ARGUMENT' })
})

t.test('a join token pins the root certificate', async (t) => {
  const root = await createRootCa(nowMs)
  const token = newJoinToken(root.certPem, seededRandom(7))
  t.match(token, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/)
  t.equal(parseJoinToken(` ${token}\n`).rootDigest, rootCertDigest(root.certPem))
  t.equal(rootCertDigest(root.certPem.replaceAll('\n', '\r\n')), rootCertDigest(root.certPem))
  t.throws(() => parseJoinToken(token.slice(0, -1)), { code: 'INVALID_ARGUMENT' })
  t.throws(() => rootCertDigest('no pem'), { code: 'INVALID_ARGUMENT' })
})
