// Runs a program in the network namespace of a container. By programs that enter it here; the spawn helper does the same by itself.
import type { CommandResult, RunCommand } from '../../proto/lib/command.ts'
import { enterNamespace } from './data-plane.ts'

export interface InsideOptions {
  /** File of the namespace. */
  readonly netns: string
  /** Written first: absolute paths of kernel settings, as that namespace has them. What fails is told on standard error. */
  readonly settings: ReadonlyMap<string, string>
  readonly input: string
  readonly timeoutMs: number
}

/** Resolves with whatever came of it; never rejects. */
export type RunInside = (argv: readonly string[], options: InsideOptions) => Promise<CommandResult>

const script = 'while [ "$1" != -- ]; do printf %s "$2" >"$1"; shift 2; done; shift; exec "$@"'

export function runInsideBy(run: RunCommand): RunInside {
  return (argv, { netns, settings, ...options }) => {
    const inside = ['sh', '-c', script, 'sh', ...[...settings].flat(), '--', ...argv]
    return run([...enterNamespace(netns), ...inside], options)
  }
}
