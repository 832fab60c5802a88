// What the short forms of the format stand for: ports, mounts, command lines.
import { parsePublish } from '../service/publish.ts'
import { parseBytes } from '../units.ts'
import { compareText } from './go-text.ts'
import { type At, boolNode, integerNode, mapNode, type Node, textNode } from './node.ts'

/** Ports of `[ADDRESS:][PUBLISHED:]TARGET[/PROTOCOL]` with ranges, and the address if there is one. Errors: Error. */
export function portsOf(
  form: string,
  at: At,
): { readonly ports: readonly Node[]; readonly address: string } {
  const match = /^(?:(\[[0-9a-fA-F:.%a-z]*\]|[0-9.]+):)?([^:]*(?::[^:]*)?)$/.exec(form)
  const hasAddress = match?.[1] !== undefined && /[.[]/.test(match[1])
  const rest = hasAddress ? (match?.[2] ?? '') : form
  const address = hasAddress ? (match?.[1] ?? '').replace(/^\[|\]$/g, '') : ''
  // ADDRESS::TARGET leaves the choice of the port to the swarm.
  const lower = rest.replace(/^:/, '').toLowerCase()
  const ports = [...parsePublish(lower)]
  const key = (port: (typeof ports)[number]): string => `${port.targetPort}/${port.protocol}`
  ports.sort((a, b) => compareText(key(a), key(b)) || a.publishedPort - b.publishedPort)
  const nodes = ports.map(({ targetPort, publishedPort, protocol }) =>
    mapNode(
      {
        mode: textNode('ingress', at),
        target: integerNode(targetPort, at),
        published: publishedPort === 0 ? undefined : integerNode(publishedPort, at),
        protocol: textNode(protocol, at),
      },
      at,
    ),
  )
  return { ports: nodes, address }
}

const propagations = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave']

/**
 * A mount of `[SOURCE:]TARGET[:OPTIONS]`. As Swarm's client does, a single letter before a colon is read as the drive of
 * a Windows path (swarm-semantics 4, quirks). Errors: Error.
 */
export function mountOf(form: string, at: At): Node {
  if (form === '') throw new Error('an empty text is no volume')
  const parts = form.length <= 2 ? [form] : sectionsOf(form)
  if (parts.includes('')) throw new Error(`"${form}" has an empty section between colons`)
  if (parts.length > 3) throw new Error(`"${form}" has too many colons`)
  const [source, target] = parts.length === 1 ? [undefined, form] : parts
  const options = (parts[2] ?? '').split(',')
  const propagation = options.filter((option) => propagations.includes(option)).at(-1)
  const isReadOnly = options.filter((option) => ['ro', 'rw'].includes(option)).at(-1) === 'ro'
  return mapNode(
    {
      type: textNode(source !== undefined && isPath(source) ? 'bind' : 'volume', at),
      source: source === undefined ? undefined : textNode(source, at),
      target: textNode(parts.length === 1 ? (parts[0] ?? '') : (target ?? ''), at),
      read_only: isReadOnly ? boolNode(true, at) : undefined,
      bind:
        propagation === undefined
          ? undefined
          : mapNode({ propagation: textNode(propagation, at) }, at),
      volume: options.includes('nocopy') ? mapNode({ nocopy: boolNode(true, at) }, at) : undefined,
    },
    at,
  )
}

/** Options of a mount's short form that mean nothing. */
export function unknownMountOptions(form: string): readonly string[] {
  const known = ['ro', 'rw', 'nocopy', '', ...propagations]
  return (sectionsOf(form)[2] ?? '').split(',').filter((option) => !known.includes(option))
}

function sectionsOf(form: string): readonly string[] {
  const parts: string[] = []
  let part = ''
  for (const char of form) {
    if (char !== ':' || /^\p{L}$/u.test(part)) part += char
    else {
      parts.push(part)
      part = ''
    }
  }
  return [...parts, part]
}

function isPath(source: string): boolean {
  return /^[./~]|^\\\\|^\p{L}:/u.test(source) && source !== '\\'
}

/** The words of a command line as a simple shell splits them. Errors: Error. */
export function shellWords(line: string): readonly string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  let i = 0
  for (; i < line.length; i += 1) {
    const char = line[i] ?? ''
    if (char === '\\' && quote !== "'") {
      i += 1
      if (i >= line.length) throw new Error('the command ends with a backslash')
      word = (word ?? '') + (line[i] ?? '')
    } else if (quote !== '') {
      if (char === quote) quote = ''
      else word = (word ?? '') + char
    } else if (char === '"' || char === "'") {
      quote = char
      word ??= ''
    } else if (/[ \t\r\n]/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (char === '#' && word === undefined) {
      const end = line.indexOf('\n', i)
      i = end === -1 ? line.length : end
    } else word = (word ?? '') + char
  }
  if (quote !== '') throw new Error(`the command has no closing ${quote}`)
  return word === undefined ? words : [...words, word]
}

/** Bytes of 50M, 1.5gb, 1073741824. Errors: Error. */
export function bytesOf(text: string): number {
  return parseBytes(text)
}
