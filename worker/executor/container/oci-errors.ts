// What the runtime's complaints mean to a user. Pure.
import { SwarmError } from '../../../proto/errors.ts'
import { interfaceSysctls } from '../../../proto/spec/endpoint-options.ts'

/** crun (1.8, 1.21) and runc say each in its own way that the command is not in the image, or is no program. */
const isCommand =
  /executable file .*not found|exec: .*(no such file|permission denied)|open executable:|exists but it is not executable/i

/** As crun and runc tell that a setting of the kernel cannot be made. */
const isSysctl = /\b(?:open|write)\b(?: to)? `?\/proc\/sys\/([^\s`]+?)`?: (.+)$/is

/** What a setting is refused for; undefined: the text is about something else. */
function sysctlError(what: string, reason: string): SwarmError | undefined {
  const [, path = '', why = ''] = isSysctl.exec(reason) ?? []
  if (path === '') return undefined
  const setting = `${what} failed: sysctl ${path.replaceAll('/', '.')}: ${why.toLowerCase()}`
  if (/invalid argument|out of range/i.test(why)) {
    return new SwarmError('INVALID_ARGUMENT', `${setting}: the kernel takes no such value for it`)
  }
  const [, device = 'all'] = /^net\/[^/]+\/(?:conf|neigh)\/([^/]+)\//.exec(path) ?? []
  const remedy = ['all', 'default', 'lo'].includes(device)
    ? 'the kernel of this node has none of a container, or only one for the whole host: leave it out, or set it on the ' +
      'host (man 5 sysctl.conf)'
    : `a container gets its interfaces after that: name it with the network, by its driver option ${interfaceSysctls}`
  return new SwarmError('UNSUPPORTED', `${setting}: ${remedy}`)
}

/** crun: setrlimit `RLIMIT_NOFILE`; runc: error setting rlimit type 7. */
const isUlimit = /\bset(?:ting )?\s?rlimits?\b.*(?:operation not permitted|permission denied)/is

function limitError(what: string, reason: string): SwarmError | undefined {
  if (!isUlimit.test(reason)) return undefined
  const why = 'a ulimit is above the hard limit of the daemon, which lacks CAP_SYS_RESOURCE here'
  const remedy =
    'choose a lower one, or start the daemon with a higher one (LimitNOFILE= and the like in its unit)'
  return new SwarmError('UNSUPPORTED', `${what} failed: ${why}: ${remedy} (${reason})`)
}

/** What a folder cannot be entered for: crun says chdir `/x`, runc chdir to cwd ("/x") or, where it had to make it, mkdir /x. */
const isWorkdir: readonly RegExp[] = [
  /^chdir `([^`]+)`: (.+)$/i,
  /container init: chdir to cwd \("([^"]+)"\) set in config\.json failed: (.+)$/i,
  /container init: mkdir (\/[^:]+): (.+)$/i,
]

function workdirError(what: string, reason: string): SwarmError | undefined {
  const found = isWorkdir.map((form) => form.exec(reason)).find((match) => match !== null)
  if (found === undefined || found === null) return undefined
  const [, path = '', why = ''] = found
  return new SwarmError(
    'INVALID_ARGUMENT',
    `${what} failed: its working directory ${path} cannot be entered: ${why.toLowerCase()}: name a folder of the image, or one that can be made`,
  )
}

/** INVALID_ARGUMENT where the user can mend it, UNSUPPORTED where this node cannot do it, else INTERNAL. */
export function runtimeError(what: string, text: string): SwarmError {
  const reason = plainText(text.trim())
  if (reason === '') {
    return new SwarmError('INTERNAL', `${what} failed, and the runtime gave no reason`)
  }
  const sysctl = sysctlError(what, reason)
  if (sysctl !== undefined) return sysctl
  if (/\/oom_score_adj`?: permission denied/i.test(reason)) {
    const why = 'the OOM score is below that of the daemon, which lacks CAP_SYS_RESOURCE here'
    return new SwarmError('UNSUPPORTED', `${what} failed: ${why}: choose a higher one (${reason})`)
  }
  const limit = limitError(what, reason) ?? workdirError(what, reason)
  if (limit !== undefined) return limit
  return isCommand.test(reason)
    ? new SwarmError('INVALID_ARGUMENT', `starting container process caused: ${reason}`)
    : new SwarmError('INTERNAL', `${what} failed: ${reason}`)
}

/** runc writes `time=… level=error msg="…"`, crun the bare text. */
export function plainText(text: string): string {
  const message = /level=\w+ msg="((?:[^"\\]|\\.)*)"/.exec(text)?.[1]
  return message === undefined ? text : message.replace(/\\(.)/g, '$1')
}
