// A list as a stream of messages: rows of one moment, in slices that let others run, each message well below what gRPC takes.
import { SwarmError } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { ReadTx, RowSource, Store } from '../store/store.ts'

const messageRowsMax = 1_000
const messageBytesMax = 1024 * 1024
/** A reader that takes longer than this would make the store keep rows for it. */
const listMs = 120_000
/** Looked at in one go, and at most this long: a service is counted task by task. */
const sliceRowsMax = 2_000
const sliceMs = 5

/** One message of a list as it fills. */
export interface Page<R, Message> {
  /** Takes the row if it passes. About how many bytes it adds; 0 when it does not pass. */
  add(tx: ReadTx, row: R): number
  message(): Message
}

export interface ListDeps {
  readonly store: Store
  readonly clock: Clock
}

/**
 * Yields one message at least, so that an empty list is an answer too. Closes the rows at its end, however it ends.
 * `open` makes an empty page. Errors: DEADLINE_EXCEEDED when the reader is slow.
 */
export async function* listMessages<R, Message>(
  { store, clock }: ListDeps,
  rows: RowSource<R>,
  open: () => Page<R, Message>,
  signal: AbortSignal,
): AsyncGenerator<Message, void, undefined> {
  let isLate = false
  const deadline = clock.setTimer(listMs, () => {
    isLate = true
    rows.close()
  })
  try {
    let page = open()
    let filling = { rows: 0, bytes: 0 }
    for (let isAtEnd = false; !isAtEnd; ) {
      if (isLate) throw tooSlow()
      const untilMs = clock.monotonicMs() + sliceMs
      const isOver = (): boolean => clock.monotonicMs() >= untilMs
      const end = store.view((tx) => fill({ tx, rows, page, filling, isOver }))
      isAtEnd = end === 'rows'
      if (end === 'page') {
        yield page.message()
        page = open()
        filling = { rows: 0, bytes: 0 }
      }
      await wait(clock, 0, signal)
      if (signal.aborted) return
    }
    yield page.message()
  } finally {
    deadline.cancel()
    rows.close()
  }
}

/** Which came to its end: the rows, the page, or the slice. */
function fill<R, Message>({
  tx,
  rows,
  page,
  filling,
  isOver,
}: {
  readonly tx: ReadTx
  readonly rows: RowSource<R>
  readonly page: Page<R, Message>
  readonly filling: { rows: number; bytes: number }
  readonly isOver: () => boolean
}): 'rows' | 'page' | 'slice' {
  for (let looked = 0; looked < sliceRowsMax && !(looked > 0 && isOver()); looked++) {
    const row = rows.next()
    if (row === undefined) return 'rows'
    const bytes = page.add(tx, row)
    if (bytes === 0) continue
    filling.rows += 1
    filling.bytes += bytes
    if (filling.rows >= messageRowsMax || filling.bytes >= messageBytesMax) return 'page'
  }
  return 'slice'
}

/** Rows that are in hand already. */
export function rowsOf<R>(all: readonly R[]): RowSource<R> {
  let at = 0
  return {
    next: () => all[at++],
    close: () => {
      at = all.length
    },
  }
}

function tooSlow(): SwarmError {
  return new SwarmError(
    'DEADLINE_EXCEEDED',
    `the list was not read within ${listMs / 1000} s: narrow it down with --filter, or read it faster`,
  )
}
