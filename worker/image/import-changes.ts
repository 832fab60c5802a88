// The changes of `image import`: lines as a Dockerfile has them, and the image's configuration that they make. Pure.
// Source: docker's reference of `image import --change`, and of the Dockerfile's instructions; OCI image-spec, config.md.
import { SwarmError } from '../../proto/errors.ts'

/** What an image says of how it is run, as OCI's configuration names it. */
export interface RunConfig {
  readonly User?: string
  readonly WorkingDir?: string
  readonly StopSignal?: string
  readonly Env?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Entrypoint?: readonly string[]
  readonly ExposedPorts?: Readonly<Record<string, object>>
  readonly Volumes?: Readonly<Record<string, object>>
  readonly Labels?: Readonly<Record<string, string>>
}

type Change = (config: RunConfig, text: string) => RunConfig

const instructions: Readonly<Record<string, Change>> = {
  CMD: (config, text) => ({ ...config, Cmd: command(text) }),
  ENTRYPOINT: (config, text) => ({ ...config, Entrypoint: command(text) }),
  ENV: (config, text) => {
    const fresh = pairs(text)
    const kept = (config.Env ?? []).filter((line) => !fresh.has(line.split('=', 1)[0] ?? ''))
    return { ...config, Env: [...kept, ...[...fresh].map(([name, value]) => `${name}=${value}`)] }
  },
  EXPOSE: (config, text) => {
    const ports = words(text).map((word) => [port(word), {}])
    return { ...config, ExposedPorts: { ...config.ExposedPorts, ...Object.fromEntries(ports) } }
  },
  LABEL: (config, text) => ({
    ...config,
    Labels: { ...config.Labels, ...Object.fromEntries(pairs(text)) },
  }),
  STOPSIGNAL: (config, text) => ({ ...config, StopSignal: oneWord(text) }),
  USER: (config, text) => ({ ...config, User: oneWord(text) }),
  VOLUME: (config, text) => {
    const paths = (list(text) ?? words(text)).map((path) => [path, {}])
    return { ...config, Volumes: { ...config.Volumes, ...Object.fromEntries(paths) } }
  },
  WORKDIR: (config, text) => {
    const path = oneWord(text)
    const isWhole = path.startsWith('/')
    return { ...config, WorkingDir: isWhole ? path : `${config.WorkingDir ?? ''}/${path}` }
  },
}

/** Errors: INVALID_ARGUMENT naming the change. */
export function changedConfig(changes: readonly string[]): RunConfig {
  let config: RunConfig = {}
  for (const line of changes) {
    const [, word = '', text = ''] = /^\s*(\S+)\s*([\s\S]*?)\s*$/.exec(line) ?? []
    const name = word.toUpperCase()
    const change = Object.hasOwn(instructions, name) ? instructions[name] : undefined
    if (change === undefined) {
      const known = Object.keys(instructions).join(', ')
      throw invalid(line, `${name === '' ? 'it is empty' : `${name} is no change`}: use ${known}`)
    }
    try {
      if (text === '') throw new SyntaxError(`${name} requires at least one argument`)
      config = change(config, text)
    } catch (err) {
      if (err instanceof SyntaxError) throw invalid(line, err.message, err)
      throw err
    }
  }
  return config
}

/** Exec form as it is, shell form for a shell. */
function command(text: string): readonly string[] {
  return list(text) ?? ['/bin/sh', '-c', text]
}

/** Undefined: it is no list of JSON. */
function list(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    const isList = Array.isArray(value) && value.every((word) => typeof word === 'string')
    return isList ? value : undefined
  } catch {
    return undefined
  }
}

/** `NAME=VALUE …`, or `NAME VALUE` of the old form. */
function pairs(text: string): ReadonlyMap<string, string> {
  const found = words(text)
  const [first = ''] = found
  if (!first.includes('=')) {
    const [, name = '', value = ''] = /^(\S+)\s+([\s\S]+)$/.exec(text) ?? []
    if (name === '') throw new SyntaxError(`${first} must be NAME=VALUE`)
    return new Map([[name, value]])
  }
  return new Map(
    found.map((word) => {
      const at = word.indexOf('=')
      if (at < 1) throw new SyntaxError(`${word} must be NAME=VALUE`)
      return [word.slice(0, at), word.slice(at + 1)]
    }),
  )
}

function port(word: string): string {
  const [, digits = '', protocol = 'tcp'] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(word) ?? []
  const isPort = Number(digits) >= 1 && Number(digits) <= 65_535
  if (isPort) return `${Number(digits)}/${protocol.toLowerCase()}`
  throw new SyntaxError(`${word} must be PORT[/tcp|udp|sctp]`)
}

function oneWord(text: string): string {
  const [word = '', ...more] = words(text)
  if (word === '' || more.length > 0) throw new SyntaxError('it takes exactly one argument')
  return word
}

/** Split at blanks outside of quotes; a backslash takes the next character as it is. */
function words(text: string): readonly string[] {
  const found: string[] = []
  let word: string | undefined
  let quote = ''
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at)
    const isEscape = char === '\\' && quote !== "'" && at + 1 < text.length
    if (isEscape) {
      at += 1
      word = (word ?? '') + text.charAt(at)
    } else if (char === quote) {
      quote = ''
    } else if (quote === '' && (char === '"' || char === "'")) {
      quote = char
      word ??= ''
    } else if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) found.push(word)
      word = undefined
    } else {
      word = (word ?? '') + char
    }
  }
  if (quote !== '') throw new SyntaxError(`a ${quote} is not closed`)
  return word === undefined ? found : [...found, word]
}

function invalid(line: string, why: string, cause?: unknown): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `change ${JSON.stringify(line)} is not valid: ${why}`, {
    details: { field: 'changes' },
    cause,
  })
}
