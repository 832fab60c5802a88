// Colour, only where somebody looks at it: on a terminal, unless NO_COLOR is set (https://no-color.org) or it is a dumb one.
import type { CommandContext } from '../context.ts'

export type Colour = 'red' | 'yellow' | 'green' | 'bold' | 'dim'

const codes: Readonly<Record<Colour, number>> = { red: 31, yellow: 33, green: 32, bold: 1, dim: 2 }

/** Whether what is written to standard output may have colours. */
export function hasColour({ stdout, env }: Pick<CommandContext, 'stdout' | 'env'>): boolean {
  if (!stdout.isTerminal || env['TERM'] === 'dumb') return false
  return env['NO_COLOR'] === undefined || env['NO_COLOR'] === ''
}

/** Colours the words of the table; others, and all without a terminal, stay as they are. */
export function painter(
  ctx: Pick<CommandContext, 'stdout' | 'env'>,
  colours: Readonly<Record<string, Colour>>,
): (word: string) => string {
  if (!hasColour(ctx)) return (word) => word
  return (word) => {
    const colour = Object.hasOwn(colours, word) ? colours[word] : undefined
    return colour === undefined ? word : `\x1b[${codes[colour]}m${word}\x1b[0m`
  }
}
