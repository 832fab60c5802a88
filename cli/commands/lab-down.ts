// `tsswarm lab down`
import { defineCommand, noArguments } from '../command.ts'
import { labDeps, labName, nameFlag } from '../lab/command-deps.ts'
import { labDown } from '../lab/lab.ts'

export const command = defineCommand({
  name: 'lab down',
  summary: 'Remove a lab and everything it made',
  description: 'Also removes what a crash left behind. Succeeds when there is nothing to remove.',
  args: noArguments,
  flags: { name: nameFlag },
  examples: [{ what: 'Remove the lab named small', command: 'tsswarm lab down --name small' }],
  run: async (ctx, { flags }) => {
    const name = labName(flags.name)
    const wasThere = await labDown(labDeps(ctx), name)
    ctx.stdout.write(
      wasThere
        ? `lab ${name} is removed\n`
        : `there is no lab ${name}, and nothing is left of one\n`,
    )
    return 0
  },
})
