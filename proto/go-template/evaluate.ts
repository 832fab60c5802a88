// Runs a parsed Go template over a value. Pure; what a template of a user may cost is bounded.
import { SwarmError } from '../errors.ts'
import { unreachable } from '../lib/assert.ts'
import {
  argumentCounts,
  isMap,
  isTrue,
  type TemplateFunction,
  templateFunctions,
  type Value,
} from './functions.ts'
import { goText } from './go-format.ts'
import type { Command, Operand, Pipeline, Template, TemplateNode } from './syntax.ts'

export interface EvaluateOptions {
  /** What a field that the value lacks is: an error that lists the known ones, or `<no value>`. */
  readonly missing: 'error' | 'no value'
  /** What it may call besides `and` and `or`; default: Go's own functions and docker's. */
  readonly functions?: FunctionTable
}

export interface FunctionTable {
  readonly functions: Readonly<Record<string, TemplateFunction>>
  /** How many arguments a function takes: [least, most]. */
  readonly counts: Readonly<Record<string, readonly [number, number]>>
}

/** Of one template: pieces that are run, and characters that are made. Beyond what anybody means. */
const stepsMax = 100_000
const charactersMax = 4 * 1024 * 1024
const docker: FunctionTable = { functions: templateFunctions, counts: argumentCounts }

/** The text a template makes of a value. Errors: INVALID_ARGUMENT that names the field or function. */
export function evaluateTemplate(
  template: Template,
  value: Value,
  options: EvaluateOptions = { missing: 'error' },
): string {
  const run = new Evaluation(value, options)
  run.nodes(template, value)
  return run.text()
}

interface Variable {
  readonly name: string
  value: Value
}

type Flow = 'on' | 'break' | 'continue'

class Evaluation {
  readonly #options: EvaluateOptions
  readonly #parts: string[] = []
  readonly #variables: Variable[]
  #steps = 0
  #characters = 0

  constructor(root: Value, options: EvaluateOptions) {
    this.#options = options
    this.#variables = [{ name: '', value: root }]
  }

  text(): string {
    return this.#parts.join('')
  }

