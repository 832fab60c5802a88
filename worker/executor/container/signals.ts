// Signals by the names and numbers users write. Pure.
import { constants } from 'node:os'
import { SwarmError } from '../../../proto/errors.ts'

const realtimeMin = 34
const realtimeMax = 64

/** `SIGTERM`, `term`, `15`, `SIGRTMIN+3` -> number. Errors: INVALID_ARGUMENT. */
export function parseSignal(text: string): number {
  const number = /^[0-9]+$/.test(text) ? Number(text) : byName(text.toUpperCase())
  if (number === undefined || number < 1 || number > realtimeMax) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `invalid signal ${JSON.stringify(text)}: write a name like SIGTERM or a number from 1 to 64`,
    )
  }
  return number
}

function byName(upper: string): number | undefined {
  const name = upper.startsWith('SIG') ? upper.slice(3) : upper
  const realtime = /^RT(MIN|MAX)(?:([+-])([0-9]+))?$/.exec(name)
  if (realtime !== null) {
    const base = realtime[1] === 'MIN' ? realtimeMin : realtimeMax
    const offset = Number(realtime[3] ?? 0)
    return realtime[2] === '-' ? base - offset : base + offset
  }
  return Object.entries(constants.signals).find(([key]) => key === `SIG${name}`)?.[1]
}
