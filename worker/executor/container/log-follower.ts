// What a container writes from now on, byte for byte, by its log: whoever reads it slowly holds up nothing but himself.
import { SwarmError } from '../../../proto/errors.ts'
import type { OutputChunk } from '../../streams/container-streams.ts'
import { type LogPart, LogSplitter } from './log-format.ts'
import { LogCursor, type LogSource, watchFolder } from './log-reader.ts'

export interface FollowedLog extends LogSource {
  /** Older files stay for a while. Else it cannot be told whether something went with one before it was read. */
  readonly keepsOlder: boolean
}

const newline = Buffer.from('\n')

/**
 * Until nothing will be written any more, or the signal aborts; begins where the log ends at the call.
 * Errors: RESOURCE_EXHAUSTED when the log was rotated away before it was read.
 */
export async function followOutput(
  source: FollowedLog,
  signal: AbortSignal,
): Promise<AsyncGenerator<OutputChunk, void, undefined>> {
  const cursor = await LogCursor.atEnd(source.path)
  // Also when nobody began to read.
  signal.addEventListener('abort', () => void cursor.close().catch(() => {}), { once: true })
  return follow(cursor, source, signal)
}

async function* follow(
  cursor: LogCursor,
  source: FollowedLog,
  signal: AbortSignal,
): AsyncGenerator<OutputChunk, void, undefined> {
  const splitter = new LogSplitter()
  const wake = watchFolder(source, signal)
  try {
    while (!signal.aborted) {
      // Asked before reading, so that what was written before the end is read.
      const hasEnded = source.hasEnded()
      for await (const bytes of cursor.rest()) {
        yield* chunksOf(splitter.push(bytes))
        if (signal.aborted) return
        if (source.keepsOlder && !hasEnded && (await cursor.isLost())) throw tooSlow()
      }
      if (hasEnded) return
      await wake.next()
    }
  } finally {
    wake.stop()
    await cursor.close()
  }
}

/** Neighbours of one stream together. */
export function* chunksOf(parts: readonly LogPart[]): Generator<OutputChunk, void, undefined> {
  let stream: LogPart['stream'] = 'stdout'
  let pieces: Buffer[] = []
  for (const part of parts) {
    if (part.stream !== stream && pieces.length > 0) {
      yield { stream, data: Buffer.concat(pieces) }
      pieces = []
    }
    stream = part.stream
    pieces.push(part.data, ...(part.isLast ? [newline] : []))
  }
  if (pieces.length > 0) yield { stream, data: Buffer.concat(pieces) }
}

function tooSlow(): SwarmError {
  const text =
    'the container writes faster than its output is taken, and the log does not have the rest any more: attach again'
  return new SwarmError('RESOURCE_EXHAUSTED', text)
}