  nodes(nodes: readonly TemplateNode[], dot: Value): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot)
      if (flow !== 'on') return flow
    }
    return 'on'
  }

  #node(node: TemplateNode, dot: Value): Flow {
    this.#steps += 1
    if (this.#steps > stepsMax) throw tooMuch(`runs more than ${stepsMax} steps`)
    switch (node.kind) {
      case 'text':
        this.#print(node.text)
        return 'on'
      case 'action': {
        const value = this.#pipeline(node.pipeline, dot)
        if (node.pipeline.names.length === 0) this.#print(goText(value))
        return 'on'
      }
      case 'break':
      case 'continue':
        return node.kind
      case 'if':
      case 'with':
        return this.#scoped(() => {
          const value = this.#pipeline(node.pipeline, dot)
          const chosen = isTrue(value) ? node.body : node.otherwise
          return this.nodes(chosen, node.kind === 'with' && isTrue(value) ? value : dot)
        })
      case 'range':
        return this.#scoped(() => this.#range(node, dot))
      default:
        return unreachable(node, 'template node')
    }
  }

  #print(text: string): void {
    this.#characters += text.length
    if (this.#characters > charactersMax)
      throw tooMuch(`makes more than ${charactersMax} characters`)
    this.#parts.push(text)
  }

  /** Variables made inside end with it. */
  #scoped(run: () => Flow): Flow {
    const depth = this.#variables.length
    const flow = run()
    this.#variables.length = depth
    return flow
  }

  #range(node: Extract<TemplateNode, { kind: 'if' | 'with' | 'range' }>, dot: Value): Flow {
    const names = node.pipeline.names
    const items = rangeItems(this.#pipeline({ ...node.pipeline, names: [] }, dot))
    if (items.length === 0) return this.nodes(node.otherwise, dot)
    for (const [key, value] of items) {
      const depth = this.#variables.length
      const values = names.length === 2 ? [key, value] : [value]
      names.forEach((name, i) => {
        this.#variables.push({ name, value: values[i] })
      })
      const flow = this.nodes(node.body, value)
      this.#variables.length = depth
      if (flow === 'break') break
    }
    return 'on'
  }

  #pipeline(pipeline: Pipeline, dot: Value): Value {
    let piped: readonly Value[] = []
    for (const command of pipeline.commands) piped = [this.#command(command, dot, piped)]
    const value = piped[0]
    for (const name of pipeline.names) {
      if (pipeline.declares) this.#variables.push({ name, value })
      else this.#variable(name).value = value
    }
    return value
  }

  #command(command: Command, dot: Value, piped: readonly Value[]): Value {
    const [first, ...rest] = command.operands
    if (first?.kind === 'function') return this.#call(first.name, rest, dot, piped)
    if (first === undefined || rest.length > 0 || piped.length > 0) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `template: ${first === undefined ? 'nothing' : describe(first)} is not a function and takes no arguments`,
      )
    }
    return this.#operand(first, dot)
  }

  #call(name: string, operands: readonly Operand[], dot: Value, piped: readonly Value[]): Value {
    if (name === 'and' || name === 'or') {
      let value: Value
      const lazy = [
        ...operands.map((o) => () => this.#operand(o, dot)),
        ...piped.map((v) => () => v),
      ]
      for (const get of lazy) {
        value = get()
        if (isTrue(value) === (name === 'or')) return value
      }
      return value
    }
    const { functions, counts } = this.#options.functions ?? docker
    const fn = Object.hasOwn(functions, name) ? functions[name] : undefined
    if (fn === undefined) throw unknownFunction(name, functions)
    const args = [...operands.map((operand) => this.#operand(operand, dot)), ...piped]
    const [least, most] = counts[name] ?? [0, 99]
    if (args.length < least || args.length > most) {
      const wanted = least === most ? String(least) : `${least} or more`
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `template: ${name} takes ${wanted} argument${wanted === '1' ? '' : 's'}, not ${args.length}`,
      )
    }
    const value = fn(...args)
    if (typeof value !== 'string' || value.length <= charactersMax) return value
    throw tooMuch(`makes more than ${charactersMax} characters`)
  }

  #operand(operand: Operand, dot: Value): Value {
    switch (operand.kind) {
      case 'literal':
        return operand.value
      case 'dot':
        return this.#path(dot, operand.path)
      case 'variable':
        return this.#path(this.#variable(operand.name).value, operand.path)
      case 'pipeline':
        return this.#path(this.#pipeline(operand.pipeline, dot), operand.path)
      case 'function':
        return this.#call(operand.name, [], dot, [])
      default:
        return unreachable(operand, 'template operand')
    }
  }

  #variable(name: string): Variable {
    const found = this.#variables.findLast((variable) => variable.name === name)
    if (found === undefined) {
      throw new SwarmError('INVALID_ARGUMENT', `template: undefined variable "$${name}"`)
    }
    return found
  }

  #path(base: Value, path: readonly string[]): Value {
    return path.reduce((value: Value, field) => {
      if (isMap(value) && Object.hasOwn(value, field)) return value[field]
      if (this.#options.missing === 'no value' && (value === undefined || isMap(value))) {
        return undefined
      }
      throw missingField(value, field)
    }, base)
  }
}

function missingField(value: Value, field: string): SwarmError {
  const known = isMap(value) ? Object.keys(value).sort().join(', ') : ''
  const why = isMap(value) ? `known fields are ${known}` : `${goText(value)} has no fields`
  return new SwarmError('INVALID_ARGUMENT', `template: no field "${field}" here: ${why}`)
}

function tooMuch(what: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `template: it ${what}: make it smaller`)
}

function unknownFunction(name: string, functions: FunctionTable['functions']): SwarmError {
  const known = [...Object.keys(functions), 'and', 'or'].sort().join(', ')
  return new SwarmError(
    'INVALID_ARGUMENT',
    `template: unknown function "${name}": known are ${known}; a field begins with a dot, as in {{.Name}}`,
  )
}

function describe(operand: Operand): string {
  switch (operand.kind) {
    case 'literal':
      return goText(operand.value)
    case 'dot':
      return `.${operand.path.join('.')}`
    case 'variable':
      return `$${[operand.name, ...operand.path].join('.')}`
    case 'function':
      return operand.name
    case 'pipeline':
      return 'an expression in parentheses'
    default:
      return unreachable(operand, 'template operand')
  }
}

function rangeItems(value: Value): readonly (readonly [Value, Value])[] {
  if (value === undefined) return []
  if (Array.isArray(value)) return value.map((item: Value, i) => [i, item] as const)
  if (isMap(value)) return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  if (typeof value === 'number' && value > stepsMax)
    throw tooMuch(`runs more than ${stepsMax} steps`)
  if (typeof value === 'number') return Array.from({ length: value }, (_, i) => [i, i] as const)
  throw new SwarmError('INVALID_ARGUMENT', `template: range cannot go over ${goText(value)}`)
}
