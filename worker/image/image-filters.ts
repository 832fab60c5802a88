// What `image ls --filter` leaves of a list. Pure. Source: Docker's image list (daemon/images/images.go), whose filters these are.
import { SwarmError } from '../../proto/errors.ts'

export interface ImageFilter {
  readonly key: string
  readonly values: readonly string[]
}

/** What filters ask of an image. */
export interface FilteredImage {
  /** Familiar, as the list shows them. */
  readonly names: readonly string[]
  readonly digests: readonly string[]
  readonly createdAtMs: number
  readonly labels: Readonly<Record<string, string>>
}

/** When the image was created that a filter names. */
export type CreatedAt = (reference: string) => number

/** Images that filters name. */
export function namedByFilters(filters: readonly ImageFilter[]): readonly string[] {
  const isName = ({ key }: ImageFilter): boolean => key === 'before' || key === 'since'
  return filters.filter(isName).flatMap(({ values }) => values)
}

type Test = (image: FilteredImage) => boolean

/** Those for which all filters hold, in their order; of their names what the patterns say. Errors: INVALID_ARGUMENT. */
export function filteredImages<T extends FilteredImage>(
  images: readonly T[],
  filters: readonly ImageFilter[],
  createdAt: CreatedAt,
): readonly T[] {
  const tests = filters
    .filter(({ key }) => key !== 'reference')
    .flatMap((one) => testsOf(one, createdAt))
  const patterns = filters.filter(({ key }) => key === 'reference').flatMap(({ values }) => values)
  const matchers = patterns.map(matcher)
  const named = patterns.length === 0 ? images : images.flatMap((one) => withNames(one, matchers))
  return named.filter((image) => tests.every((test) => test(image)))
}

function testsOf({ key, values }: ImageFilter, createdAt: CreatedAt): readonly Test[] {
  switch (key) {
    case 'dangling':
      return values.map((value) => {
        const wanted = flag(value)
        return ({ names }) => (names.length === 0) === wanted
      })
    case 'label':
      return values.map(
        (value) =>
          ({ labels }) =>
            hasLabel(labels, value),
      )
    case 'before': {
      const atMs = Math.min(...values.map(createdAt))
      return [({ createdAtMs }) => createdAtMs < atMs]
    }
    case 'since': {
      const atMs = Math.max(...values.map(createdAt))
      return [({ createdAtMs }) => createdAtMs > atMs]
    }
    case 'until': {
      const atMs = Math.min(...values.map(timeOf))
      return [({ createdAtMs }) => createdAtMs < atMs]
    }
    default:
      throw invalid(
        `invalid filter '${key}': the filters are dangling, label, reference, before, since and until`,
      )
  }
}

function flag(value: string): boolean {
  if (['true', '1'].includes(value.toLowerCase())) return true
  if (['false', '0'].includes(value.toLowerCase())) return false
  throw invalid(`invalid filter 'dangling=${value}': it is true or false`)
}

function timeOf(value: string): number {
  if (/^\d{1,15}$/.test(value)) return Number(value)
  throw invalid(`invalid filter 'until=${value}': it is a time in ms since 1970`)
}

/** `label`: KEY or KEY=VALUE. */
export function hasLabel(labels: Readonly<Record<string, string>>, label: string): boolean {
  const at = label.indexOf('=')
  if (at === -1) return Object.hasOwn(labels, label)
  return labels[label.slice(0, at)] === label.slice(at + 1)
}

function withNames<T extends FilteredImage>(
  image: T,
  matchers: readonly ((name: string) => boolean)[],
): readonly T[] {
  const isMeant = (name: string): boolean => matchers.some((matches) => matches(name))
  const names = image.names.filter(isMeant)
  if (names.length > 0) return [{ ...image, names }]
  return image.digests.some(isMeant) ? [{ ...image, names }] : []
}

/** Of a name with its tag or digest, or without. Source: reference.FamiliarMatch of distribution. */
function matcher(pattern: string): (name: string) => boolean {
  const expression = globExpression(pattern)
  return (name) => {
    const slash = name.lastIndexOf('/')
    const plain = name.slice(0, slash + 1) + name.slice(slash + 1).replace(/[:@].*$/, '')
    return expression.test(name) || expression.test(plain)
  }
}

/** As Go's path.Match: `*` and `?` stop at slashes, `[a-z]` and `[^a-z]` are classes. Errors: INVALID_ARGUMENT. */
function globExpression(pattern: string): RegExp {
  const parts = pattern.match(/\\.|\[\^?(?:\\.|[^\]\\])+\]|[^\\[]/gs) ?? []
  if (parts.join('') !== pattern) throw invalid(`invalid filter 'reference=${pattern}': no pattern`)
  const text = parts.map((part) => {
    if (part === '*') return '[^/]*'
    if (part === '?') return '[^/]'
    if (part.startsWith('[')) return part.replaceAll(/(?<=.)\[/g, '\\[')
    return part.startsWith('\\') ? escaped(part.slice(1)) : escaped(part)
  })
  try {
    return new RegExp(`^${text.join('')}$`, 's')
  } catch (cause) {
    const words = `invalid filter 'reference=${pattern}': no pattern`
    throw new SwarmError('INVALID_ARGUMENT', words, { cause })
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
}

function invalid(text: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', text)
}
