// What runs inside: the container's own settings over the image's. Pure.
import { SwarmError } from '../../../proto/errors.ts'
import type { ImageConfig } from '../../image/store-index.ts'
import type { ContainerConfig } from '../executor.ts'

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Errors: INVALID_ARGUMENT when neither gives a command. Source: Docker; an own entrypoint voids
 * the image's command.
 */
export function processArgs(config: ContainerConfig, image: ImageConfig): readonly string[] {
  const own = nonEmpty(config.entrypoint)
  const entrypoint = own ?? image.entrypoint
  const args = nonEmpty(config.args) ?? (own === undefined ? image.command : [])
  const argv = [...entrypoint, ...args]
  if (argv.length === 0 || argv[0] === '') {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `no command specified for ${config.name}: image ${config.image} has none, so give one`,
    )
  }
  return argv
}

/**
 * Image's environment, then the container's; the last duplicate wins and keeps its place at the
 * end.
 */
export function processEnv(
  config: ContainerConfig,
  image: ImageConfig,
  facts: { readonly hostname: string; readonly home: string },
): readonly string[] {
  const byName = new Map<string, string>([
    ['PATH', defaultPath],
    ['HOSTNAME', facts.hostname],
    ...(config.tty === true ? [['TERM', 'xterm'] as const] : []),
  ])
  for (const line of [...image.env, ...config.env]) {
    const equals = line.indexOf('=')
    const name = equals < 0 ? line : line.slice(0, equals)
    byName.delete(name)
    // A bare name takes the variable away, as `docker run -e NAME` does where NAME is unset.
    if (equals >= 0) byName.set(name, line.slice(equals + 1))
  }
  if (!byName.has('HOME')) byName.set('HOME', facts.home)
  return [...byName].map(([name, value]) => `${name}=${value}`)
}

/** Default: the first 12 characters of the id. */
export function containerHostname(config: ContainerConfig): string {
  return nonEmptyText(config.hostname) ?? config.id.slice(0, 12)
}

export function workdir(config: ContainerConfig, image: ImageConfig): string {
  const path = nonEmptyText(config.workdir) ?? nonEmptyText(image.workdir) ?? '/'
  if (!path.startsWith('/')) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `the working directory ${JSON.stringify(path)} of ${config.name} must be an absolute path`,
    )
  }
  return path
}

export function nonEmptyText(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text
}

function nonEmpty(list: readonly string[] | undefined): readonly string[] | undefined {
  return list === undefined || list.length === 0 ? undefined : list
}
