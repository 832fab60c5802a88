// SwarmError over gRPC: the code and details ride in trailers, so that the other side decides by code, never by text.
import { Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { type ErrorCode, type ErrorDetails, errorKind, isErrorCode, SwarmError } from '../errors.ts'

const codeKey = 'tsswarm-error-code'
const detailsKey = 'tsswarm-error-details-bin'
/** Trailers and status texts longer than this are cut: HTTP/2 bounds headers. */
const textMax = 4_096

/** A gRPC status of any error. What is not a SwarmError is told as INTERNAL, with its message. */
export function errorToGrpc(err: unknown): ServiceError {
  const known = err instanceof SwarmError ? err : unexpected(err)
  const metadata = new Metadata()
  metadata.set(codeKey, known.code)
  const details = Buffer.from(JSON.stringify(known.details))
  if (details.length > 2 && details.length <= textMax) metadata.set(detailsKey, details)
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
  const code = err.metadata?.get(codeKey)[0]
  if (typeof code === 'string' && isErrorCode(code)) {
    return new SwarmError(code, err.details, { details: readDetails(err.metadata), cause: err })
  }
  return new SwarmError(codeOfStatus(err.code), err.details || err.message, { cause: err })
}

function unexpected(err: unknown): SwarmError {
  const message = err instanceof Error ? err.message : String(err)
  return new SwarmError('INTERNAL', `unexpected error: ${message}`, { cause: err })
}

function isServiceError(err: unknown): err is ServiceError {
  return err instanceof Error && 'code' in err && typeof err.code === 'number' && 'details' in err
}

function readDetails(metadata: Metadata): ErrorDetails {
  const value = metadata.get(detailsKey)[0]
  if (!Buffer.isBuffer(value)) return {}
  try {
    return JSON.parse(value.toString('utf8')) as ErrorDetails
  } catch {
    return {}
  }
}

/** What the transport itself reports; a server of ours always names its code. */
function codeOfStatus(code: number): ErrorCode {
  switch (code) {
    case status.UNAVAILABLE:
      return 'UNAVAILABLE'
    case status.DEADLINE_EXCEEDED:
      return 'DEADLINE_EXCEEDED'
    case status.CANCELLED:
      return 'CANCELLED'
    case status.UNIMPLEMENTED:
      return 'UNSUPPORTED'
    case status.RESOURCE_EXHAUSTED:
      return 'RESOURCE_EXHAUSTED'
    case status.UNAUTHENTICATED:
      return 'UNAUTHENTICATED'
    case status.PERMISSION_DENIED:
      return 'PERMISSION_DENIED'
    default:
      return 'INTERNAL'
  }
}
