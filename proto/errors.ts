// SwarmError and its table: one code, one gRPC status, one HTTP status, one exit code.

interface ErrorKind {
  /** Number of the gRPC status. */
  readonly grpc: number
  readonly http: number
  /** Exit code of the command line. */
  readonly exit: number
}

const kinds = {
  INVALID_ARGUMENT: { grpc: 3, http: 400, exit: 1 },
  NOT_FOUND: { grpc: 5, http: 404, exit: 1 },
  AMBIGUOUS: { grpc: 3, http: 400, exit: 1 },
  ALREADY_EXISTS: { grpc: 6, http: 409, exit: 1 },
  NAME_CONFLICT: { grpc: 6, http: 409, exit: 1 },
  OUT_OF_SEQUENCE: { grpc: 10, http: 500, exit: 1 },
  IN_USE: { grpc: 9, http: 400, exit: 1 },
  FAILED_PRECONDITION: { grpc: 9, http: 400, exit: 1 },
  QUORUM_LOSS: { grpc: 9, http: 400, exit: 1 },
  ALREADY_IN_SWARM: { grpc: 9, http: 503, exit: 1 },
  NOT_IN_SWARM: { grpc: 9, http: 503, exit: 1 },
  NOT_A_MANAGER: { grpc: 9, http: 503, exit: 1 },
  LOCKED: { grpc: 9, http: 503, exit: 1 },
  ADDRESS_IN_USE: { grpc: 9, http: 400, exit: 1 },
  RESOURCE_EXHAUSTED: { grpc: 8, http: 503, exit: 1 },
  PERMISSION_DENIED: { grpc: 7, http: 403, exit: 1 },
  UNAUTHENTICATED: { grpc: 16, http: 401, exit: 1 },
  NO_LEADER: { grpc: 14, http: 503, exit: 1 },
  NOT_LEADER: { grpc: 14, http: 503, exit: 1 },
  UNAVAILABLE: { grpc: 14, http: 503, exit: 1 },
  OUTCOME_UNKNOWN: { grpc: 2, http: 503, exit: 1 },
  DEADLINE_EXCEEDED: { grpc: 4, http: 503, exit: 1 },
  CANCELLED: { grpc: 1, http: 499, exit: 1 },
  HOST_UNFIT: { grpc: 9, http: 503, exit: 1 },
  DAEMON_NOT_RUNNING: { grpc: 14, http: 503, exit: 1 },
  DATA_LOSS: { grpc: 15, http: 500, exit: 1 },
  IMAGE_NOT_FOUND: { grpc: 5, http: 404, exit: 1 },
  UNSUPPORTED: { grpc: 12, http: 501, exit: 1 },
  USAGE: { grpc: 3, http: 400, exit: 125 },
  INTERNAL: { grpc: 13, http: 500, exit: 1 },
} as const satisfies Readonly<Record<string, ErrorKind>>

export type ErrorCode = keyof typeof kinds

/** What is known of an error beside its text; travels over gRPC as JSON. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>

/**
 * An error that a user or a caller can act on. The message says what happened, to which object, and what to do.
 * Decide by `code`, never by text.
 */
export class SwarmError extends Error {
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly details?: ErrorDetails; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'SwarmError'
    this.code = code
    this.details = options.details ?? {}
  }
}

/** gRPC status, HTTP status and exit code of a code. */
export function errorKind(code: ErrorCode): ErrorKind {
  return kinds[code]
}

/** Whether the text names a known code. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(kinds, text)
}

/** Whether err is a SwarmError of one of the codes. */
export function hasCode(err: unknown, ...codes: readonly ErrorCode[]): err is SwarmError {
  return err instanceof SwarmError && codes.includes(err.code)
}
