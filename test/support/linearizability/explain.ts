// The text of a violation: what no order explains, what the state could have been, and what went on about it.
import type { Specification } from './model.ts'
import type { Operation } from './operation.ts'

export interface Violation<Call, Result, State> {
  /** Kind of object. */
  readonly name: string
  readonly key: string
  readonly spec: Specification<Call, Result, State>
  readonly history: readonly Operation<Call, Result>[]
  /** With its return, no order is left. */
  readonly failed: Operation<Call, Result>
  /** The states that were possible before. */
  readonly states: readonly State[]
}

const statesShownMax = 6
/** Operations shown from before the failed one. */
const earlierMax = 10
const linesMax = 60

export function explainViolation<Call, Result, State>(
  violation: Violation<Call, Result, State>,
): string {
  const { name, key, spec, failed } = violation
  const states = [...new Set(violation.states.map((state) => spec.describeState(state)))]
  const possible = states.slice(0, statesShownMax).join(', or ')
  const more = states.length > statesShownMax ? `, or ${states.length - statesShownMax} more` : ''
  const shown = windowOf(violation)
  const omitted =
    shown.length > linesMax ? [`  (${shown.length - linesMax} earlier ones omitted)`] : []
  return [
    `not linearizable: ${name} ${key}: no order of the operations explains`,
    `  ${line(spec, failed)}`,
    `before it took effect the ${name} can only have been: ${possible}${more}`,
    ...(spec.note === undefined ? [] : [spec.note]),
    ...unwritten(violation),
    'operations that overlap with it, that came shortly before, or that wrote what is in question:',
    ...omitted,
    ...shown
      .slice(-linesMax)
      .map((operation) => `${operation === failed ? '>' : ' '} ${line(spec, operation)}`),
  ].join('\n')
}

/** A value from nowhere tells more than any window. */
function unwritten<Call, Result, State>({
  spec,
  history,
  failed,
  states,
}: Violation<Call, Result, State>): readonly string[] {
  const written = new Set(history.map((operation) => spec.writes(operation)))
  const missing = [...spec.suspects(failed, states)].filter((value) => !written.has(value))
  return missing.length === 0 ? [] : [`no operation of the history wrote: ${missing.join(' ')}`]
}

function windowOf<Call, Result, State>({
  spec,
  history,
  failed,
  states,
}: Violation<Call, Result, State>): readonly Operation<Call, Result>[] {
  const end = returnOf(failed)
  const suspects = spec.suspects(failed, states.slice(0, statesShownMax))
  const before = history
    .filter((operation) => returnOf(operation) < failed.invoked)
    .sort((a, b) => returnOf(b) - returnOf(a))
    .slice(0, earlierMax)
  const recent = new Set(before)
  const explained = new Set(spec.operations)
  return history
    .filter((operation) => {
      if (recent.has(operation) || operation === failed) return true
      const value = spec.writes(operation)
      if (value !== undefined && suspects.has(value)) return true
      const overlaps = operation.invoked < end && returnOf(operation) > failed.invoked
      return overlaps && explained.has(operation)
    })
    .sort((a, b) => a.invoked - b.invoked)
}

function returnOf<Call, Result>({ outcome }: Operation<Call, Result>): number {
  return outcome.kind === 'known' ? outcome.returned : Number.POSITIVE_INFINITY
}

function line<Call, Result, State>(
  spec: Specification<Call, Result, State>,
  operation: Operation<Call, Result>,
): string {
  const { id, client, member, invoked, invokedMs, returnedMs, outcome } = operation
  const ms = (value: number | undefined, otherwise: number): string =>
    value === undefined ? `event ${otherwise}` : `${value.toFixed(3)} ms`
  const end = outcome.kind === 'known' ? ms(returnedMs, outcome.returned) : 'unknown outcome'
  const who = client === undefined ? '' : ` client ${client}`
  const where = member === undefined ? '' : ` at ${member}`
  return `#${id} [${ms(invokedMs, invoked)} .. ${end}]${who}${where}: ${spec.describe(operation)}`
}
