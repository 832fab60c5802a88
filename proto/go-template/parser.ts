// Parses a Go template. Covers what docker's --format is used for: fields, variables, pipelines, if, with, range.
import { type Piece, splitTemplate, type Token, templateError } from './lexer.ts'
import type { Command, Operand, Pipeline, Template, TemplateNode } from './syntax.ts'

type Block = 'if' | 'with' | 'range'

/** The tree of a template. Errors: INVALID_ARGUMENT that says where and what. */
export function parseTemplate(source: string): Template {
  const parser = new TemplateParser(splitTemplate(source))
  return parser.template()
}

interface Body {
  readonly nodes: readonly TemplateNode[]
  /** What ended it. */
  readonly end: 'end' | 'else' | 'source'
  /** Tokens after `else`. */
  readonly rest: readonly Token[]
  readonly at: number
}

class TemplateParser {
  readonly #pieces: readonly Piece[]
  #next = 0
  #rangeDepth = 0

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces
  }

  template(): Template {
    const body = this.#body()
    if (body.end !== 'source') {
      throw templateError(body.at, `"${body.end}" without an "if", "with" or "range" before it`)
    }
    return body.nodes
  }

  #body(): Body {
    const nodes: TemplateNode[] = []
    while (true) {
      const piece = this.#pieces[this.#next]
      this.#next += 1
      if (piece === undefined) return { nodes, end: 'source', rest: [], at: 0 }
      if (piece.kind === 'text') {
        nodes.push(piece)
        continue
      }
      const word = piece.tokens[0]?.kind === 'word' ? piece.tokens[0].text : ''
      if (word === 'end' || word === 'else') {
        return { nodes, end: word, rest: piece.tokens.slice(1), at: piece.at }
      }
      nodes.push(this.#node(word, piece.tokens, piece.at))
    }
  }

  #node(word: string, tokens: readonly Token[], at: number): TemplateNode {
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        return this.#block(word, tokens.slice(1), at)
      case 'break':
      case 'continue':
        if (this.#rangeDepth === 0) throw templateError(at, `"${word}" outside of a "range"`)
        return { kind: word }
      case 'define':
      case 'template':
      case 'block':
        throw templateError(at, `"${word}" is not supported in a format`)
      default:
        return { kind: 'action', pipeline: parsePipeline(tokens, at) }
    }
  }

  #block(kind: Block, tokens: readonly Token[], at: number): TemplateNode {
    const pipeline = parsePipeline(tokens, at)
    if (kind === 'range') this.#rangeDepth += 1
    const body = this.#body()
    if (kind === 'range') this.#rangeDepth -= 1
    if (body.end === 'source') throw templateError(at, `this "${kind}" has no "end"`)
    const otherwise = body.end === 'else' ? this.#otherwise(body, kind, at) : []
    return { kind, pipeline, body: body.nodes, otherwise }
  }

  #otherwise(body: Body, kind: Block, at: number): readonly TemplateNode[] {
    const [word, ...rest] = body.rest
    if (word !== undefined) {
      if (word.text !== kind || kind === 'range') {
        throw templateError(body.at, `unexpected "${word.text}" after "else"`)
      }
      return [this.#block(kind, rest, body.at)]
    }
    const last = this.#body()
    if (last.end === 'source') throw templateError(at, `this "${kind}" has no "end"`)
    if (last.end === 'else') throw templateError(last.at, 'a second "else"')
    return last.nodes
  }
}

/** The tokens of one action as a pipeline. */
function parsePipeline(tokens: readonly Token[], at: number): Pipeline {
  const { names, declares, length } = readNames(tokens)
  const reader = new PipelineReader(tokens.slice(length), at)
  return { names, declares, commands: reader.commands(false) }
}

/** `$x :=`, `$i, $x :=` or `$x =` at the start. */
function readNames(tokens: readonly Token[]): {
  readonly names: readonly string[]
  readonly declares: boolean
  readonly length: number
} {
  const sign = tokens.findIndex((t) => t.kind === 'mark' && (t.text === ':=' || t.text === '='))
  const left = tokens.slice(0, Math.max(sign, 0))
  const wellFormed = left.every((t, i) => (i % 2 === 0 ? t.kind === 'variable' : t.text === ','))
  if (sign === -1 || !wellFormed || left.length % 2 === 0 || left.length > 3) {
    return { names: [], declares: false, length: 0 }
  }
  const names = left.filter((t) => t.kind === 'variable').map((t) => t.text.slice(1))
  return { names, declares: tokens[sign]?.text === ':=', length: sign + 1 }
}

class PipelineReader {
  readonly #tokens: readonly Token[]
  readonly #at: number
  #next = 0

  constructor(tokens: readonly Token[], at: number) {
    this.#tokens = tokens
    this.#at = at
  }

  /** Commands up to the end, or up to the `)` that closes `nested`. */
  commands(nested: boolean): readonly Command[] {
    const commands: Command[] = []
    let operands: Operand[] = []
    const close = (): void => {
      if (operands.length === 0) throw templateError(this.#at, 'a value is missing')
      commands.push({ operands })
      operands = []
    }
    while (true) {
      const token = this.#tokens[this.#next]
      this.#next += 1
      if (token === undefined && nested) throw templateError(this.#at, 'a ")" is missing')
      if (token === undefined || (token.text === ')' && token.kind === 'mark')) {
        if (token !== undefined && !nested) throw templateError(this.#at, 'a ")" too many')
        close()
        return commands
      }
      if (token.kind === 'mark' && token.text === '|') close()
      else operands.push(this.#operand(token))
    }
  }

  #operand(token: Token): Operand {
    switch (token.kind) {
      case 'string':
        return { kind: 'literal', value: token.text }
      case 'number':
        return { kind: 'literal', value: Number(token.text) }
      case 'variable':
        return { kind: 'variable', name: token.text.slice(1), path: this.#path() }
      case 'field':
        return { kind: 'dot', path: [token.text.slice(1), ...this.#path()] }
      case 'word':
        return wordOperand(token.text)
      case 'mark':
        break
    }
    if (token.text === '.') return { kind: 'dot', path: [] }
    if (token.text !== '(') throw templateError(this.#at, `unexpected "${token.text}"`)
    const commands = this.commands(true)
    return {
      kind: 'pipeline',
      pipeline: { names: [], declares: false, commands },
      path: this.#path(),
    }
  }

  /** Fields that follow without a space. */
  #path(): readonly string[] {
    const path: string[] = []
    while (true) {
      const token = this.#tokens[this.#next]
      if (token?.kind !== 'field' || token.spaced) return path
      path.push(token.text.slice(1))
      this.#next += 1
    }
  }
}

function wordOperand(word: string): Operand {
  if (word === 'true' || word === 'false') return { kind: 'literal', value: word === 'true' }
  if (word === 'nil') return { kind: 'literal', value: undefined }
  return { kind: 'function', name: word }
}
