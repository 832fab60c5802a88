// Values as Go prints them: plain (%v) and by printf verbs.
import { SwarmError } from '../errors.ts'
import type { Value } from './functions.ts'

/** As Go's %v: lists `[a b]`, maps `map[k:v]` sorted by key, nothing `<no value>`. */
export function goText(value: Value): string {
  if (value === undefined) return '<no value>'
  if (typeof value === 'string') return value
  if (typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `map[${entries.map(([key, inner]) => `${key}:${goText(inner)}`).join(' ')}]`
}

/** As Go's Sprintf, for the verbs v s d q t f x X and %, with width, precision, `-` and `0`. */
export function goFormat(format: string, args: readonly Value[]): string {
  let next = 0
  const text = format.replace(
    /%([-0+ #]*)(\d*)(?:\.(\d+))?([a-zA-Z%]|$)/g,
    (_, ...groups: readonly (string | undefined)[]) => {
      const [flags = '', width = '', precision, verb = ''] = groups
      if (verb === '%') return '%'
      if (next >= args.length) return `%!${verb}(MISSING)`
      const body = formatOne(verb, args[next], precision, flags)
      next += 1
      return padTo(body, Number(width || 0), flags)
    },
  )
  const extra = args.slice(next).map((value) => `${typeof value}=${goText(value)}`)
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(', ')})`
}

function padTo(body: string, width: number, flags: string): string {
  if (flags.includes('-')) return body.padEnd(width)
  if (flags.includes('0') && /^[-+]?[\d.]+$/.test(body)) {
    const sign = /^[-+]/.exec(body)?.[0] ?? ''
    return sign + body.slice(sign.length).padStart(width - sign.length, '0')
  }
  return body.padStart(width)
}

function formatOne(
  verb: string,
  value: Value,
  precision: string | undefined,
  flags: string,
): string {
  const cut = (text: string): string =>
    precision === undefined ? text : text.slice(0, Number(precision))
  switch (verb) {
    case 'v':
      return goText(value)
    case 's':
      return cut(goText(value))
    case 'q':
      return JSON.stringify(goText(value))
    case 't':
      return typeof value === 'boolean' ? String(value) : wrongType(verb, value)
    case 'd':
      if (typeof value !== 'number') return wrongType(verb, value)
      return (flags.includes('+') && value >= 0 ? '+' : '') + String(Math.trunc(value))
    case 'f':
      return typeof value === 'number'
        ? value.toFixed(Number(precision ?? 6))
        : wrongType(verb, value)
    case 'x':
    case 'X': {
      const hex =
        typeof value === 'number' ? value.toString(16) : Buffer.from(goText(value)).toString('hex')
      return verb === 'X' ? hex.toUpperCase() : hex
    }
    default:
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `template: printf knows no verb "%${verb}"; it knows %v %s %d %q %t %f %x and %%`,
      )
  }
}

function wrongType(verb: string, value: Value): string {
  return `%!${verb}(${typeof value}=${goText(value)})`
}
