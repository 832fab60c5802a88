// How the resolver program is started.
import type { ResolverConfig } from './control-messages.ts'

export const successorMode = 'successor'

/** Short-lived objects of a burst need not grow old. */
const nodeFlags: readonly string[] = ['--max-semi-space-size=4']

/** `main`: the program's file. */
export function resolverArgv(
  main: string,
  config: ResolverConfig,
  isSuccessor: boolean,
): readonly string[] {
  const mode = isSuccessor ? [successorMode] : []
  return [process.execPath, ...nodeFlags, main, ...mode, JSON.stringify(config)]
}
