// The options of volume driver `local`: a file system that is mounted on the volume's folder. Pure.
// Source: Docker's driver local; `size`, its quota, needs a file system that few hosts have.
import { SwarmError } from '../../proto/errors.ts'

export type DriverOptions = Readonly<Record<string, string>>

const known = ['type', 'o', 'device']

/** Errors: INVALID_ARGUMENT naming volume, option and what is right. */
export function checkDriverOptions(name: string, options: DriverOptions): void {
  const given = Object.keys(options)
  if (given.length === 0) return
  const refuse = (why: string): never => {
    throw new SwarmError('INVALID_ARGUMENT', `volume ${name}: ${why}`)
  }
  const foreign = given.find((key) => !known.includes(key))
  if (foreign !== undefined) {
    refuse(`invalid option: "${foreign}": those of driver local are ${known.join(', ')}`)
  }
  const missing = ['type', 'device'].find((key) => (options[key] ?? '') === '')
  if (missing !== undefined) refuse(`missing required option: "${missing}"`)
  const bad = Object.entries(options).find(([, value]) => /[\0\n]/.test(value))
  if (bad !== undefined) refuse(`option "${bad[0]}" has a line end or a zero in it`)
}

/** The host name in `addr=` that the kernel, which knows addresses only, must not be given; undefined: none. */
export function hostToResolve({ type = '', o = '' }: DriverOptions): string | undefined {
  if (!/^(nfs4?|cifs)$/.test(type)) return undefined
  const host = o
    .split(',')
    .find((part) => part.startsWith('addr='))
    ?.slice('addr='.length)
  if (host === undefined || host === '') return undefined
  return /^[\d.]+$/.test(host) || host.includes(':') ? undefined : host
}

/** Mounts it by the kernel alone, without the helpers of single file systems. `address`: of hostToResolve. */
export function mountArgv(
  options: DriverOptions,
  path: string,
  address: string | undefined,
): readonly string[] {
  const { type = 'none', o = '', device = '' } = options
  const parts = o.split(',').filter((part) => part !== '')
  const words = parts.map((part) =>
    address !== undefined && part.startsWith('addr=') ? `addr=${address}` : part,
  )
  const flags = words.length === 0 ? [] : ['-o', words.join(',')]
  return ['mount', '-i', '-t', type, ...flags, '--', device, path]
}

export function sameOptions(a: DriverOptions, b: DriverOptions): boolean {
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...keys].every((key) => a[key] === b[key])
}
