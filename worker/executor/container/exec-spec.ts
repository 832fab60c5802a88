// The process that exec starts: as the container's own, but for what was asked otherwise. Pure.
import { SwarmError } from '../../../proto/errors.ts'
import type { ExecOpen } from '../../../proto/gen/tsswarm/v1/streams.ts'
import type { ResolvedUser } from './users.ts'

/** The process of an OCI configuration, as far as exec looks at it. */
export interface OciProcess {
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: { readonly uid: number }
  readonly capabilities: { readonly bounding: readonly string[] }
}

const terminalType = 'TERM=xterm'

/**
 * `base` is the container's own process; its capabilities, limits and seccomp filter stay. `user` is what was asked for.
 * Errors: INVALID_ARGUMENT for a relative working directory or an empty command.
 */
export function execProcess(
  base: OciProcess,
  request: ExecOpen,
  user: ResolvedUser | undefined,
): object {
  const { argv, workdir, detach, tty, size } = request
  if ((argv[0] ?? '') === '') {
    throw new SwarmError('INVALID_ARGUMENT', 'no command is given to be run in the container')
  }
  if (workdir !== '' && !workdir.startsWith('/')) {
    const text = `the working directory ${JSON.stringify(workdir)} must be an absolute path`
    throw new SwarmError('INVALID_ARGUMENT', text)
  }
  return {
    ...base,
    // Nobody would be at its other end.
    terminal: tty && !detach,
    ...(size === undefined ? {} : { consoleSize: { height: size.rows, width: size.columns } }),
    args: argv,
    env: execEnv(base, request, user),
    cwd: workdir === '' ? base.cwd : workdir,
    ...(user === undefined ? {} : asUser(base, user)),
  }
}

/** As execve does it: a user other than root starts without effective capabilities. */
function asUser({ capabilities: { bounding } }: OciProcess, user: ResolvedUser): object {
  const { uid, gid, additionalGids } = user
  return {
    user: { uid, gid, additionalGids },
    capabilities: uid === 0 ? { bounding, effective: bounding, permitted: bounding } : { bounding },
  }
}

/** The container's, what the terminal needs, and then what was asked for; the last of a name counts. */
function execEnv(
  base: OciProcess,
  { env, tty }: ExecOpen,
  user: ResolvedUser | undefined,
): readonly string[] {
  const lines = [
    ...base.env,
    ...(tty && !base.env.some((line) => line.startsWith('TERM=')) ? [terminalType] : []),
    ...(user === undefined ? [] : [`HOME=${user.home}`]),
    ...env,
  ]
  const byName = new Map<string, string>()
  for (const line of lines) {
    const name = line.split('=', 1)[0] ?? ''
    byName.delete(name)
    if (line.includes('=')) byName.set(name, line)
  }
  return [...byName.values()]
}
