// tsswarm logout
import { defineCommand } from '../command.ts'
import { forgetCredentials, serverName } from '../credentials.ts'

export const command = defineCommand({
  name: 'logout',
  summary: 'Log out from a registry',
  description: 'Forgets what login kept. Without a SERVER it is docker.io.',
  args: { usage: '[SERVER]', min: 0, max: 1 },
  flags: {},
  examples: [{ what: 'A registry', command: 'tsswarm logout registry.example:5000' }],
  run: async (ctx, { args }) => {
    const registry = serverName(args[0] ?? '')
    const wasThere = await forgetCredentials(ctx.env, registry)
    ctx.stdout.write(
      wasThere ? `Removing login credentials for ${registry}\n` : `Not logged in to ${registry}\n`,
    )
    return 0
  },
})
