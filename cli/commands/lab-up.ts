// `tsswarm lab up`
import { defineCommand, noArguments } from '../command.ts'
import { bool, integer } from '../flags.ts'
import { labDeps, labName, nameFlag, waitFlag } from '../lab/command-deps.ts'
import { labUp } from '../lab/lab.ts'
import { hostNames } from '../lab/lab-record.ts'

export const command = defineCommand({
  name: 'lab up',
  summary: 'Make a cluster of several hosts on this machine',
  description:
    'Every host (m1… managers, w1… workers) is a network namespace with a daemon, a state directory, a cgroup and an address of its own. ' +
    'All have the image lab/hello, which is in the registry of the lab too.',
  args: noArguments,
  flags: {
    name: nameFlag,
    managers: integer('Managers', { min: 1, max: 50 }, { shown: '3' }),
    workers: integer('Workers', { min: 0, max: 100 }, { shown: '2' }),
    quiet: bool('No progress', { short: 'q' }),
    wait: waitFlag,
  },
  examples: [
    { what: 'Three managers and two workers', command: 'tsswarm lab up' },
    {
      what: 'A second, small one',
      command: 'tsswarm lab up --name small --managers 1 --workers 1',
    },
  ],
  run: async (ctx, { flags }) => {
    const record = await labUp(labDeps(ctx, flags), {
      name: labName(flags.name),
      managers: flags.managers ?? 3,
      workers: flags.workers ?? 2,
    })
    const suffix = record.name === 'default' ? '' : ` --name ${record.name}`
    ctx.stdout.write(`lab ${record.name} is up: ${hostNames(record).join(' ')}\n`)
    ctx.stdout.write(`try: tsswarm lab exec${suffix} m1 -- tsswarm node ls\n`)
    return 0
  },
})
