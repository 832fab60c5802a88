// Who is at an address: a TLS handshake with this node's certificate, by which both sides prove themselves.
import { connect } from 'node:tls'
import { SwarmError } from '../../proto/errors.ts'
import type { TlsIdentity } from '../../proto/objects/index.ts'
import { managerName } from '../../proto/rpc/channel.ts'

const answerMs = 3_000

/** Id of the node that is a manager of this cluster and listens there. Errors: UNAVAILABLE, whatever TLS has against it. */
export function managerAt(
  { host, port }: { readonly host: string; readonly port: number },
  { caPem: ca, certPem: cert, keyPem: key }: TlsIdentity,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      ca,
      cert,
      key,
      servername: managerName,
      ALPNProtocols: ['h2'],
    })
    const fail = (err: Error): void => {
      socket.destroy()
      reject(new SwarmError('UNAVAILABLE', err.message, { cause: err }))
    }
    socket.setTimeout(answerMs, () => fail(new Error(`no answer within ${answerMs} ms`)))
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      const { CN } = socket.getPeerCertificate().subject
      socket.destroy()
      resolve(String(CN))
    })
  })
}
