// tsswarm stack config
import { defineCommand, noArguments } from '../command.ts'
import { projectText } from '../stack/load-compose.ts'
import { composeFlags, loadProject, skipInterpolation } from '../stack/run/compose-files.ts'

export const command = defineCommand({
  name: 'stack config',
  summary: 'Outputs the final config file, after doing merges and interpolations',
  description:
    'Needs no daemon. Everything wrong with the files is said at once, each with file, line and column; what has no effect ' +
    'is said on stderr. The output is that of "docker stack config".',
  args: noArguments,
  flags: { ...composeFlags, 'skip-interpolation': skipInterpolation },
  examples: [
    { what: 'Check a file', command: 'tsswarm stack config -c compose.yml' },
    {
      what: 'A file and what differs in production, with variables from a file',
      command: 'tsswarm stack config -c compose.yml -c production.yml --env-file .env',
    },
  ],
  run: async (ctx, { flags }) => {
    const project = await loadProject(ctx, flags, !flags['skip-interpolation'])
    ctx.stdout.write(projectText(project))
    return 0
  },
})
