// tsswarm attach
import { defineCommand } from '../command.ts'
import { defaultDetachKeys, detachFilter, parseDetachKeys, type Typed } from '../detach-keys.ts'
import { bool, text, triBool } from '../flags.ts'
import { openStream } from '../streams.ts'
import { checkTerminal, runSession, sessionSignal } from '../terminal-session.ts'

export const command = defineCommand({
  name: 'attach',
  summary: 'Attach local standard input, output, and error streams to a running task',
  description:
    'TARGET is a service (a running task of it is taken), SERVICE.SLOT, a task, or the id of a container, which is that of its task. Works on any manager, wherever the ' +
    'task runs. Shows what its first process writes from now on; what is typed goes to it when the service runs with --interactive, and its terminal with --tty. ' +
    'The task runs on when this program goes away, or when the detach keys are typed on its terminal. Without a terminal signals are sent to the process: Ctrl-C ' +
    'interrupts it, unless --sig-proxy=false; after three that change nothing the next one leaves. The end of what is typed leaves its standard input open for others. Who attaches is an event of the cluster ' +
    '(`tsswarm events --filter event=attach`).\n\n' +
    'Exit codes: that of the task when it ends meanwhile, 0 after the detach keys.',
  args: { usage: 'TARGET', min: 1, max: 1, completes: 'targets' },
  flags: {
    'detach-keys': text('Override the key sequence for detaching a container', {
      shown: defaultDetachKeys,
    }),
    'no-stdin': bool('Do not attach STDIN'),
    'sig-proxy': triBool('Proxy all received signals to the process', { shown: 'true' }),
  },
  examples: [
    { what: 'The terminal of a task', command: 'tsswarm attach shell.1' },
    { what: 'Only look', command: 'tsswarm attach --no-stdin --sig-proxy=false web' },
    { what: 'Leave with Ctrl-X', command: 'tsswarm attach --detach-keys ctrl-x shell.1' },
  ],
  run: async (ctx, { flags, args: [reference = ''] }) => {
    const keys = parseDetachKeys(flags['detach-keys'] ?? defaultDetachKeys)
    const isWanted = !flags['no-stdin']
    const client = await ctx.connect()
    const { controller, release } = sessionSignal(ctx)
    let hasDetached = false
    const filter = detachFilter(keys)
    try {
      const attach = { interactive: isWanted, size: ctx.terminal?.size() }
      const what = { $case: 'attach', value: attach } as const
      const stream = await openStream(ctx, client, { reference, what }, controller.signal)
      const { tty, hasInput } = stream.opened
      // What comes from a file or a pipe and cannot be taken is refused by the node.
      const interactive = isWanted && (hasInput || !ctx.stdin.isTerminal)
      checkTerminal(ctx, { tty: tty && hasInput, interactive }, 'attach with --no-stdin')
      const keysOf = (chunk: Uint8Array): Typed => {
        const typed = filter(chunk)
        hasDetached ||= typed.leaves
        return typed
      }
      const wish = {
        ...{ tty, interactive, passesSignals: !tty && flags['sig-proxy'] !== false },
        ...(tty && ctx.stdin.isTerminal ? { keys: keysOf } : {}),
      }
      const code = await runSession(ctx, stream, wish, () => controller.abort())
      if (hasDetached) ctx.stderr.write('read escape sequence\n')
      return code
    } finally {
      controller.abort()
      release()
    }
  },
})
