// What serves one stream into a container has in its hands.
import type { StreamFrame } from '../../proto/gen/tsswarm/v1/streams.ts'
import type { Clock } from '../../proto/lib/clock.ts'

export interface StreamIo {
  /** Those after the first. */
  readonly frames: AsyncIterable<StreamFrame>
  /** Resolves when there is room for more. Errors: the other end is gone. */
  readonly send: (kind: NonNullable<StreamFrame['kind']>) => Promise<void>
  /** Aborted when the other end is gone. */
  readonly signal: AbortSignal
  readonly clock: Clock
}
