// `tsswarm lab ls`
import { defineCommand, noArguments } from '../command.ts'
import { bool } from '../flags.ts'
import { labNetwork } from '../lab/lab.ts'
import {
  defaultLabRoots,
  hostNames,
  hostPaths,
  type LabRecord,
  listLabs,
} from '../lab/lab-record.ts'
import { runningPid } from '../lab/processes.ts'
import { hostAddress } from '../lab/topology.ts'
import { alignTable } from '../render/table.ts'

export const command = defineCommand({
  name: 'lab ls',
  summary: 'List labs and their hosts',
  args: noArguments,
  flags: { quiet: bool('Only the names of the labs', { short: 'q' }) },
  examples: [{ what: 'All labs of this machine', command: 'tsswarm lab ls' }],
  run: async (ctx, { flags }) => {
    const labs = listLabs(defaultLabRoots)
    if (flags.quiet) {
      ctx.stdout.write(labs.map(({ name }) => `${name}\n`).join(''))
      return 0
    }
    ctx.stdout.write(alignTable(['LAB\tHOST\tADDRESS\tDAEMON', ...labs.flatMap(rows)]))
    return 0
  },
})

function rows(record: LabRecord): readonly string[] {
  return hostNames(record).map((host) => {
    const { pidFile } = hostPaths(defaultLabRoots, record.name, host)
    const state = runningPid(pidFile) === undefined ? 'stopped' : 'running'
    return [record.name, host, hostAddress(labNetwork(record), host), state].join('\t')
  })
}
