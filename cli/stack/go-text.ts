// How Go writes and reads numbers, durations and orders of keys, because Swarm's client does so and files are compared
// byte for byte.

/** A double as `%v`: the shortest text, with an exponent below 1e-4 and from 1e21 on. */
export function goFloat(value: number): string {
  if (value === 0) return '0'
  const exponent = Math.floor(Math.log10(Math.abs(value)))
  const isPlain = exponent >= -4 && exponent < 21
  const text = isPlain ? plainDecimal(value) : value.toExponential()
  return text.replace(/e([+-])(\d)$/, 'e$10$2')
}

/** JavaScript changes to an exponent below 1e-6 and from 1e21 on: within both bounds its text is Go's. */
function plainDecimal(value: number): string {
  return String(value)
}

/** The shortest text that is the same single-precision number. */
export function goFloat32(value: number): string {
  const single = Math.fround(value)
  for (let digits = 1; digits < 9; digits += 1) {
    const candidate = Number(single.toPrecision(digits))
    if (Math.fround(candidate) === single) return goFloat(candidate)
  }
  return goFloat(Number(single.toPrecision(9)))
}

const unitsNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3_600e9,
}

/** A Go duration in ns; undefined when it is none. */
export function parseDurationNs(text: string): number | undefined {
  const match = /^([-+]?)(0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text)
  if (match === null) return undefined
  let sum = 0
  for (const [, number, unit] of (match[2] ?? '').matchAll(/([\d.]+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    sum += Number(number) * (unitsNs[unit ?? ''] ?? Number.NaN)
  }
  return match[1] === '-' ? -sum : Math.trunc(sum)
}

/** ns as Go prints a duration: 1h0m0s, 1.5s, 100ms. */
export function goDuration(ns: number): string {
  if (ns === 0) return '0s'
  const sign = ns < 0 ? '-' : ''
  const all = Math.abs(ns)
  if (all < 1e3) return `${sign}${all}ns`
  if (all < 1e6) return `${sign}${decimals(all, 1e3)}µs`
  if (all < 1e9) return `${sign}${decimals(all, 1e6)}ms`
  const hours = Math.floor(all / 3_600e9)
  const minutes = Math.floor((all % 3_600e9) / 60e9)
  const seconds = `${decimals(all % 60e9, 1e9)}s`
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}`
  return minutes > 0 ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`
}

function decimals(ns: number, unit: number): string {
  const whole = Math.floor(ns / unit)
  const width = Math.round(Math.log10(unit))
  const rest = String(Math.round(ns % unit))
    .padStart(width, '0')
    .replace(/0+$/, '')
  return rest === '' ? String(whole) : `${whole}.${rest}`
}

const isDigit = (char: string | undefined): boolean => char !== undefined && /\p{Nd}/u.test(char)
const isLetter = (char: string): boolean => /\p{L}/u.test(char)

/** The order in which Go's YAML writes the keys of a map: digits by their number, letters behind other characters. */
export function compareKeys(a: string, b: string): number {
  const left = [...a]
  const right = [...b]
  let digits = false
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const l = left[i] ?? ''
    const r = right[i] ?? ''
    if (l !== r) return compareAt(left, right, i, digits)
    digits = isDigit(l)
  }
  return left.length - right.length
}

function compareAt(
  left: readonly string[],
  right: readonly string[],
  i: number,
  digits: boolean,
): number {
  const l = left[i] ?? ''
  const r = right[i] ?? ''
  const byCode = (l.codePointAt(0) ?? 0) - (r.codePointAt(0) ?? 0)
  const isLeft = isLetter(l)
  const isRight = isLetter(r)
  if (isLeft && isRight) return byCode
  if (isLeft || isRight) return isLeft === digits ? -1 : 1
  // Zeros within a number count, leading ones do not.
  let lead = 0
  if (l === '0' || r === '0') {
    for (let j = i - 1; j >= 0 && isDigit(left[j]); j -= 1) if (left[j] !== '0') lead = 1
  }
  const [leftNumber, leftEnd] = numberAt(left, i, lead)
  const [rightNumber, rightEnd] = numberAt(right, i, lead)
  if (leftNumber !== rightNumber) return leftNumber - rightNumber
  return leftEnd === rightEnd ? byCode : leftEnd - rightEnd
}

function numberAt(chars: readonly string[], from: number, lead: number): readonly [number, number] {
  let value = lead
  let end = from
  for (; isDigit(chars[end]); end += 1) value = value * 10 + Number(chars[end])
  return [value, end]
}

/** By code points, as Go compares strings. */
export function compareText(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
