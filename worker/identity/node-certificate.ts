// What a node certificate says about its node.
import { X509Certificate } from 'node:crypto'
import { SwarmError } from '../../proto/errors.ts'
import { certificateBackdateMs, type NodeRole } from '../../proto/objects/index.ts'

export interface NodeCertificate {
  readonly nodeId: string
  readonly clusterId: string
  readonly role: NodeRole
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Reads a node certificate. Errors: DATA_LOSS when it is none. */
export function readNodeCertificate(certPem: string): NodeCertificate {
  try {
    const cert = new X509Certificate(certPem)
    const field = (name: string): string =>
      new RegExp(`^${name}=(.+)$`, 'm').exec(cert.subject)?.[1] ?? ''
    const [nodeId, unit, clusterId] = [field('CN'), field('OU'), field('O')]
    if (nodeId !== '' && clusterId !== '') {
      return {
        nodeId,
        clusterId,
        role: unit === 'swarm-manager' ? 'manager' : 'worker',
        notBeforeMs: Date.parse(cert.validFrom),
        notAfterMs: Date.parse(cert.validTo),
      }
    }
  } catch (err) {
    throw damaged(err)
  }
  throw damaged()
}

/** When to renew: a random point between 50 and 80 % of the certificate's life. Source: Docker Swarm. */
export function renewAtMs(cert: NodeCertificate, random: () => number): number {
  const madeMs = cert.notBeforeMs + certificateBackdateMs
  return madeMs + (cert.notAfterMs - madeMs) * (0.5 + 0.3 * random())
}

function damaged(cause?: unknown): SwarmError {
  return new SwarmError(
    'DATA_LOSS',
    'the node certificate cannot be read: leave the swarm with `tsswarm swarm leave --force` and join again',
    { cause },
  )
}
