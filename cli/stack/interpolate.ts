// Variables in the values of a compose file: $V ${V} ${V:-d} ${V-d} ${V:?e} ${V?e} $$. Keys stay as they are. What stands
// for a number or a switch becomes one where the format wants one.
import { SwarmError } from '../../proto/errors.ts'
import type { At, Node, Notice } from './node.ts'

export type Variables = ReadonlyMap<string, string>

const name = '[_a-z][_a-z0-9]*(?::?[-?][^}]*)?'
const pattern = new RegExp(`\\$(?:(\\$)|(${name})|\\{(${name})\\}|)`, 'gi')

/** Errors: Error whose text says what is wrong with the variable. Unset ones are told to `unset`. */
export function substitute(
  text: string,
  variables: Variables,
  unset: (name: string) => void = () => {},
): string {
  return text.replace(pattern, (_, escaped?: string, named?: string, braced?: string) => {
    if (escaped !== undefined) return escaped
    const form = named ?? braced
    if (form === undefined) {
      throw new Error(`"${text}" has a "$" that begins no variable: write $$ for a dollar sign`)
    }
    return variableOf(form, variables, unset)
  })
}

function variableOf(form: string, variables: Variables, unset: (name: string) => void): string {
  const match = /^([_a-z0-9]+)(:?[-?])?([\s\S]*)$/i.exec(form)
  const variable = match?.[1] ?? form
  const rest = match?.[3] ?? ''
  const value = variables.get(variable)
  switch (match?.[2]) {
    case ':-':
      return value === undefined || value === '' ? rest : value
    case '-':
      return value ?? rest
    case ':?':
    case '?': {
      if (value !== undefined && (match[2] === '?' || value !== '')) return value
      const why = rest === '' ? '' : `: ${rest}`
      throw new Error(`required variable ${variable} is missing a value${why}`)
    }
    default:
      if (value === undefined) unset(variable)
      return value ?? ''
  }
}

type Cast = 'integer' | 'float' | 'bool'

const service = ['services', '*']
/** Where a text that had a variable in it becomes a number or a switch. */
const casts: readonly (readonly [readonly string[], Cast])[] = [
  [[...service, 'configs', '[]', 'mode'], 'integer'],
  [[...service, 'secrets', '[]', 'mode'], 'integer'],
  [[...service, 'healthcheck', 'retries'], 'integer'],
  [[...service, 'healthcheck', 'disable'], 'bool'],
  [[...service, 'deploy', 'replicas'], 'integer'],
  [[...service, 'deploy', 'update_config', 'parallelism'], 'integer'],
  [[...service, 'deploy', 'update_config', 'max_failure_ratio'], 'float'],
  [[...service, 'deploy', 'rollback_config', 'parallelism'], 'integer'],
  [[...service, 'deploy', 'rollback_config', 'max_failure_ratio'], 'float'],
  [[...service, 'deploy', 'restart_policy', 'max_attempts'], 'integer'],
  [[...service, 'deploy', 'placement', 'max_replicas_per_node'], 'integer'],
  [[...service, 'ports', '[]', 'target'], 'integer'],
  [[...service, 'ports', '[]', 'published'], 'integer'],
  [[...service, 'ulimits', '*'], 'integer'],
  [[...service, 'ulimits', '*', 'hard'], 'integer'],
  [[...service, 'ulimits', '*', 'soft'], 'integer'],
  [[...service, 'privileged'], 'bool'],
  [[...service, 'read_only'], 'bool'],
  [[...service, 'stdin_open'], 'bool'],
  [[...service, 'tty'], 'bool'],
  [[...service, 'volumes', '[]', 'read_only'], 'bool'],
  [[...service, 'volumes', '[]', 'volume', 'nocopy'], 'bool'],
  [['networks', '*', 'external'], 'bool'],
  [['networks', '*', 'internal'], 'bool'],
  [['networks', '*', 'attachable'], 'bool'],
  [['volumes', '*', 'external'], 'bool'],
  [['secrets', '*', 'external'], 'bool'],
  [['configs', '*', 'external'], 'bool'],
]

/** What interpolation found, beside the tree. */
export interface Interpolated {
  readonly node: Node
  readonly faults: readonly Notice[]
  readonly unset: ReadonlyMap<string, At>
}

/** The tree with all variables in its values replaced. */
export function interpolate(root: Node, variables: Variables): Interpolated {
  const faults: Notice[] = []
  const unset = new Map<string, At>()
  const walk = (node: Node, path: readonly string[]): Node => {
    switch (node.kind) {
      case 'map': {
        const entries = [...node.entries].map(
          ([key, { at, value }]) => [key, { at, value: walk(value, [...path, key]) }] as const,
        )
        return { ...node, entries: new Map(entries) }
      }
      case 'list':
        return { ...node, items: node.items.map((item) => walk(item, [...path, '[]'])) }
      case 'text':
        try {
          const value = substitute(node.value, variables, (word) => {
            if (!unset.has(word)) unset.set(word, node.at)
          })
          return value === node.value ? node : cast(value, node.at, path)
        } catch (err) {
          faults.push({ at: node.at, path: path.join('.'), text: messageOf(err) })
          return node
        }
      default:
        return node
    }
  }
  return { node: walk(root, []), faults, unset }
}

function messageOf(err: unknown): string {
  if (err instanceof SwarmError || !(err instanceof Error)) throw err
  return err.message
}

function cast(value: string, at: At, path: readonly string[]): Node {
  const to = casts.find(
    ([parts]) =>
      parts.length === path.length && parts.every((part, i) => part === '*' || part === path[i]),
  )?.[1]
  switch (to) {
    case undefined:
      return { kind: 'text', value, at }
    case 'bool': {
      if (/^(y|yes|true|on)$/i.test(value)) return { kind: 'bool', value: true, at }
      if (/^(n|no|false|off)$/i.test(value)) return { kind: 'bool', value: false, at }
      throw new Error(`"${value}" must be true or false`)
    }
    case 'integer':
      if (!/^[-+]?\d+$/.test(value)) throw new Error(`"${value}" must be a whole number`)
      return { kind: 'number', value: Number(value), text: String(Number(value)), at }
    case 'float': {
      const number = Number(value)
      if (value.trim() === '' || Number.isNaN(number))
        throw new Error(`"${value}" must be a number`)
      return { kind: 'number', value: number, text: String(number), at }
    }
  }
}
