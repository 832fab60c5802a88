// The compose files of a command: read from disk and stdin, with the caller's variables. Not what they say.
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SwarmError } from '../../../proto/errors.ts'
import type { CommandContext } from '../../context.ts'
import { bool, type FlagValues, list } from '../../flags.ts'
import { usage } from '../../parse-args.ts'
import { envFileLines } from '../env-file.ts'
import type { Variables } from '../interpolate.ts'
import { type ComposeText, loadCompose, type Project } from '../load-compose.ts'
import { noticeText } from '../node.ts'

/** A compose file is no database. */
const bytesMax = 16 * 1024 * 1024

export const composeFlags = {
  'compose-file': list('Path to a Compose file, or "-" to read from stdin', {
    short: 'c',
    takes: 'file',
  }),
  'env-file': list('Variables for the compose files; the environment wins over them', {
    takes: 'file',
  }),
}

export const skipInterpolation = bool('Skip interpolation and output only merged config')

/** What the flags name, loaded. Notices go to stderr. Errors: USAGE, NOT_FOUND, INVALID_ARGUMENT. */
export async function loadProject(
  ctx: CommandContext,
  flags: FlagValues<typeof composeFlags>,
  interpolates = true,
): Promise<Project> {
  const paths = flags['compose-file']
  const [first] = paths
  if (first === undefined) throw usage('please specify a compose file with -c (--compose-file)')
  const texts: ComposeText[] = []
  for (const path of paths) texts.push(await composeText(ctx, path))
  const workingDir = first === '-' ? process.cwd() : dirname(resolve(first))
  const project = loadCompose(texts, {
    variables: variablesOf(ctx, flags['env-file']),
    workingDir,
    interpolates,
    readText: readLimited,
  })
  for (const notice of project.notices) ctx.stderr.write(`Warning: ${noticeText(notice)}\n`)
  for (const [name, at] of project.unset) {
    const hint = dotEnvHint(workingDir, name)
    ctx.stderr.write(
      `Warning: ${noticeText({ at, path: '', text: `variable ${name} is not set and so empty${hint}` })}\n`,
    )
  }
  return project
}

async function composeText(ctx: CommandContext, path: string): Promise<ComposeText> {
  if (path !== '-') return { name: path, text: readNamed(path) }
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of ctx.stdin) {
    bytes += part.length
    if (bytes > bytesMax) throw new SwarmError('INVALID_ARGUMENT', 'stdin holds more than 16 MiB')
    parts.push(part)
  }
  return { name: 'stdin', text: Buffer.concat(parts).toString('utf8') }
}

function readNamed(path: string): string {
  try {
    return readLimited(path)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    throw new SwarmError('NOT_FOUND', `cannot read ${path}: ${why}`, { cause: err })
  }
}

function readLimited(path: string): string {
  const text = readFileSync(path, 'utf8')
  if (text.length > bytesMax) throw new Error('the file is larger than 16 MiB')
  return text
}

/** The files' variables, over which the environment of the process wins. */
function variablesOf(ctx: CommandContext, files: readonly string[]): Variables {
  const variables = new Map<string, string>()
  for (const file of files) {
    const text = readNamed(file)
    try {
      for (const { key, value } of envFileLines(text, new Map())) variables.set(key, value)
    } catch (err) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `${file}: ${err instanceof Error ? err.message : String(err)}`,
      )
    }
  }
  for (const [key, value] of Object.entries(ctx.env)) {
    if (value !== undefined) variables.set(key, value)
  }
  return variables
}

/** People who come from compose expect that .env is read; Swarm does not, and says nothing. */
function dotEnvHint(workingDir: string, name: string): string {
  try {
    const lines = envFileLines(readLimited(resolve(workingDir, '.env')), new Map())
    const has = lines.some(({ key }) => key === name)
    return has ? ': .env has it; give --env-file .env' : ''
  } catch {
    return ''
  }
}
