// SwarmError over gRPC: the code and details ride in trailers, so that the other side decides by code, never by text.
import { Metadata, type ServiceError } from '@grpc/grpc-js'
import { errorKind, SwarmError } from '../errors.ts'
import { errorCodeKey, errorDetailsKey, errorFromStatus } from './grpc-status.ts'

/** Trailers and status texts longer than this are cut: HTTP/2 bounds headers. */
const textMax = 4_096

/** A gRPC status of any error. What is not a SwarmError is told as INTERNAL, with its message. */
export function errorToGrpc(err: unknown): ServiceError {
  const known = err instanceof SwarmError ? err : unexpected(err)
  const metadata = new Metadata()
  metadata.set(errorCodeKey, known.code)
  const details = Buffer.from(JSON.stringify(known.details))
  if (details.length > 2 && details.length <= textMax) metadata.set(errorDetailsKey, details)
  const text = known.message.slice(0, textMax)
  return Object.assign(new Error(text), {
    code: errorKind(known.code).grpc,
    details: text,
    metadata,
  })
}

/** The error behind a failed call. */
export function errorFromGrpc(err: unknown): SwarmError {
  if (err instanceof SwarmError) return err
  if (!isServiceError(err)) return unexpected(err)
  const code = err.metadata?.get(errorCodeKey)[0]
  const details = err.metadata?.get(errorDetailsKey)[0]
  return errorFromStatus(
    {
      code: err.code,
      message: err.details || err.message,
      errorCode: typeof code === 'string' ? code : undefined,
      details: Buffer.isBuffer(details) ? details : undefined,
    },
    err,
  )
}

/** Whether the other side worded it itself; else it is the transport that tells of a broken connection. */
export function isToldByPeer({ cause }: SwarmError): boolean {
  return !isServiceError(cause) || cause.metadata?.get(errorCodeKey)[0] !== undefined
}

function unexpected(err: unknown): SwarmError {
  const message = err instanceof Error ? err.message : String(err)
  return new SwarmError('INTERNAL', `unexpected error: ${message}`, { cause: err })
}

function isServiceError(err: unknown): err is ServiceError {
  return err instanceof Error && 'code' in err && typeof err.code === 'number' && 'details' in err
}
