// Certificates for etcd's peers: a root, and one certificate for 127.0.0.1 that all members share, of the same kind of
// key (P-256) as ours have.
import 'reflect-metadata' // what @peculiar/x509 needs before it is loaded
import { webcrypto } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const lifeMs = 24 * 3_600_000
const serverAuth = '1.3.6.1.5.5.7.3.1'
const clientAuth = '1.3.6.1.5.5.7.3.2'

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Makes them in the directory. */
export async function makeCertificates(directory: string): Promise<CertificateFiles> {
  const rootKeys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const validity = {
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + lifeMs),
  }
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=bench-ca',
    ...validity,
    signingAlgorithm: algorithm,
    keys: rootKeys as never,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  })
  const cert = await x509.X509CertificateGenerator.create({
    subject: 'CN=bench-peer',
    issuer: root.subject,
    ...validity,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey as never,
    signingKey: rootKeys.privateKey as never,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
      new x509.ExtendedKeyUsageExtension([serverAuth, clientAuth]),
    ],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const save = (name: string, text: string): string => {
    const path = join(directory, name)
    writeFileSync(path, `${text}\n`, { mode: 0o600 })
    return path
  }
  return {
    ca: save('ca.pem', root.toString('pem')),
    cert: save('peer.pem', cert.toString('pem')),
    key: save('peer.key', x509.PemConverter.encode(key, 'PRIVATE KEY')),
  }
}
