// What the runtime's complaints mean to a user. Pure.
import { SwarmError } from '../../../proto/errors.ts'

/** crun (1.8, 1.21) and runc say each in its own way that the command is not in the image, or is no program. */
const isCommand =
  /executable file .*not found|exec: .*(no such file|permission denied)|open executable:|exists but it is not executable/i

/** INVALID_ARGUMENT where the user can mend it, else INTERNAL. */
export function runtimeError(what: string, text: string): SwarmError {
  const reason = plainText(text.trim())
  if (reason === '') {
    return new SwarmError('INTERNAL', `${what} failed, and the runtime gave no reason`)
  }
  return isCommand.test(reason)
    ? new SwarmError('INVALID_ARGUMENT', `starting container process caused: ${reason}`)
    : new SwarmError('INTERNAL', `${what} failed: ${reason}`)
}

/** runc writes `time=… level=error msg="…"`, crun the bare text. */
export function plainText(text: string): string {
  const message = /level=\w+ msg="((?:[^"\\]|\\.)*)"/.exec(text)?.[1]
  return message === undefined ? text : message.replace(/\\(.)/g, '$1')
}
