// `tsswarm lab exec`
import { spawn } from 'node:child_process'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { defineCommand } from '../command.ts'
import { labAndHost, labDeps, nameFlag } from '../lab/command-deps.ts'
import { hostPaths, labRunDir } from '../lab/lab-record.ts'
import { inHost } from '../lab/topology.ts'
import { parseFlags, usage } from '../parse-args.ts'

export const command = defineCommand({
  name: 'lab exec',
  summary: 'Run a command on a host of a lab',
  description:
    'The command runs in the network namespace of the host; `tsswarm` in it talks to the daemon of that host.',
  args: { usage: 'HOST -- COMMAND [ARG...]', min: 2, max: 1000, stopAtFirst: true },
  flags: { name: nameFlag },
  examples: [
    { what: 'Ask the first manager', command: 'tsswarm lab exec m1 -- tsswarm node ls' },
    { what: 'A shell on a worker', command: 'tsswarm lab exec w1 -- bash' },
  ],
  run: async (ctx, { flags, args }) => {
    const [host = '', ...rest] = args
    const { argv, lab } = splitCommand(rest, flags.name)
    const { name } = labAndHost(lab, host)
    const deps = labDeps(ctx)
    const bin = shim(labRunDir(deps.roots, name), deps.program)
    const env = {
      ...process.env,
      TSSWARM_HOST: hostPaths(deps.roots, name, host).socket,
      PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    }
    return await runInherited(inHost(name, host, argv), env)
  },
})

/** What stands before `--` are flags too: `lab exec m1 --name small -- ps`. Errors: USAGE. */
function splitCommand(
  words: readonly string[],
  lab: string | undefined,
): { readonly argv: readonly string[]; readonly lab: string | undefined } {
  const end = words.indexOf('--')
  const isFlagged = end === 0 || (words[0] ?? '').startsWith('-')
  const { flags, args } = parseFlags({ name: nameFlag }, isFlagged ? words.slice(0, end) : [], {})
  const argv = isFlagged ? words.slice(end + 1) : words
  if (end === -1 && isFlagged) throw usage('put -- between the host and the command')
  if (args.length > 0) throw usage(`unexpected argument ${JSON.stringify(args[0])} before --`)
  if (argv.length === 0) throw usage('no command is given: write HOST -- COMMAND [ARG...]')
  return { argv, lab: typeof flags['name'] === 'string' ? flags['name'] : lab }
}

/** A directory with a `tsswarm` that is this very program. */
function shim(runDir: string, program: readonly string[]): string {
  const bin = join(runDir, 'bin')
  mkdirSync(bin, { recursive: true, mode: 0o755 })
  const words = program.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  // Renamed into place: another `lab exec` may be running it, and a file being written cannot be executed.
  const fresh = join(bin, `.tsswarm-${process.pid}`)
  writeFileSync(fresh, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 })
  renameSync(fresh, join(bin, 'tsswarm'))
  return bin
}

/** Exit code of the program, 128 + n when signal n ended it, 127 when it cannot be started. */
function runInherited(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [program = '', ...args] = argv
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: 'inherit', env })
    child.once('error', () => resolve(127))
    child.once('exit', (code, signalName) => {
      resolve(code ?? 128 + (signalName === null ? 0 : constants.signals[signalName]))
    })
  })
}
