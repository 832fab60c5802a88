// What a run tells people: figures, verdict, and where its history is when it failed.
import { createWriteStream } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { faultKinds } from './faults.ts'
import type { RunResult } from './run.ts'

export function reportOf(result: RunResult): string {
  const { counts, seconds, recoveriesMs, verdict } = result
  const all = counts.ok + counts.failed + counts.unknown
  const sorted = recoveriesMs.toSorted((a, b) => a - b)
  const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? 0
  const struck = faultKinds.map((kind) => {
    const { begun, proven } = result.faults.get(kind) ?? { begun: 0, proven: 0 }
    return `${kind} ${proven}/${begun}`
  })
  return [
    `seed          ${result.seed}`,
    `time          ${seconds.toFixed(1)} s`,
    `operations    ${all}, ${(counts.ok / seconds).toFixed(0)} acknowledged a second`,
    `outcomes      ${counts.ok} acknowledged, ${counts.failed} without effect, ${counts.unknown} unknown`,
    `faults        ${struck.join(', ')} (seen/begun)`,
    `leaders       ${result.leaders} members led, in ${result.terms} terms`,
    `recovery      ${sorted.length} times: median ${at(0.5)} ms, longest ${at(1)} ms`,
    `snapshots     ${result.restores} restored by the processes at the end`,
    `checked       ${result.checks} histories of ${result.keys} keys`,
    `verdict       ${verdict.kind === 'linearizable' ? 'linearizable' : `${verdict.kind}: ${verdict.text}`}`,
  ].join('\n')
}

/** Writes schedule, history and verdict, one JSON value a line; resolves with the file. */
export async function writeHistory(result: RunResult): Promise<string> {
  const file = join(tmpdir(), `tsswarm-linearizability-${result.seed}-${process.pid}.jsonl`)
  function* lines(): Generator<string, void, undefined> {
    const { seed, seconds, verdict, events, recorder } = result
    yield `${JSON.stringify({ seed, seconds, verdict })}\n`
    for (const event of events) yield `${JSON.stringify({ event })}\n`
    for (const { object, operations } of recorder.keys.values()) {
      for (const operation of operations) yield `${JSON.stringify({ object, ...operation })}\n`
    }
  }
  await pipeline(Readable.from(lines()), createWriteStream(file))
  return file
}
