// Who uses this program, by its own word: managers keep it with what was done.
import { userInfo } from 'node:os'
import type { CommandContext } from './context.ts'

/** The user of this program, and who became it. */
export function clientUser(env: CommandContext['env']): string {
  const name = nameOfUser()
  const before = env['SUDO_USER']
  return before === undefined || before === name ? name : `${name} (sudo: ${before})`
}

function nameOfUser(): string {
  try {
    return userInfo().username
  } catch {
    // A number without a name.
    return String(process.getuid?.() ?? '')
  }
}
