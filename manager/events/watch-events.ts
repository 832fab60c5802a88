// WatchEvents: what happened, and what happens from now on, in the order of the commits. The reader takes from the log at its own pace;
// one that falls too far behind is told so instead of being left with a hole.
import { SwarmError } from '../../proto/errors.ts'
import type { WatchEventsRequest, WatchEventsResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import { Bell } from '../../proto/lib/bell.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { StreamHandler } from '../controlapi/control-api.ts'
import { eventFilter } from './event-filters.ts'
import type { EventLog } from './event-log.ts'

export interface WatchEventsDeps {
  readonly events: EventLog
  /** Resolves when everything committed before the call is applied here. Errors: NO_LEADER. */
  readonly readBarrier: (signal: AbortSignal) => Promise<void>
  readonly clock: Clock
}

const sliceMax = 256

/** Ends at `until`, else when the caller leaves. Errors: INVALID_ARGUMENT, NO_LEADER, RESOURCE_EXHAUSTED (read too slowly). */
export function createWatchEvents(
  deps: WatchEventsDeps,
): StreamHandler<WatchEventsRequest, WatchEventsResponse> {
  return (_, request, signal) => watchEvents(deps, request, signal)
}

async function* watchEvents(
  { events, readBarrier, clock }: WatchEventsDeps,
  { sinceMs, untilMs, filters }: WatchEventsRequest,
  signal: AbortSignal,
): AsyncGenerator<WatchEventsResponse, void, undefined> {
  const passes = eventFilter(filters)
  const bell = new Bell()
  const stop = events.onMore(() => bell.ring())
  try {
    // From when it was asked; what was there before is only worth something when it is all there.
    let position = events.end
    if (sinceMs !== undefined || untilMs !== undefined) await readBarrier(signal)
    if (sinceMs !== undefined) position = events.positionAt(sinceMs)
    while (!signal.aborted) {
      const slice = events.read(position, sliceMax)
      if (slice.isLate) throw tooSlow()
      position = slice.next
      const inTime = slice.events.filter(({ atMs }) => untilMs === undefined || atMs <= untilMs)
      const passed = inTime.filter(passes)
      if (passed.length > 0) yield { events: passed }
      if (slice.events.length > 0) continue
      const leftMs = untilMs === undefined ? undefined : untilMs - clock.wallMs()
      if (leftMs !== undefined && leftMs <= 0) return
      await bell.wait(clock, leftMs, signal)
    }
  } finally {
    stop()
  }
}

function tooSlow(): SwarmError {
  return new SwarmError(
    'RESOURCE_EXHAUSTED',
    'events were not read as fast as they came, and some are lost: narrow them down with --filter, or read them faster',
  )
}
