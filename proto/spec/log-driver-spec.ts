// What a user writes of how the output of a service's tasks is kept. The drivers that are there keep it on the node of each task.
// Source: Swarm's TaskTemplate.LogDriver (swarm-semantics 2); Docker's options max-size and max-file of its drivers json-file and local, labels and
// env of json-file.
import { z } from 'zod'
import { text } from './text.ts'

export const logDrivers = ['json-file', 'local', 'journald', 'none'] as const
const sizeOptions = ['max-size', 'max-file']
/** What of the container stands before its lines with `service logs --details`. */
const detailOptions = ['labels', 'env']

function optionsOf(driver: string): readonly string[] {
  return driver === 'json-file' ? [...sizeOptions, ...detailOptions] : sizeOptions
}

export const logDriverSpec = z
  .object({
    name: text,
    options: z.record(z.string(), text).readonly().default({}),
  })
  .readonly()
  .superRefine(refuseDriver)

export type LogDriverSpec = z.infer<typeof logDriverSpec>

function refuseDriver(
  { name, options }: { readonly name: string; readonly options: Readonly<Record<string, string>> },
  ctx: z.RefinementCtx,
): void {
  for (const message of problemsOf(name, options)) ctx.addIssue({ code: 'custom', message })
}

function problemsOf(name: string, options: Readonly<Record<string, string>>): readonly string[] {
  const kept = 'output is kept on the node of each task and read with "tsswarm service logs"'
  if (!logDrivers.some((one) => one === name)) {
    return [`"${name}" is not available: ${kept}; the drivers are ${logDrivers.join(', ')}`]
  }
  return Object.entries(options).flatMap(([option, value]) => {
    if (name === 'none') return [`none keeps nothing, and has no option "${option}": leave it out`]
    const known = optionsOf(name)
    if (!known.includes(option)) {
      return [
        `has the option "${option}", which is not available: those of ${name} are ${inWords(known)}`,
      ]
    }
    if (detailOptions.includes(option)) return []
    const isRead = option === 'max-size' ? bytesOf(value) > 0 : filesOf(value) > 0
    const form = option === 'max-size' ? 'a size such as 10m' : `a number from 1 to ${filesMax}`
    return isRead ? [] : [`has the option "${option}" with "${value}": it must be ${form}`]
  })
}

function inWords(names: readonly string[]): string {
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

const filesMax = 1_000
const bytesMax = 2 ** 50
const powers = 'kmgt'

/** Source: Docker's FromHumanSize: 1k is 1,000 bytes. 0: it is no size. */
function bytesOf(size: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgt])?i?b?$/.exec(size.toLowerCase())
  if (match === null) return 0
  const [, digits, unit = ''] = match
  const power = unit === '' ? 0 : powers.indexOf(unit) + 1
  return inBounds(Math.floor(Number(digits) * 1_000 ** power), bytesMax)
}

function filesOf(files: string): number {
  return /^\d{1,9}$/.test(files) ? inBounds(Number(files), filesMax) : 0
}

function inBounds(value: number, max: number): number {
  return value <= max ? value : 0
}

/** By their names, sorted. */
export type LogAttributes = Readonly<Record<string, string>>

export function tellsDetails({ options }: LogDriverSpec): boolean {
  return detailOptions.some((option) => options[option] !== undefined)
}

/** Those of the container's labels and variables that the options `labels` and `env` name and that it has. */
export function logAttributes(
  { options }: LogDriverSpec,
  labels: Readonly<Record<string, string>>,
  env: readonly string[],
): LogAttributes {
  const variables = env.map((line): [string, string] => {
    const equals = line.indexOf('=')
    return equals < 0 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)]
  })
  const found = [
    ...named(options['labels'], new Map(Object.entries(labels))),
    ...named(options['env'], new Map(variables)),
  ]
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function named(list = '', values: ReadonlyMap<string, string>): readonly [string, string][] {
  return list.split(',').flatMap((name): [string, string][] => {
    const value = values.get(name)
    return value === undefined ? [] : [[name, value]]
  })
}

/** What is kept of a container's output. */
export type LogKeeping =
  | { readonly kind: 'none' }
  /** Absent: as the node keeps it. */
  | {
      readonly kind: 'files'
      readonly bytesMax?: number
      readonly filesMax?: number
      /** Goes to the host's journal as well. Absent rather than false. */
      readonly journal?: true
      /** What is told of each line to who asks for details. */
      readonly attributes?: LogAttributes
    }

/**
 * What the files of journald hold besides the journal is bounded as with local, like Docker's dual logging. Docker's defaults: local keeps 5 files of 20 MB; json-file one, of the size that is given. Of
 * what was checked before.
 */
export function logKeeping({ name, options }: LogDriverSpec): LogKeeping {
  if (name === 'none') return { kind: 'none' }
  const isLocal = name !== 'json-file'
  const size = bytesOf(options['max-size'] ?? (isLocal ? '20m' : ''))
  const files = filesOf(options['max-file'] ?? (isLocal ? '5' : size > 0 ? '1' : ''))
  return {
    kind: 'files',
    ...(name === 'journald' && { journal: true }),
    ...(size > 0 && { bytesMax: size }),
    ...(files > 0 && { filesMax: files }),
  }
}
