// The templates users write in env, hostname and mounts of a service, and in secrets and configs: Go's, over what a task is.
// Source: swarm-semantics 7.5 (templating): fields .Service.{ID,Name,Labels}, .Node.{ID,Hostname,Platform.{OS,Architecture}},
// .Task.{ID,Name,Slot}; what is unknown is an error.
import { SwarmError } from '../errors.ts'
import { evaluateTemplate, type FunctionTable } from './evaluate.ts'
import {
  argumentCounts,
  type TemplateFunction,
  templateFunctions,
  type Value,
} from './functions.ts'
import { parseTemplate } from './parser.ts'

export interface TemplateContext {
  readonly service: {
    readonly id: string
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
  }
  readonly node: {
    readonly id: string
    readonly hostname: string
    readonly os: string
    readonly architecture: string
  }
  readonly task: { readonly id: string; readonly name: string; readonly slot: string }
}

/** The text with what it asks for filled in. Errors: INVALID_ARGUMENT naming `field` and what is wrong. */
export function expandTemplate(text: string, field: string, context: TemplateContext): string {
  if (!text.includes('{{')) return text
  try {
    const functions = { functions: common, counts: commonCounts }
    return evaluateTemplate(parseTemplate(text), facts(context), { missing: 'error', functions })
  } catch (err) {
    if (!(err instanceof SwarmError)) throw err
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `${field}: ${err.message} (in ${JSON.stringify(cut(text))})`,
      {
        details: { field },
        cause: err,
      },
    )
  }
}

const shownMax = 80

function cut(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax)}…` : text
}

/** What a template of a secret or config may ask for besides. */
export interface PayloadFunctions {
  /** Of the container's environment; empty for a variable that is not there. */
  readonly env: (name: string) => string
  /** By target. Errors: INVALID_ARGUMENT. */
  readonly secret: (target: string) => Uint8Array
  readonly config: (target: string) => Uint8Array
}

/**
 * The data with what it asks for filled in; bytes stay bytes, as in Go.
 * Errors: INVALID_ARGUMENT, whose text may hold some of the data and of what the functions answered.
 */
export function expandPayload(
  data: Uint8Array,
  context: TemplateContext,
  functions: PayloadFunctions,
): Uint8Array {
  const source = Buffer.from(data).toString('latin1')
  if (!source.includes('{{')) return data
  const { env, secret, config } = functions
  const own: Readonly<Record<string, TemplateFunction>> = {
    env: (name) => latin1(env(utf8('env', name))),
    secret: (target) => Buffer.from(secret(utf8('secret', target))).toString('latin1'),
    config: (target) => Buffer.from(config(utf8('config', target))).toString('latin1'),
  }
  const table: FunctionTable = {
    functions: { ...common, ...own },
    counts: { ...commonCounts, env: [1, 1], secret: [1, 1], config: [1, 1] },
  }
  const value = facts(context, latin1)
  const text = evaluateTemplate(parseTemplate(source), value, {
    missing: 'error',
    functions: table,
  })
  return Buffer.from(text, 'latin1')
}

/** One character a byte. */
function latin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function utf8(name: string, value: Value): string {
  if (typeof value === 'string') return Buffer.from(value, 'latin1').toString()
  throw new SwarmError('INVALID_ARGUMENT', `template: ${name} needs a text in quotes`)
}

function facts(
  { service, node, task }: TemplateContext,
  coded: (text: string) => string = (text) => text,
): Value {
  const labels = Object.entries(service.labels).map(([key, text]) => [coded(key), coded(text)])
  return {
    Service: {
      ID: service.id,
      Name: coded(service.name),
      Labels: Object.fromEntries(labels) as Readonly<Record<string, string>>,
    },
    Node: {
      ID: node.id,
      Hostname: coded(node.hostname),
      Platform: { OS: node.os, Architecture: node.architecture },
    },
    Task: { ID: task.id, Name: coded(task.name), Slot: task.slot },
  }
}

const { not, eq, ne, lt, le, gt, ge, index, slice, len, print, println } = templateFunctions

/** Go's own functions, and Swarm's join, whose separator comes first. */
const common = {
  ...{ not, eq, ne, lt, le, gt, ge, index, slice, len, print, println },
  printf: (format, ...args) => {
    if (/%[-+ #0]*(?:\d{5,}|\d*\.\d{5,})/.test(String(format))) {
      throw new SwarmError('INVALID_ARGUMENT', 'template: printf pads to at most 9999 characters')
    }
    return templateFunctions['printf']?.(format, ...args)
  },
  join: (separator, ...texts) => texts.map(String).join(String(separator)),
} as Readonly<Record<string, TemplateFunction>>

const commonCounts = { ...argumentCounts, join: [1, 99] as const }
