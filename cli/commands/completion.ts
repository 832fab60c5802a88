// tsswarm completion
import { defineCommand } from '../command.ts'
import { completionScripts as scripts } from '../completion-scripts.ts'
import { usage } from '../parse-args.ts'

export const command = defineCommand({
  name: 'completion',
  summary: 'Print the completion script for a shell',
  description:
    'Completes commands, flags and their values, and the names of services, tasks, nodes, networks, secrets, configs, stacks, ' +
    'volumes and images by asking the daemon; without one, what is known without it.',
  args: { usage: '(bash|zsh|fish)', min: 1, max: 1, completes: ['bash', 'zsh', 'fish'] },
  flags: {},
  examples: [
    { what: 'In this shell', command: 'source <(tsswarm completion bash)' },
    {
      what: 'For all users of bash',
      command: 'tsswarm completion bash > /etc/bash_completion.d/tsswarm',
    },
    {
      what: 'For fish',
      command: 'tsswarm completion fish > ~/.config/fish/completions/tsswarm.fish',
    },
  ],
  run: async (ctx, { args }) => {
    const [shell = ''] = args
    const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined
    if (script === undefined) throw usage(`unknown shell "${shell}": it is bash, zsh or fish`)
    ctx.stdout.write(script)
    return 0
  },
})
