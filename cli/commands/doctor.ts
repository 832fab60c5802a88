// `tsswarm doctor`
import { defineCommand, noArguments } from '../command.ts'

export const command = defineCommand({
  name: 'doctor',
  summary: 'Check what the daemon needs of this host',
  description:
    'Prints each check and how to mend what is not met, also whether the ports of a manager are free and the firewall of this ' +
    'host lets other nodes in. Exit code 1 when something is not met.',
  args: noArguments,
  flags: {},
  examples: [{ what: 'Before the first start of the daemon', command: 'tsswarm doctor' }],
  run: async (ctx) => {
    const { checkHost, checkReach } = await import('../host/requirements.ts')
    const { renderChecks } = await import('../host/render-checks.ts')
    const results = [...(await checkHost()), ...(await checkReach())]
    ctx.stdout.write(`${renderChecks(results)}\n`)
    return results.every(({ ok }) => ok) ? 0 : 1
  },
})
