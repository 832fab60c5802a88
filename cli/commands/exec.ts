// tsswarm exec
import { readFile } from 'node:fs/promises'
import type { ExecOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { defineCommand } from '../command.ts'
import type { CommandContext } from '../context.ts'
import { bool, list, text } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { openStream } from '../streams.ts'
import { checkTerminal, runSession, sessionSignal } from '../terminal-session.ts'

export const command = defineCommand({
  name: 'exec',
  summary: 'Execute a command in a running task of a service',
  description:
    'TARGET is a service (a running task of it is taken), SERVICE.SLOT, or a task. Works on any manager, wherever the task runs. The command has the user, ' +
    'capabilities, limits and seccomp filter of the container, and ends when this program does. Who executes what is an event of the cluster ' +
    '(`tsswarm events --filter event=exec_start`).\n\n' +
    'Exit codes: that of the command, 126 when it cannot be run, 127 when it is not found.',
  args: {
    usage: 'TARGET COMMAND [ARG...]',
    min: 2,
    max: 10_000,
    stopAtFirst: true,
    completes: 'targets',
  },
  absent: (name) => {
    if (name === 'privileged') return 'a command has at most what its container has'
    if (name === 'detach-keys') return 'a command ends with this program: use --detach'
    return undefined
  },
  flags: {
    detach: bool('Run the command in the background', { short: 'd' }),
    env: list('Set environment variables', { short: 'e' }),
    'env-file': list('Read in a file of environment variables'),
    interactive: bool('Keep STDIN open even if not attached', { short: 'i' }),
    tty: bool('Allocate a pseudo-TTY', { short: 't' }),
    user: text('Username or UID (format: "<name|uid>[:<group|gid>]")', { short: 'u' }),
    workdir: text('Working directory inside the container', { short: 'w' }),
  },
  examples: [
    { what: 'A shell in a task of a service', command: 'tsswarm exec -it web sh' },
    { what: 'In the task of a slot, as another user', command: 'tsswarm exec -u www web.2 id' },
    { what: 'With input', command: 'tsswarm exec -i db.1 psql -U app < dump.sql' },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = '', ...argv] = args
    const { detach, tty, interactive } = flags
    if (detach && interactive) throw usage('conflicting options: --detach and --interactive')
    checkTerminal(ctx, { tty, interactive }, 'leave out -t')
    const exec: ExecOpen = {
      argv,
      env: await environment(ctx, flags.env, flags['env-file']),
      workdir: flags.workdir ?? '',
      user: flags.user ?? '',
      tty,
      interactive,
      detach,
      size: tty ? ctx.terminal?.size() : undefined,
    }
    const client = await ctx.connect()
    const { controller, release } = sessionSignal(ctx)
    try {
      const what = { $case: 'exec', value: exec } as const
      const stream = await openStream(ctx, client, { reference, what }, controller.signal)
      const wish = { tty, interactive, passesSignals: !tty && !detach }
      return await runSession(ctx, stream, wish, () => controller.abort())
    } finally {
      controller.abort()
      release()
    }
  },
})

/** Files first, then flags; a bare name takes the value that this program has. Errors: USAGE. */
async function environment(
  ctx: CommandContext,
  lines: readonly string[],
  files: readonly string[],
): Promise<readonly string[]> {
  const read = await Promise.all(
    files.map(async (path) => {
      const content = await readFile(path, 'utf8').catch((cause: unknown) => {
        throw usage(`cannot read the env file ${path}`, cause)
      })
      return content.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
    }),
  )
  return [...read.flat(), ...lines].flatMap((line) => {
    if (line.startsWith('=')) throw usage(`invalid environment variable: ${line}`)
    if (line.includes('=')) return [line]
    const value = ctx.env[line]
    return value === undefined ? [] : [`${line}=${value}`]
  })
}
