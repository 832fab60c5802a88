// `tsswarm lab exec`
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { defineCommand } from '../command.ts'
import { labAndHost, labDeps, nameFlag } from '../lab/command-deps.ts'
import { hostPaths, labRunDir } from '../lab/lab-record.ts'
import { inHost } from '../lab/topology.ts'

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
    const argv = rest[0] === '--' ? rest.slice(1) : rest
    const { name } = labAndHost(flags.name, host)
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

/** A directory with a `tsswarm` that is this very program. */
function shim(runDir: string, program: readonly string[]): string {
  const bin = join(runDir, 'bin')
  mkdirSync(bin, { recursive: true, mode: 0o755 })
  const words = program.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  writeFileSync(join(bin, 'tsswarm'), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 })
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
