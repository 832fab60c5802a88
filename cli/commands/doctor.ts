// `tsswarm doctor`
import { defineCommand, noArguments } from '../command.ts'
import { bool, text } from '../flags.ts'

export const command = defineCommand({
  name: 'doctor',
  summary: 'Check what the daemon needs of this host',
  description:
    'Looks at kernel, programs, control groups, ports, firewall, clock, disk, MTU and limits: one line each, ok, WARN or FAIL, and ' +
    'below it how to mend it. Features of the kernel are tried in namespaces that end with the try, the disk with small ' +
    'files that are removed; nothing of the host is changed. Exit code 1 when something fails; a warning is none.',
  args: noArguments,
  flags: {
    config: text('File with settings of the daemon', { takes: 'file' }),
    json: bool('Print a list for programs: name, level (ok, warning or error), found, remedy'),
    'state-dir': text('Folder whose disk is tried', { takes: 'path', shown: "the daemon's" }),
  },
  examples: [
    { what: 'Before the first start of the daemon', command: 'tsswarm doctor' },
    {
      what: 'Only what is not as it should be, for a script',
      command: `tsswarm doctor --json | jq '.[] | select(.level != "ok")'`,
    },
  ],
  run: async (ctx, { flags }) => {
    const { examineHost } = await import('../daemon/examine-host.ts')
    const { checksJson, renderChecks } = await import('../host/render-checks.ts')
    const { painter } = await import('../render/colour.ts')
    const results = await examineHost({
      stateDir: flags['state-dir'],
      configFile: flags.config,
      env: ctx.env,
    })
    const colours = { 'ok  ': 'green', WARN: 'yellow', FAIL: 'red' } as const
    const shown = flags.json ? checksJson(results) : renderChecks(results, painter(ctx, colours))
    ctx.stdout.write(`${shown}\n`)
    return results.every(({ ok }) => ok) ? 0 : 1
  },
})
