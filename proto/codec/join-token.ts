// Join tokens: SWMTKN-1-<digest of the root certificate>-<secret>. The digest pins the cluster before anything is sent.
// Source: Docker Swarm's token format.
import { SwarmError } from '../errors.ts'
import { sha256Base36 } from '../lib/digest.ts'
import { base36 } from '../lib/ids.ts'
import type { Random } from '../lib/random.ts'

export interface JoinToken {
  /** 50 base36 digits of the root certificate's SHA-256. */
  readonly rootDigest: string
  /** 25 base36 digits of 128 random bits. */
  readonly secret: string
}

/** The digest that tokens carry: of the certificate's DER bytes, so that PEM line breaks do not matter. */
export function rootCertDigest(certPem: string): string {
  return sha256Base36(pemBytes(certPem))
}

/** A new token that pins the root certificate. */
export function newJoinToken(rootCertPem: string, random: Random): string {
  return `SWMTKN-1-${rootCertDigest(rootCertPem)}-${base36(random.bytes(16), 25)}`
}

/** Splits a token. Errors: INVALID_ARGUMENT when it has not the form of one. */
export function parseJoinToken(text: string): JoinToken {
  const match = /^SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})$/.exec(text.trim())
  const [, rootDigest, secret] = match ?? []
  if (rootDigest === undefined || secret === undefined) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      'invalid join token: it must look like SWMTKN-1-<50 characters>-<25 characters>; ' +
        'print it on a manager with `tsswarm swarm join-token worker` or `… manager`',
    )
  }
  return { rootDigest, secret }
}

function pemBytes(pem: string): Uint8Array {
  const body = /-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/.exec(pem)?.[1]
  if (body === undefined) {
    throw new SwarmError('INVALID_ARGUMENT', 'the root certificate is not in PEM form')
  }
  return new Uint8Array(Buffer.from(body.replaceAll(/\s/g, ''), 'base64'))
}
