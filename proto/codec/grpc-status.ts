// The error behind a gRPC status, from its numbers and texts alone, so that the command line need not load grpc-js.
import { type ErrorCode, type ErrorDetails, isErrorCode, SwarmError } from '../errors.ts'

/** Trailer with the code of a SwarmError. */
export const errorCodeKey = 'tsswarm-error-code'
/** Trailer with its details as JSON. */
export const errorDetailsKey = 'tsswarm-error-details-bin'

export interface GrpcStatus {
  /** Number of the gRPC status. */
  readonly code: number
  readonly message: string
  /** The trailer `errorCodeKey`; servers of ours always send it. */
  readonly errorCode: string | undefined
  /** The trailer `errorDetailsKey`, decoded from base64. */
  readonly details: Uint8Array | undefined
}

/** The SwarmError a status stands for. */
export function errorFromStatus(status: GrpcStatus, cause?: unknown): SwarmError {
  const { errorCode, message } = status
  if (errorCode !== undefined && isErrorCode(errorCode)) {
    return new SwarmError(errorCode, message, { details: readDetails(status.details), cause })
  }
  return new SwarmError(codeOfStatus.get(status.code) ?? 'INTERNAL', message, { cause })
}

function readDetails(bytes: Uint8Array | undefined): ErrorDetails {
  if (bytes === undefined) return {}
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as ErrorDetails
  } catch {
    return {}
  }
}

/** What the transport itself reports. Source: gRPC's status codes. */
const codeOfStatus: ReadonlyMap<number, ErrorCode> = new Map([
  [1, 'CANCELLED'],
  [4, 'DEADLINE_EXCEEDED'],
  [7, 'PERMISSION_DENIED'],
  [8, 'RESOURCE_EXHAUSTED'],
  [12, 'UNSUPPORTED'],
  [14, 'UNAVAILABLE'],
  [16, 'UNAUTHENTICATED'],
])
