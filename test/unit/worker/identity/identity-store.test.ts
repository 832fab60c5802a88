// The identity on disk.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createRootCa, issueCertificate } from '../../../../manager/ca/root-ca.ts'
import { certificateBackdateMs } from '../../../../proto/objects/index.ts'
import { IdentityStore } from '../../../../worker/identity/identity-store.ts'
import { readNodeCertificate, renewAtMs } from '../../../../worker/identity/node-certificate.ts'
import { createNodeKey } from '../../../../worker/identity/node-key.ts'

async function anIdentity(nodeId: string) {
  const root = await createRootCa(Date.now())
  const { csrPem, keyPem } = await createNodeKey()
  const subject = { nodeId, role: 'worker', clusterId: 'c1' } as const
  const certPem = await issueCertificate(root, {
    subject,
    csrPem,
    nowMs: Date.now(),
    lifeMs: 7_200_000,
  })
  return { certPem: certPem + root.certPem, keyPem, caPem: root.certPem }
}

t.test('an identity survives a restart, and listeners hear of a new one', async (t) => {
  const directory = join(t.testdir(), 'certificates')
  t.equal(IdentityStore.open(directory), undefined)
  const store = IdentityStore.create(directory, await anIdentity('n1'))
  const heard: string[] = []
  store.onChange(() => heard.push(store.certificate().nodeId))
  store.replace(await anIdentity('n2'))
  t.same(heard, ['n2'])
  t.equal(IdentityStore.open(directory)?.certificate().nodeId, 'n2')
  for (const name of readdirSync(directory)) {
    t.equal(statSync(join(directory, name)).mode & 0o777, 0o600, name)
  }
  store.remove()
  t.equal(IdentityStore.open(directory), undefined)
})

t.test(
  'renewal falls between 50 and 80 % of the life, which begins when it was made',
  async (t) => {
    const cert = readNodeCertificate((await anIdentity('n1')).certPem)
    const madeMs = cert.notBeforeMs + certificateBackdateMs
    const lifeMs = cert.notAfterMs - madeMs
    t.equal(
      renewAtMs(cert, () => 0),
      madeMs + lifeMs * 0.5,
    )
    t.ok(renewAtMs(cert, () => 0.999) < madeMs + lifeMs * 0.8)
    t.throws(() => readNodeCertificate('nonsense'), { code: 'DATA_LOSS' })
  },
)
