// Why the daemon's socket could not be opened, in words that say what to do.
import { readFileSync, statSync } from 'node:fs'
import { type ErrorCode, SwarmError } from '../proto/errors.ts'

/** The kernel's bound on the path of a socket; a longer one is cut, and then not found. */
const socketPathMax = 107

/** The error a user sees for a failed connection. */
export function connectError(socketPath: string, cause: unknown): SwarmError {
  const tooLong = Buffer.byteLength(socketPath) > socketPathMax
  const code = tooLong
    ? 'ENAMETOOLONG'
    : cause instanceof Error && 'code' in cause
      ? String(cause.code)
      : ''
  const make = (kind: ErrorCode, message: string): SwarmError =>
    new SwarmError(kind, message, { cause, details: { socketPath } })
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ENOTSOCK':
      return make(
        'DAEMON_NOT_RUNNING',
        `the tsswarm daemon is not running: nothing listens on ${socketPath}. ` +
          'Start it ("tsswarm daemon"), or name the socket of another one with -H or TSSWARM_HOST',
      )
    case 'EACCES':
    case 'EPERM':
      return make(
        'PERMISSION_DENIED',
        `you may not use the socket ${socketPath} of the tsswarm daemon. ${remedy(socketPath)}`,
      )
    case 'EINVAL':
    case 'ENAMETOOLONG':
      return make(
        'USAGE',
        `${socketPath} cannot be the path of a socket: it is longer than ${socketPathMax} bytes`,
      )
    default:
      return make('UNAVAILABLE', `cannot connect to the tsswarm daemon on ${socketPath}: ${code}`)
  }
}

/** A path the user may not even look at belongs to the daemon's own group. */
function remedy(socketPath: string): string {
  let group = 'tsswarm'
  try {
    group = groupName(statSync(socketPath).gid)
  } catch {
    // Its directory is closed to others.
  }
  return group === 'root'
    ? 'Run the command as root'
    : `Run the command as root, or join the group ${group} ("usermod -aG ${group} $USER") and log in again`
}

function groupName(gid: number): string {
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.split(':')[2] === String(gid))
  return line?.split(':')[0] ?? `with id ${gid}`
}
