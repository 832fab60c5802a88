// Splits a Go template into text and the tokens of its actions. No grammar here.
import { SwarmError } from '../errors.ts'

export type Token =
  | { readonly kind: 'word'; readonly text: string; readonly spaced: boolean }
  | { readonly kind: 'field'; readonly text: string; readonly spaced: boolean }
  | { readonly kind: 'variable'; readonly text: string; readonly spaced: boolean }
  | { readonly kind: 'string'; readonly text: string; readonly spaced: boolean }
  | { readonly kind: 'number'; readonly text: string; readonly spaced: boolean }
  | { readonly kind: 'mark'; readonly text: string; readonly spaced: boolean }

export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly tokens: readonly Token[]; readonly at: number }

/** An error that shows where in the template it is. `at` counts characters from 0. */
export function templateError(at: number, what: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `template parsing error: character ${at + 1}: ${what}`)
}

const spaceBefore = /[ \t\r\n]+$/
const spaceAfter = /^[ \t\r\n]+/

/** Text and actions in order; `{{- ` and ` -}}` have trimmed the text, comments are gone. */
export function splitTemplate(source: string): readonly Piece[] {
  const pieces: Piece[] = []
  let at = 0
  let trimNext = false
  while (true) {
    const open = source.indexOf('{{', at)
    let text = source.slice(at, open === -1 ? source.length : open)
    if (trimNext) text = text.replace(spaceAfter, '')
    const action = open === -1 ? undefined : readAction(source, open)
    if (action?.trimLeft) text = text.replace(spaceBefore, '')
    if (text !== '') pieces.push({ kind: 'text', text })
    if (action === undefined) return pieces
    if (action.tokens.length > 0) pieces.push({ kind: 'action', tokens: action.tokens, at: open })
    else if (!action.comment) throw templateError(open, 'nothing between "{{" and "}}"')
    trimNext = action.trimRight
    at = action.end
  }
}

interface Action {
  readonly tokens: readonly Token[]
  readonly comment: boolean
  readonly trimLeft: boolean
  readonly trimRight: boolean
  readonly end: number
}

function readAction(source: string, open: number): Action {
  let at = open + 2
  const trimLeft = /^-[ \t\r\n]/.test(source.slice(at, at + 2))
  if (trimLeft) at += 2
  const comment = /^\s*\/\*/.test(source.slice(at))
  if (comment) return readComment(source, open, at, trimLeft)
  const tokens: Token[] = []
  while (true) {
    const space = /^[ \t\r\n]+/.exec(source.slice(at))?.[0] ?? ''
    at += space.length
    const rest = source.slice(at)
    const close = /^(?:-\}\}|\}\})/.exec(rest)?.[0]
    if (close === '}}' || (close === '-}}' && space !== '')) {
      const trimRight = close === '-}}'
      return { tokens, comment: false, trimLeft, trimRight, end: at + close.length }
    }
    if (rest === '') throw templateError(open, 'this "{{" has no "}}"')
    const { token, length } = readToken(rest, at, space !== '')
    tokens.push(token)
    at += length
  }
}

function readComment(source: string, open: number, at: number, trimLeft: boolean): Action {
  const end = source.indexOf('*/', at)
  const close = end === -1 ? null : /^(\s+-)?\}\}/.exec(source.slice(end + 2))
  if (close === null) throw templateError(open, 'this comment has no "*/}}"')
  return {
    tokens: [],
    comment: true,
    trimLeft,
    trimRight: close[1] !== undefined,
    end: end + 2 + close[0].length,
  }
}

const patterns = [
  ['number', /^[-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)/],
  ['field', /^\.[\p{L}_][\p{L}\p{N}_]*/u],
  ['variable', /^\$[\p{L}\p{N}_]*/u],
  ['word', /^[\p{L}_][\p{L}\p{N}_]*/u],
  ['mark', /^(?::=|[.|()=,])/],
] as const

function readToken(rest: string, at: number, spaced: boolean): { token: Token; length: number } {
  if (rest[0] === '"' || rest[0] === '`') return readString(rest, at, spaced)
  for (const [kind, pattern] of patterns) {
    const text = pattern.exec(rest)?.[0]
    if (text !== undefined) return { token: { kind, text, spaced }, length: text.length }
  }
  if (rest[0] === "'") {
    throw templateError(at, 'texts stand in double quotes ("…") or backticks, not in single quotes')
  }
  throw templateError(at, `unexpected ${JSON.stringify(rest[0])}`)
}

function readString(rest: string, at: number, spaced: boolean): { token: Token; length: number } {
  const raw = (rest[0] === '`' ? /^`[^`]*`/ : /^"(?:[^"\\\n]|\\.)*"/).exec(rest)?.[0]
  if (raw === undefined) throw templateError(at, 'this text has no closing quote')
  const inner = raw.slice(1, -1)
  const text = raw[0] === '`' ? inner : unquote(inner, at)
  return { token: { kind: 'string', text, spaced }, length: raw.length }
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '"': '"',
  '\\': '\\',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
}

function unquote(text: string, at: number): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)/g, (_, code: string) => {
    if (code.length > 1) return String.fromCharCode(Number.parseInt(code.slice(1), 16))
    const known = escapes[code]
    if (known === undefined) throw templateError(at, `unknown escape "\\${code}"`)
    return known
  })
}
